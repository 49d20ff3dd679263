import ipaddress, re
from minidock.errors import InvalidInput
def ports(text):
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not match:
        raise InvalidInput(text)
    first, last = int(match[1]), int(match[2] or match[1])
    return list(range(first, last + 1))
def parse_publish(text):
    rest, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    head, _, inside = rest.rpartition(":")
    address, _, outside = head.rpartition(":")
    address = address.strip("[]")
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidInput(address)
    first = ports(inside)
    last = ports(outside) if outside else []
    if last and len(last) != len(first) and len(first) != 1:
        raise InvalidInput(text)
    hosts = [outside] if len(first) == 1 and len(last) > 1 else [str(p) for p in last] or [""] * len(first)
    return [(f"{p}/{protocol}", {"HostIp": address, "HostPort": h}) for p, h in zip(first, hosts)]
