import hashlib
def content_digest(item, exclude=None):
    found = hashlib.sha256()
    for path in sorted(item.path.rglob("*")) if item.is_directory else [item.path]:
        status = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        found.update(repr((str(path.relative_to(item.path)), status.st_mode, status.st_mtime, content)).encode())
    return found.hexdigest()
