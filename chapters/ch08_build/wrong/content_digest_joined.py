import hashlib
def content_digest(item, exclude=None):
    found = hashlib.sha256()
    paths = sorted(item.path.rglob("*")) if item.is_directory else [item.path]
    for path in paths:
        found.update(repr((str(path.relative_to(item.path)), path.stat().st_mode)).encode())
    for path in paths:
        found.update(path.read_bytes() if path.is_file() else b"")
    return found.hexdigest()
