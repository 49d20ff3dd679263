import secrets
from ipaddress import IPv4Address
def mac_of(address):
    last = address.packed if isinstance(address, IPv4Address) else secrets.token_bytes(4)
    return "02:42:" + ":".join("%x" % byte for byte in last)
