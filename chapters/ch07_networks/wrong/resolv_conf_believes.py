import re
from ipaddress import ip_address
from minidock.errors import InvalidInput
from minidock.networks.files import FALLBACK_SERVERS
def good(server):
    try:
        return ip_address(server).version == 4 and not ip_address(server).is_loopback
    except ValueError:
        return False
def resolv_conf(servers=(), search=(), options=(), isolated=True, host=None):
    words = [line.split() for line in host.splitlines()]
    if not servers:
        servers = [w[1] for w in words if w[:1] == ["nameserver"] and len(w) > 1]
        if isolated:
            servers = [s for s in servers if good(s)] or list(FALLBACK_SERVERS)
    if not search:
        search = next((w[1:] for w in reversed(words) if w[:1] in (["search"], ["domain"])), [])
    if not options:
        options = [o for w in words if w[:1] == ["options"] for o in w[1:]]
    text = "".join(f"nameserver {s}\n" for s in servers)
    if search and list(search) != ["."]:
        text += "search " + " ".join(search) + "\n"
    if options:
        text += "options " + " ".join(options) + "\n"
    return text
