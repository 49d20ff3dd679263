import hashlib
def content_digest(item, exclude=None):
    found = hashlib.sha256()
    for path in sorted(item.path.rglob("*")) if item.is_directory else [item.path]:
        found.update(repr((str(path.relative_to(item.path)), path.read_bytes() if path.is_file() else None)).encode())
    return found.hexdigest()
