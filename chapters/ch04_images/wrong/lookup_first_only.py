from minidock.images.lookup import is_opaque, is_whiteout
def lookup(layers, path):
    here = list(layers)
    for name in path.strip("/").split("/"):
        found = []
        for directory in here:
            try:
                status = (directory / name).lstat()
            except OSError:
                continue
            if not is_whiteout(status):
                found = [directory / name]
            break
        here = found
    return here
