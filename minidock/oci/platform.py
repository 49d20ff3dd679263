"""Platforms: which of an index's manifests is for this machine.

Source: image-spec, image-index.md; https://github.com/containerd/platforms (aliases, and which variant runs where).
"""

from __future__ import annotations

import os

import msgspec

from minidock.errors import InvalidInput

_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "armv7l": "arm",
    "i386": "386", "i686": "386",
}  # fmt: skip
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


class Platform(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An operating system and a processor: ``linux/arm64/v8``."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(name="os.version", default="")
    os_features: list[str] = msgspec.field(name="os.features", default_factory=list)
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def parse(text: str) -> Platform:
    """Read ``linux/arm64/v8``, ``linux/amd64`` or ``arm64``. Raises InvalidInput."""
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts.insert(0, "linux")
    if len(parts) > 3 or not all(part.replace("-", "").replace("_", "").isalnum() for part in parts):
        raise InvalidInput(f"{text!r} is not a platform: write it as linux/amd64 or linux/arm64/v8")
    os_name, architecture, variant = (*parts, "")[:3]
    return normalise(Platform(os=os_name, architecture=architecture, variant=variant))


def host() -> Platform:
    """The platform that this machine's kernel runs (uname(2))."""
    return normalise(Platform(os="linux", architecture=os.uname().machine))


def normalise(platform: Platform) -> Platform:
    """One spelling for each platform: ``x86_64`` is ``amd64``, and a default variant is not written."""
    architecture = platform.architecture.lower()
    architecture = _ARCHITECTURES.get(architecture, architecture)
    variant = platform.variant.lower()
    if variant.isdigit():
        variant = f"v{variant}"
    if architecture in ("amd64", "arm64") and variant == _DEFAULT_VARIANTS[architecture]:
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v6" if platform.architecture == "armel" else "v7"
    return Platform(
        os=platform.os.lower() or "linux",
        architecture=architecture,
        variant=variant,
        os_version=platform.os_version,
        os_features=platform.os_features,
    )


def fitness(offered: Platform, wanted: Platform) -> int:
    """How well a program for ``offered`` runs on ``wanted``: 0 is not at all, and more is better.

    An older variant of the same architecture runs too: arm/v6 on arm/v7, amd64 on amd64/v3.
    """
    offered, wanted = normalise(offered), normalise(wanted)
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return 0
    have, need = _variant_number(wanted), _variant_number(offered)
    if have is None or need is None:
        return 1 if offered.variant == wanted.variant else 0
    return need + 1 if need <= have else 0


def _variant_number(platform: Platform) -> int | None:
    """7 of ``v7``; None for a variant that is no number."""
    variant = platform.variant or _DEFAULT_VARIANTS.get(platform.architecture, "v0")
    return int(variant[1:]) if variant[0] == "v" and variant[1:].isdigit() else None
