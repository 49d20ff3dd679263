"""``import --change``: a few Dockerfile instructions that give a new image its configuration."""

from __future__ import annotations

import json
import shlex

import msgspec

from minidock.errors import InvalidInput
from minidock.oci.image import ContainerDefaults

SHELL = ["/bin/sh", "-c"]


def apply(lines: list[str]) -> ContainerDefaults:
    """The configuration that the instructions describe. Raises InvalidInput."""
    config = ContainerDefaults()
    for line in lines:
        keyword, _, rest = line.strip().partition(" ")
        config = msgspec.structs.replace(config, **_change(config, keyword.upper(), rest.strip(), line))
    return config


def _change(config: ContainerDefaults, keyword: str, rest: str, line: str) -> dict[str, object]:
    match keyword:
        case "CMD" | "ENTRYPOINT":
            return {keyword.lower(): _command(rest, line)}
        case "ENV":
            return {"env": [*config.env, *(f"{name}={value}" for name, value in _pairs(rest, line).items())]}
        case "LABEL":
            return {"labels": config.labels | _pairs(rest, line)}
        case "WORKDIR":
            return {"working_dir": rest}
        case "USER":
            return {"user": rest}
        case "STOPSIGNAL":
            return {"stop_signal": rest}
        case "EXPOSE":
            ports: dict[str, object] = {port if "/" in port else f"{port}/tcp": {} for port in rest.split()}
            return {"exposed_ports": config.exposed_ports | ports}
        case "VOLUME":
            paths = _command(rest, line) if rest.startswith("[") else rest.split()
            return {"volumes": config.volumes | {path: {} for path in paths}}
        case _:
            raise InvalidInput(f"{keyword} is not a valid change command")


def _command(rest: str, line: str) -> list[str]:
    """``["a", "b"]`` is run as it is, anything else by a shell."""
    if not rest.startswith("["):
        return [*SHELL, rest]
    try:
        return msgspec.convert(json.loads(rest), list[str])
    except ValueError:
        raise InvalidInput(f"not a JSON list of strings: {line}") from None


def _pairs(rest: str, line: str) -> dict[str, str]:
    """``a=1 b="two words"``, or the old form ``name the whole rest``."""
    name, _, value = rest.partition(" ")
    if name and "=" not in name and value:
        return {name: value}
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise InvalidInput(f"{error}: {line}") from None
    if not words or not all("=" in word.lstrip("=") for word in words):
        raise InvalidInput(f"name=value is needed: {line}")
    return dict(word.partition("=")[::2] for word in words)
