from ipaddress import IPv4Address
def mac_of(address):
    last = address.packed if isinstance(address, IPv4Address) else bytes(4)
    return "02:42:" + last.hex(":")
