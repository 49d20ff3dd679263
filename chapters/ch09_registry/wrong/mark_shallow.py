def mark(entries):
    names = {entry.digest for entry in entries}
    roots = {entry.digest for entry in entries if entry.is_root}
    marked = roots | {part for entry in entries if entry.is_root for part in entry.parts & names}
    return marked | {entry.digest for entry in entries if entry.subject in marked}
