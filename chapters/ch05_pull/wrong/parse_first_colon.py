from minidock.errors import InvalidReference
from minidock.oci.reference import Reference
def parse(text):
    text, _, digest = text.partition("@")
    name, _, tag = text.partition(":")
    if "/" in tag:
        raise InvalidReference(f"invalid tag {tag}")
    domain, _, path = name.partition("/")
    if not path or not ("." in domain or domain == "localhost"):
        domain, path = "docker.io", name if path else "library/" + name
    return Reference(domain, path, tag or None, digest or None)
