"""``--mount type=bind,src=/a,dst=/b,readonly``, as the API's Mount. Each mistake is told in Docker's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from minidock.client.flags import boolean, split_commas
from minidock.client.values import host_path
from minidock.errors import InvalidInput
from minidock.units import parse_size

_ALONE = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive")
_MODES = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def mount(text: str) -> dict[str, Any]:
    """``type=bind,src=/a,dst=/b,readonly``, as the API's Mount."""
    found: dict[str, Any] = {"Type": "volume"}
    for field in split_commas(text):
        name, equals, value = field.partition("=")
        if not equals and name not in _ALONE:
            raise InvalidInput(f"invalid field '{field}' must be a key=value pair")
        _mount_field(found, name, value if equals else "true", field)
    if not found["Type"]:
        raise InvalidInput("type is required")
    if not found.get("Target"):
        raise InvalidInput("target is required")
    for kind in ("volume", "image", "bind", "tmpfs"):
        if f"{kind.title()}Options" in found and found["Type"] != kind:
            raise InvalidInput(f"cannot mix '{kind}-*' options with mount type '{found['Type']}'")
    _check_recursion(found)
    return found


def _check_recursion(found: dict[str, Any]) -> None:
    bind = found.get("BindOptions", {})
    if bind.get("ReadOnlyNonRecursive") and not found.get("ReadOnly"):
        raise InvalidInput("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive"):
        if not found.get("ReadOnly"):
            raise InvalidInput("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
        if bind.get("Propagation") != "rprivate":
            needed = "'bind-propagation=rprivate' to be specified in conjunction"
            raise InvalidInput(f"option 'bind-recursive=readonly' requires {needed}")


def _mount_field(found: dict[str, Any], name: str, value: str, field: str) -> None:
    plain = {"source": "Source", "src": "Source", "target": "Target", "dst": "Target", "destination": "Target"}
    kind = name.partition("-")[0]
    if name in plain:
        relative = plain[name] == "Source" and (value == "." or value.startswith("./"))
        found[plain[name]] = host_path(value) if relative else value
    elif name in ("type", "consistency"):
        found[name.title()] = value.lower()
    elif name in ("readonly", "ro"):
        found["ReadOnly"] = _bool(name, value)
    elif name in _OPTIONS:
        options = found.setdefault(f"{kind.title()}Options", {})
        _OPTIONS[name](options, name, value)
    else:
        raise InvalidInput(f"unexpected key '{name}' in '{field}'")


def _bool(name: str, value: str) -> bool:
    try:
        return boolean(value)
    except InvalidInput:
        raise InvalidInput(f"invalid value for {name}: {value}") from None


def _recursive(options: dict[str, Any], name: str, value: str) -> None:
    if value not in _MODES:
        raise InvalidInput(
            f'invalid value for {name}: {value} (must be "enabled", "disabled", "writable", or "readonly")'
        )
    options |= _MODES[value]


def _size(options: dict[str, Any], name: str, value: str) -> None:
    try:
        options["SizeBytes"] = parse_size(value)
    except InvalidInput:
        raise InvalidInput(f"invalid value for {name}: {value}") from None


def _mode(options: dict[str, Any], name: str, value: str) -> None:
    if not re.fullmatch("[0-7]{1,11}", value):
        raise InvalidInput(f"invalid value for {name}: {value}")
    options["Mode"] = int(value, 8)


def _pair(target: dict[str, str], value: str) -> None:
    name, _, text = value.partition("=")
    if name:
        target[name] = text


_OPTIONS: dict[str, Callable[[dict[str, Any], str, str], Any]] = {
    "bind-nonrecursive": lambda options, name, value: options.update(NonRecursive=_bool(name, value)),
    "bind-propagation": lambda options, _, value: options.update(Propagation=value.lower()),
    "bind-recursive": _recursive,
    "image-subpath": lambda options, _, value: options.update(Subpath=value),
    "tmpfs-mode": _mode,
    "tmpfs-size": _size,
    "volume-driver": lambda options, _, value: options.setdefault("DriverConfig", {}).update(Name=value),
    "volume-label": lambda options, _, value: _pair(options.setdefault("Labels", {}), value),
    "volume-nocopy": lambda options, name, value: options.update(NoCopy=_bool(name, value)),
    "volume-opt": lambda options, _, value: _pair(
        options.setdefault("DriverConfig", {}).setdefault("Options", {}), value
    ),
    "volume-subpath": lambda options, _, value: options.update(Subpath=value),
}
