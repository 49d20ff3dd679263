def sysctl_path(key):
    if "/" in key:
        return key
    return key.replace(".", "/", 1)
