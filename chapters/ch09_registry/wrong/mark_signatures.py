def mark(entries):
    known = {entry.digest: entry for entry in entries}
    marked = set()
    waiting = [entry.digest for entry in entries if entry.is_root]
    while waiting:
        digest = waiting.pop()
        if digest in known and digest not in marked:
            marked.add(digest)
            waiting += known[digest].parts
    return marked
