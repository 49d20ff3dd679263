from minidock.errors import InvalidDigest


def check(text):
    algorithm, _, digits = text.partition(":")
    try:
        int(digits, 16)
    except ValueError:
        raise InvalidDigest(text) from None
    if len(digits) != {"sha256": 64, "sha512": 128}.get(algorithm) or digits != digits.lower().strip():
        raise InvalidDigest(text)
    return text
