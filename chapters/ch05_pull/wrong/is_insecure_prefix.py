import ipaddress
def is_insecure(url, settings):
    if url.host.startswith(("localhost", "127.")) or url.host == "::1":
        return True
    if url.host in settings.insecure or f"{url.host}:{url.port}" in settings.insecure:
        return True
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return False
    return any(address in network for network in settings.insecure_networks())
