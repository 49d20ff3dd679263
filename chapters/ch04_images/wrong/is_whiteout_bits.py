import stat


def is_whiteout(status):
    return bool(status.st_mode & stat.S_IFCHR) and status.st_rdev == 0
