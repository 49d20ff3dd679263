import base64, json
from minidock.errors import InvalidInput
from minidock.registry.credentials import Credentials
def from_header(value):
    try:
        config = json.loads(base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True))
        assert isinstance(config, dict)
        assert all(isinstance(v, str) for v in config.values())
        username, password = config.get("username", ""), config.get("password", "")
        if config.get("auth") and not username:
            username, _, password = base64.b64decode(config["auth"]).decode().partition(":")
        return Credentials(username, password, config.get("identitytoken", ""), config.get("registrytoken", ""))
    except Exception as error:
        raise InvalidInput("X-Registry-Auth") from error
