import re
from minidock.errors import InvalidInput
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
def parse_duration(text):
    if text == "0":
        return 0
    m = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?(ns|us|ms|s|m|h)", text)
    if not m:
        raise InvalidInput(text)
    f = m[3] or ""
    return (-1 if m[1] else 1) * int(m[2] + f) * UNITS[m[4]] // 10 ** len(f)
