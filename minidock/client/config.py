"""The user's ``config.json`` in ``$DOCKER_CONFIG`` or ``~/.docker``, shared with Docker's own command line."""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any

from minidock.errors import InvalidInput


def directory() -> str:
    """Where ``config.json`` is, and what lies beside it: contexts, certificates, manifests."""
    return os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")


def path(*names: str) -> str:
    """The path of something in :func:`directory`."""
    return "/".join([directory(), *names])


def read() -> dict[str, Any]:
    """Everything in it; nothing when there is none. Raises InvalidInput for a file that is not a JSON object."""
    try:
        with open(path("config.json"), "rb") as file:
            document = json.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise InvalidInput(f"Error loading config file: open {path('config.json')}: {reason}") from None
    except ValueError as error:
        raise InvalidInput(f"Error loading config file: {path('config.json')}: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"Error loading config file: {path('config.json')}: it is not a JSON object")
    return document


def setting(name: str) -> str:
    """One of its texts. It is empty when the file cannot be read, about which the user is warned, as by Docker's."""
    try:
        return str(read().get(name, ""))
    except InvalidInput as error:
        _warn(str(error))
        return ""


@functools.cache
def _warn(message: str) -> None:
    """Say it, once."""
    print(f"WARNING: {message}", file=sys.stderr)


def write(document: dict[str, Any]) -> None:
    """Replace it, all or nothing, readable by its owner alone: passwords may be in it."""
    os.makedirs(directory(), mode=0o700, exist_ok=True)
    target = os.path.realpath(path("config.json"))  # a symbolic link stays one
    temporary = f"{target}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        json.dump(document, file, indent="\t")
    os.replace(temporary, target)
