import stat
from minidock.images.lookup import is_opaque, is_whiteout
def lookup(layers, path):
    found = []
    for layer in layers:
        place = layer / path.strip("/")
        try:
            status = place.lstat()
        except OSError:
            continue
        if is_whiteout(status):
            break
        if not stat.S_ISDIR(status.st_mode):
            return found or [place]
        found.append(place)
        if is_opaque(place):
            break
    return found
