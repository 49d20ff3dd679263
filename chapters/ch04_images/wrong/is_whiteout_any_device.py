import stat
def is_whiteout(status):
    return stat.S_ISCHR(status.st_mode)
