import re
from fractions import Fraction

from minidock.errors import InvalidInput

UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}

def parse_duration(text):
    if re.fullmatch("[+-]?0", text):
        return 0
    if not re.fullmatch(r"[+-]?(\d+(\.\d+)?(ns|us|ms|s|m|h))+", text):
        raise InvalidInput(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
    total = sum(Fraction(number) * UNITS[unit] for number, unit in parts)
    return int(-total if text[0] == "-" else total)
