import re


def received(text):
    found = re.fullmatch(r"(?:bytes=)?[0-9]+-([0-9]+)", text)
    return int(found[1]) + 1 if found and found[1] != "0" else 0
