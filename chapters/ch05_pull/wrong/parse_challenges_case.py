import re
from minidock.oci.distribution import Challenge
def parse_challenges(headers):
    found = []
    for header in headers:
        scheme, _, rest = header.partition(" ")
        found.append(Challenge(scheme, dict(re.findall(r'(\w+)="([^"]*)"', rest))))
    return found
