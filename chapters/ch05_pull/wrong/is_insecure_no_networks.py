import ipaddress
def is_insecure(url, settings):
    if url.host == "localhost" or {url.host, f"{url.host}:{url.port}"} & settings.insecure:
        return True
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False
