"""Platforms: spelling, and what runs where."""

from __future__ import annotations

import os

import pytest

from minidock.errors import InvalidInput
from minidock.oci import platform as platforms


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/386", "linux/386"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_one_spelling_each(text: str, meaning: str) -> None:
    """Aliases and default variants are one platform."""
    assert str(platforms.parse(text)) == meaning


@pytest.mark.parametrize("text", ["", "/", "linux/", "linux//v8", "a/b/c/d", "linux/amd 64", "linux/../x"])
def test_what_is_no_platform(text: str) -> None:
    """Anything else is refused, with an example."""
    with pytest.raises(InvalidInput, match="linux/amd64"):
        platforms.parse(text)


@pytest.mark.parametrize(
    ("wanted", "offers", "best"),
    [
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64"], "linux/arm/v7"),
        ("linux/arm/v6", ["linux/arm/v5", "linux/arm/v7"], "linux/arm/v5"),
        ("linux/arm64", ["linux/arm64/v9", "linux/arm64/v8"], "linux/arm64"),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"),
    ],
)
def test_the_newest_variant_that_runs(wanted: str, offers: list[str], best: str) -> None:
    """Older variants run on newer processors, never the other way; the newest of those that run is best."""
    want = platforms.parse(wanted)
    chosen = max((platforms.parse(offer) for offer in offers), key=lambda offer: platforms.fitness(offer, want))
    assert str(chosen) == best


def test_another_system_never_fits() -> None:
    """Neither another system nor another processor runs here."""
    here = platforms.parse("linux/amd64")
    for other in ("windows/amd64", "linux/arm64", "linux/386", "unknown/unknown"):
        assert platforms.fitness(platforms.parse(other), here) == 0


def test_this_machine() -> None:
    """This machine's own platform is the one that the kernel names."""
    expected = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
    assert str(platforms.host()) == expected[os.uname().machine]
