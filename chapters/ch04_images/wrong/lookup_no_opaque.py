import stat
from minidock.images.lookup import is_whiteout
def lookup(layers, path):
    here = list(layers)
    for name in path.strip("/").split("/"):
        found = []
        for directory in here:
            try:
                status = (directory / name).lstat()
            except OSError:
                continue
            if is_whiteout(status):
                break
            if not stat.S_ISDIR(status.st_mode):
                found = found or [directory / name]
                break
            found.append(directory / name)
        here = found
    return here
