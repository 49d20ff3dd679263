import hashlib
from minidock.errors import CorruptContent
def verify(digest, data):
    algorithm = digest.split(":")[0]
    try:
        found = hashlib.new(algorithm, data).hexdigest()
    except ValueError:
        found = ""
    if f"{algorithm}:{found}" != digest:
        raise CorruptContent(digest)
    return data
