from ipaddress import ip_address, ip_interface
from minidock.networks.filter import Element
def elements(publications, target):
    if target is None or not target.link:
        return
    for item in publications:
        address = ip_address(item.host_ip)
        text = target.ipv4 if address.version == 4 else target.ipv6
        if not text or item.host_ip == "::1":
            continue
        rest = f"{item.protocol} . {item.host_port} : {text} . {item.port}"
        if address.is_unspecified:
            yield Element(f"everywhere{address.version}", rest)
        else:
            yield Element(f"published{address.version}", f"{address} . {rest}")
