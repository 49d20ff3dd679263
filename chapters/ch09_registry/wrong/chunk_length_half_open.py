import re

from minidock.registry.server.refusals import Refusal


def chunk_length(text, there):
    if text is None:
        return None
    match = re.fullmatch(r"(?:bytes[ =])?([0-9]+)-([0-9]+)(?:/.*)?", text)
    if not match:
        raise Refusal("BLOB_UPLOAD_INVALID", "no range")
    if int(match[1]) != there:
        raise Refusal("RANGE_INVALID", f"the next byte is {there}")
    return int(match[2]) - int(match[1])
