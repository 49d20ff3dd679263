from minidock.oci import reference
def parse(text):
    return reference.parse(text).with_default_tag()
