import time
from datetime import datetime


def parse_retry_after(value, now=time.time):
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return None
    return max(0.0, when.timestamp() - now())
