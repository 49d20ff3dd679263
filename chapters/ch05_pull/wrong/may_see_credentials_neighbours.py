from minidock.registry.authorization import HUB_REALM, HUB_REGISTRY
from minidock.registry.endpoints import is_acceptable, is_insecure
def may_see_credentials(realm, registry, settings):
    if not is_acceptable(realm, settings):
        return False
    if realm.origin() == registry.origin():
        return True
    if realm.host in settings.trusted_realms or f"{realm.host}:{realm.port}" in settings.trusted_realms:
        return True
    if realm.scheme != "https" or registry.scheme != "https" or is_insecure(realm, settings):
        return False
    if (registry.origin(), realm.origin()) == (HUB_REGISTRY, HUB_REALM):
        return True
    return realm.host.split(".")[-2:] == registry.host.split(".")[-2:] and "." in realm.host
