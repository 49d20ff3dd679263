"""``commit --change``, ``import --change``: a few Dockerfile instructions that give a new image its configuration."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

import msgspec

from minidock import units
from minidock.errors import InvalidInput
from minidock.oci.image import ContainerDefaults, Healthcheck

SHELL = ["/bin/sh", "-c"]


def apply(lines: Sequence[str], config: ContainerDefaults = ContainerDefaults()) -> ContainerDefaults:  # noqa: B008
    """The configuration that the instructions make of ``config``. Raises InvalidInput."""
    keywords = set()
    for line in lines:
        keyword, _, rest = line.strip().partition(" ")
        config = msgspec.structs.replace(config, **_change(config, keyword.upper(), rest.strip(), line))
        keywords.add(keyword.upper())
    # The old command was written for the old entrypoint.
    outdated = "ENTRYPOINT" in keywords and "CMD" not in keywords
    return msgspec.structs.replace(config, cmd=[]) if outdated else config


def _change(config: ContainerDefaults, keyword: str, rest: str, line: str) -> dict[str, object]:
    match keyword:
        case "CMD" | "ENTRYPOINT":
            return {keyword.lower(): _command(rest, line)}
        case "ENV":
            env = dict(entry.partition("=")[::2] for entry in config.env) | _pairs(rest, line)
            return {"env": [f"{name}={value}" for name, value in env.items()]}
        case "LABEL":
            return {"labels": config.labels | _pairs(rest, line)}
        case "WORKDIR":
            return {"working_dir": rest}
        case "USER":
            return {"user": rest}
        case "STOPSIGNAL":
            return {"stop_signal": rest}
        case "ONBUILD":
            return {"on_build": [*config.on_build, rest]}
        case "HEALTHCHECK":
            return {"healthcheck": _healthcheck(rest, line)}
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


def _healthcheck(rest: str, line: str) -> Healthcheck:
    """``NONE``, or ``--interval=5s --retries=3 CMD command``."""
    options: dict[str, int] = {}
    while found := re.match(r"--(interval|timeout|start-period|start-interval|retries)=(\S+)\s+", rest):
        name, value = found.groups()
        options[name.replace("-", "_")] = _count(value, line) if name == "retries" else units.parse_duration(value)
        rest = rest[found.end() :]
    kind, _, command = rest.partition(" ")
    if kind.upper() == "NONE" and not options and not command:
        return Healthcheck(test=["NONE"])
    if kind.upper() != "CMD" or not command:
        raise InvalidInput(f"HEALTHCHECK needs NONE or CMD and a command: {line}")
    words = _command(command.strip(), line)
    test = ["CMD", *words] if command.strip().startswith("[") else ["CMD-SHELL", words[-1]]
    return Healthcheck(test=test, **options)


def _count(text: str, line: str) -> int:
    if not text.isdigit():
        raise InvalidInput(f"--retries must be a whole number: {line}")
    return int(text)


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
