def environment(entries):
    return dict(e.split('=', 1) for e in reversed(entries) if '=' in e)
