def parse_retry_after(value, now=None):
    return float(value) if value.isascii() and value.isdigit() else None
