import time
from email.utils import parsedate_to_datetime
def parse_retry_after(value, now=time.time):
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return parsedate_to_datetime(value).timestamp() - now()
    except ValueError:
        return None
