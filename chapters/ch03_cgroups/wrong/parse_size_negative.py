import re
from minidock.errors import InvalidInput
def parse_size(text, base=1024):
    m = re.fullmatch(r"(-?\d+\.?\d*|\.\d+) ?(?:([kmgtp])(?:b|ib)?|b)?", text.lower())
    if not m:
        raise InvalidInput(text)
    return int(float(m[1]) * base ** ("kmgtp".index(m[2]) + 1 if m[2] else 0))
