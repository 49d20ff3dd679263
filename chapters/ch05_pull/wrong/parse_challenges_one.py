import re
from minidock.oci.distribution import Challenge
def parse_challenges(headers):
    found = []
    for header in headers:
        scheme, _, rest = header.partition(" ")
        pairs = re.findall(r'(\w+)=(?:"([^"]*)"|(\w+))', rest)
        found.append(Challenge(scheme.lower(), {name.lower(): quoted or word for name, quoted, word in pairs}))
    return found
