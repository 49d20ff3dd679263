def sysctl_path(key):
    return "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))
