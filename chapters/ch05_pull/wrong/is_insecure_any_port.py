import ipaddress
def is_insecure(url, settings):
    if url.host == "localhost" or url.host in {entry.split(":")[0] for entry in settings.insecure}:
        return True
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in settings.insecure_networks())
