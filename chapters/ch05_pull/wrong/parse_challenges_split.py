from minidock.oci.distribution import Challenge
def parse_challenges(headers):
    found = []
    for header in headers:
        scheme, _, rest = header.partition(" ")
        pairs = [part.strip().split("=", 1) for part in rest.split(",")]
        found.append(Challenge(scheme.lower(), {p[0].lower(): p[-1].strip('"') for p in pairs}))
    return found
