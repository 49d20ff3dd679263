import time
from email.utils import parsedate_to_datetime
def parse_retry_after(value, now=time.time):
    if value.isascii() and value.isdigit():
        return float(value)
    return max(0.0, parsedate_to_datetime(value).timestamp() - now())
