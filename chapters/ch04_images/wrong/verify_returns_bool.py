from minidock.oci.digest import hasher
def verify(digest, data):
    h = hasher(digest)
    h.update(data)
    return f"{h.name}:{h.hexdigest()}" == digest
