from minidock.errors import InvalidDigest
def check(text):
    algorithm, _, rest = text.partition(":")
    if len(rest) != {"sha256": 64, "sha512": 128}.get(algorithm) or rest != rest.lower():
        raise InvalidDigest(text)
    return text
