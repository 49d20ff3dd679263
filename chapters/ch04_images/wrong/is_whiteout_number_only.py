def is_whiteout(status):
    return status.st_rdev == 0
