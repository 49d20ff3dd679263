def sysctl_path(key):
    return key.replace(".", "/")
