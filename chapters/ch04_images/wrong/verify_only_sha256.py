import hashlib
from minidock.errors import CorruptContent
from minidock.oci.digest import split
def verify(digest, data):
    _, wanted = split(digest)
    if hashlib.sha256(data).hexdigest() != wanted:
        raise CorruptContent(digest)
    return data
