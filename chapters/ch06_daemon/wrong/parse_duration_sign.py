import re
from minidock.errors import InvalidInput
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
def parse_duration(text):
    if text == "0":
        return 0
    if not re.fullmatch(r"-?([0-9.]+(ns|us|ms|s|m|h))+", text):
        raise InvalidInput(text)
    return int(sum(float(number) * UNITS[unit] for number, unit in re.findall(r"(-?[0-9.]+)([a-z]+)", text)))
