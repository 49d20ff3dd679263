"""Contexts: names for daemons, stored as Docker's own command line stores them, and shared with it.

``contexts/meta/<sha256 of the name>/meta.json`` beside config.json says where the daemon is; its certificates are in
``contexts/tls/<sha256 of the name>/docker/``; ``currentContext`` in config.json is the one in use.
"""

from __future__ import annotations

import json
import os
from typing import Any

from minidock.client import config
from minidock.client.address import TLS
from minidock.errors import InvalidInput, NotFound

DEFAULT = "default"
FILES = ("ca", "cert", "key")


def metadata(name: str) -> str:
    """The directory of a context's description."""
    return config.path("contexts", "meta", _digest(name))


def certificates(name: str) -> str:
    """The directory of a context's certificates."""
    return config.path("contexts", "tls", _digest(name))


def _digest(name: str) -> str:
    import hashlib  # slow to import, and most users have no contexts

    return hashlib.sha256(name.encode()).hexdigest()


def chosen(flag: str) -> str:
    """The context in use: the flag's, else $DOCKER_CONTEXT's, else config.json's."""
    return flag or os.environ.get("DOCKER_CONTEXT", "") or config.setting("currentContext") or DEFAULT


def read(name: str) -> dict[str, Any]:
    """A context's document. Raises NotFound."""
    path = f"{metadata(name)}/meta.json"
    try:
        with open(path, "rb") as file:
            return dict(json.load(file))
    except FileNotFoundError:
        raise NotFound(f'context "{name}": context not found: open {path}: no such file or directory') from None
    except ValueError as error:
        raise InvalidInput(f'context "{name}": {path}: {error}') from None


def endpoint(name: str) -> tuple[str, TLS | None]:
    """Where a context's daemon is, and how to speak to it. Raises NotFound."""
    found = read(name)["Endpoints"]["docker"]
    directory = f"{certificates(name)}/docker"
    ca, cert, key = [path if os.path.exists(path := f"{directory}/{one}.pem") else "" for one in FILES]
    skip = bool(found.get("SkipTLSVerify"))
    return str(found["Host"]), TLS(ca, cert, key, not skip) if ca or cert or key or skip else None


def every() -> list[dict[str, Any]]:
    """All of them, by name."""
    top = config.path("contexts", "meta")
    found = []
    for one in os.listdir(top) if os.path.isdir(top) else []:
        with open(f"{top}/{one}/meta.json", "rb") as file:
            found.append(json.load(file))
    return sorted(found, key=lambda document: str(document["Name"]))


def material(name: str) -> dict[str, bytes]:
    """A context's certificates, by their files' names."""
    directory = f"{certificates(name)}/docker"
    found = {}
    for one in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        with open(f"{directory}/{one}", "rb") as file:
            found[one] = file.read()
    return found


def write(document: dict[str, Any], files: dict[str, bytes] | None) -> None:
    """Store a context. Its certificates, by their files' names, replace those that it had; None leaves them."""
    import shutil  # slow to import

    name = document["Name"]
    if files is not None:
        shutil.rmtree(certificates(name), ignore_errors=True)
    os.makedirs(metadata(name), mode=0o755, exist_ok=True)
    with open(f"{metadata(name)}/meta.json", "w") as file:
        json.dump(document, file, separators=(",", ":"))
    if files:
        os.makedirs(f"{certificates(name)}/docker", mode=0o700, exist_ok=True)
    for one, data in (files or {}).items():
        with open(os.open(f"{certificates(name)}/docker/{one}", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as target:
            target.write(data)


def remove(name: str) -> None:
    """Forget a context. Raises NotFound."""
    import shutil  # slow to import

    read(name)
    shutil.rmtree(metadata(name))
    shutil.rmtree(certificates(name), ignore_errors=True)
