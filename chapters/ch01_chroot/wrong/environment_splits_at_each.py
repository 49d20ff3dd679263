def environment(entries):
    return dict(entry.split('=') for entry in entries if '=' in entry)
