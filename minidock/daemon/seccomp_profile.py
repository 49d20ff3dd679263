"""Docker's form of a seccomp profile becomes the runtime-spec's: what depends on the container is decided here.

Docker's form knows rules that hold only with (``includes``) or without (``excludes``) some capability, architecture or
kernel version, and a map from an architecture to those that it can also run. ``seccomp_default.json`` is our default
profile in that form: an allowlist. The format is that of ``docker run --security-opt seccomp=FILE``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Set
from functools import cache
from pathlib import Path
from typing import Any

from minidock.errors import InvalidInput

# What uname -m says: Docker's word for it (Go's), and the runtime-spec's.
_MACHINES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}


def default_profile(capabilities: Set[str]) -> dict[str, Any]:
    """The default profile for a container with these capabilities (``CAP_…``, its bounding set): ``linux.seccomp``."""
    return expand(_default(), capabilities)


@cache
def _default() -> dict[str, Any]:
    profile: dict[str, Any] = json.loads((Path(__file__).parent / "seccomp_default.json").read_text())
    return profile


def expand(
    profile: Mapping[str, Any],
    capabilities: Set[str],
    machine: str = os.uname().machine,
    release: str = os.uname().release,
) -> dict[str, Any]:
    """A profile in Docker's form as runtime-spec ``linux.seccomp``, for this machine and kernel release.

    Raises :class:`InvalidInput` when the profile is none.
    """
    if not isinstance(profile, Mapping) or not isinstance(profile.get("defaultAction"), str):
        raise InvalidInput("seccomp profile: an object with a defaultAction is needed")
    if profile.get("architectures") and profile.get("archMap"):
        raise InvalidInput("seccomp profile: use either architectures or archMap, not both")
    go_name, own = _MACHINES[machine]
    result = {
        key: profile[key] for key in ("defaultAction", "defaultErrnoRet", "flags", "listenerPath") if key in profile
    }
    result["architectures"] = list(profile.get("architectures") or ())
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == own:
            result["architectures"] = [own, *(entry.get("subArchitectures") or ())]
    result["syscalls"] = [
        _plain(rule) for rule in profile.get("syscalls") or () if _applies(rule, capabilities, go_name, release)
    ]
    return result


def _plain(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a rule that the runtime-spec knows. ``name`` is how profiles before 2017 spelt ``names``."""
    if bool(rule.get("name")) == bool(rule.get("names")):
        raise InvalidInput("seccomp profile: each rule of syscalls needs names")
    plain = {key: rule[key] for key in ("action", "errnoRet", "args") if rule.get(key) is not None}
    return {"names": list(rule.get("names") or [rule["name"]]), **plain}


def _applies(rule: Mapping[str, Any], capabilities: Set[str], go_name: str, release: str) -> bool:
    """Everything in ``includes`` holds, and nothing in ``excludes``."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    wanted, unwanted = includes.get("caps") or (), excludes.get("caps") or ()
    if not capabilities >= set(wanted) or not capabilities.isdisjoint(unwanted):
        return False
    if (includes.get("arches") and go_name not in includes["arches"]) or go_name in (excludes.get("arches") or ()):
        return False
    since, until = includes.get("minKernel"), excludes.get("minKernel")
    return not (since and _version(release) < _version(since)) and not (until and _version(release) >= _version(until))


def _version(release: str) -> tuple[int, int]:
    """The first two numbers of a kernel release, ``6.1.0-18-amd64``."""
    match = re.match(r"(\d+)\.(\d+)", release)
    if match is None:
        raise InvalidInput(f"seccomp profile: {release!r} is no kernel version")
    return int(match[1]), int(match[2])
