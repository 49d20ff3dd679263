from minidock.oci.reference import Reference
def parse(text):
    domain, _, path = text.partition("/")
    if not path or not ("." in domain or ":" in domain or domain == "localhost"):
        domain, path = "docker.io", text
    path, _, digest = path.partition("@")
    path, _, tag = path.partition(":")
    return Reference(domain, path, tag or None, digest or None)
