def environment(entries):
    return dict(entry.partition('=')[::2] for entry in entries)
