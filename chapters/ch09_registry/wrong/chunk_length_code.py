import re

from minidock.registry.server.refusals import Refusal


def chunk_length(text, there):
    if text is None:
        return None
    match = re.fullmatch(r"(?:bytes[ =])?([0-9]+)-([0-9]+)(?:/.*)?", text)
    if not match or int(match[1]) != there or int(match[2]) < there - 1:
        raise Refusal("BLOB_UPLOAD_INVALID", f"this is not the range from {there} on")
    return int(match[2]) - there + 1
