import re
from minidock.errors import InvalidDigest
def check(text):
    if not re.match(r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$", text):
        raise InvalidDigest(text)
    return text
