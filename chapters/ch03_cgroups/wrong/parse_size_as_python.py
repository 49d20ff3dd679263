from minidock.errors import InvalidInput


def parse_size(text, base=1024):
    rest = text.lower()
    if rest.endswith("ib") and rest[-3:-2] in tuple("kmgtp"):
        rest = rest[:-2]
    rest = rest.removesuffix("b")
    power = "kmgtp".find(rest[-1:]) + 1 if rest else 0
    try:
        size = int(float(rest[:-1] if power else rest) * base**power)
    except (ValueError, OverflowError):
        raise InvalidInput(text) from None
    if size < 0 or text.endswith("\n"):
        raise InvalidInput(text)
    return size
