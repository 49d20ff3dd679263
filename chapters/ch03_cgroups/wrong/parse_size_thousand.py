import re
from minidock.errors import InvalidInput
def parse_size(text):
    m = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?(?:([kmgtp])(?:b|ib)?|b)?", text.lower())
    if not m:
        raise InvalidInput(text)
    return int(float(m[1]) * 1000 ** ("kmgtp".index(m[2]) + 1 if m[2] else 0))
