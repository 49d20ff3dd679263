from minidock.oci.reference import Reference
def parse(text):
    domain, path = text.split("/", 1) if "/" in text else ("docker.io", "library/" + text)
    path, _, digest = path.partition("@")
    path, _, tag = path.partition(":")
    return Reference(domain, path, tag or None, digest or None)
