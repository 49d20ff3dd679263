import re


def received(text):
    found = re.fullmatch(r"(?:bytes=)?0-([0-9]+)", text)
    return int(found[1]) if found else 0
