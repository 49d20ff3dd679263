"""Values of ``run``'s flags that are more than text. Each function reads one, or raises InvalidInput."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable
from typing import Any

from minidock.client.flags import split_commas
from minidock.errors import InvalidInput
from minidock.units import parse_size

_LIMITS = re.compile("core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack")
_SYSCTLS = re.compile(r"kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|(net|fs\.mqueue)\..*")


def memory_swap(text: str) -> int:
    """Bytes; -1 for no limit."""
    return -1 if text == "-1" else parse_size(text)


def stream(text: str) -> str:
    """``stdin``, ``stdout`` or ``stderr``."""
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise InvalidInput("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def ulimit(text: str) -> dict[str, Any]:
    """``nofile=1024:2048``, as ``{"Name", "Soft", "Hard"}``."""
    name, equals, values = text.partition("=")
    soft, _, hard = values.partition(":")
    if not equals or not re.fullmatch(r"-?\d+(:-?\d+)?", values, re.ASCII):
        raise InvalidInput(f"invalid ulimit argument: {text}")
    if not _LIMITS.fullmatch(name):
        raise InvalidInput(f"invalid ulimit type: {name}")
    low, high = int(soft), int(hard or soft)
    if high != -1 and (low > high or low == -1):
        raise InvalidInput(f"ulimit soft limit must be less than or equal to hard limit: {low} > {high}")
    return {"Name": name, "Soft": low, "Hard": high}


def sysctl(text: str) -> str:
    """``net.ipv4.ip_forward=1``: only those that belong to a namespace."""
    name, equals, _ = text.partition("=")
    if not equals or not _SYSCTLS.fullmatch(name):
        raise InvalidInput(f"sysctl '{text}' is not allowed")
    return text


def variable(text: str) -> str:
    """``NAME=value`` or ``NAME``."""
    if not text.partition("=")[0]:
        raise InvalidInput(f"invalid environment variable: {text}")
    return text


def label(text: str) -> str:
    """``name=value`` or ``name``."""
    if not text.partition("=")[0]:
        raise InvalidInput(f"invalid label '{text}': empty name")
    return text


def address(text: str) -> str:
    """An IP address."""
    import ipaddress  # slow to import, and hardly ever needed

    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise InvalidInput(f"IP address is not correctly formatted: {text}") from None


def extra_host(text: str) -> str:
    """``name:address``, ``name=address``, ``name:host-gateway``, as the API takes it."""
    name, separator, where = text.partition("=") if "=" in text else text.partition(":")
    if not separator or not name or ":" in name:
        raise InvalidInput(f'bad format for add-host: "{text}"')
    if where.startswith("[") and where.endswith("]"):
        where = where[1:-1]
    if where != "host-gateway":
        try:
            address(where)
        except InvalidInput:
            raise InvalidInput(f'invalid IP address in add-host: "{where}"') from None
    return f"{name}:{where}"


def search_domain(text: str) -> str:
    """A domain, or ``.`` for none."""
    text = text.strip()
    part = r"[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?"
    if text != "." and not re.fullmatch(rf"{part}(\.{part})*\.?", text, re.ASCII):
        raise InvalidInput(f"{text} is not a valid domain")
    return text


def link(text: str) -> str:
    """``container`` or ``container:alias``."""
    if not text:
        raise InvalidInput("empty string specified for links")
    if text.count(":") > 1:
        raise InvalidInput(f"bad format for links: {text}")
    return text


def device_rule(text: str) -> str:
    """``c 1:3 rwm``."""
    if not re.fullmatch(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}", text):
        raise InvalidInput(f"invalid device cgroup format '{text}'")
    return text


def _device_and(text: str, what: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path:
        raise InvalidInput(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidInput(f"bad format for device path: {text}")
    return path, value


def weight(text: str) -> dict[str, Any]:
    """``/dev/sda:500``."""
    path, value = _device_and(text, "weight")
    if not value.isdigit() or not (int(value) == 0 or 10 <= int(value) <= 1000):
        raise InvalidInput(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(value)}


def rate(in_bytes: bool) -> Callable[[str], dict[str, Any]]:
    """A reader of ``/dev/sda:1mb`` or, of operations, ``/dev/sda:1000``."""
    example = "<number>[<unit>]" if in_bytes else "<number>"
    hint = "Number must be a positive integer." + (" Unit is optional and can be kb, mb, or gb" if in_bytes else "")

    def read(text: str) -> dict[str, Any]:
        path, value = _device_and(text, "rate")
        try:
            number = parse_size(value) if in_bytes else int(value)
        except (ValueError, InvalidInput):
            number = -1
        if number < 0:
            message = f"invalid rate for device: {text}. The correct format is <device-path>:{example}. {hint}"
            raise InvalidInput(message if in_bytes else message.removesuffix("."))
        return {"Path": path, "Rate": number}

    return read


def device(text: str) -> dict[str, str]:
    """``/dev/sda:/dev/xvda:rwm``, ``/dev/fuse``, ``/dev/fuse:r``."""
    parts = text.split(":")
    is_mode = re.compile(r"(?!.*(.).*\1)[rwm]{1,3}").fullmatch
    if len(parts) == 2 and is_mode(parts[1]):
        parts = [parts[0], "", parts[1]]
    source, inside, mode = (*parts, "", "")[:3]
    if len(parts) > 3 or not source:
        raise InvalidInput(f"bad format for path: {text}")
    if mode and not is_mode(mode):
        raise InvalidInput(f"bad mode specified: {mode}")
    inside = posixpath.normpath(inside or source)
    if not inside.startswith("/"):
        raise InvalidInput(f"{inside} is not an absolute path")
    return {"PathOnHost": source, "PathInContainer": inside, "CgroupPermissions": mode or "rwm"}


def gpus(text: str) -> dict[str, Any]:
    """``all``, a number, or ``driver=…,count=…,device=…,capabilities=…,options=…``."""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [], "Options": {}}
    for field in split_commas(text):
        name, equals, value = field.partition("=")
        if not equals or name == "count":
            request["Count"] = _count(value if equals else name)
        elif name == "driver":
            request["Driver"] = value
        elif name == "device":
            request["DeviceIDs"] = value.split(",")
        elif name == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif name == "options":
            request["Options"] = dict(part.partition("=")[::2] for part in value.split(","))
        else:
            raise InvalidInput(f"unexpected key '{name}' in '{field}'")
    if not request["Count"] and request["DeviceIDs"] is None:
        request["Count"] = 1
    return request | {"Capabilities": request["Capabilities"] or [["gpu"]]}


def _count(text: str) -> int:
    if text == "all":
        return -1
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise InvalidInput(f'invalid count ({text}): value must be either "all" or an integer: invalid syntax')
    return int(text)


def host_path(path: str) -> str:
    """The absolute path of what is meant from here: the daemon is somewhere else."""
    return os.path.abspath(os.path.expanduser(path))
