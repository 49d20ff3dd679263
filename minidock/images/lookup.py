"""How overlayfs finds a file in a stack of layers, as a function that one can read.

The kernel does this for every path that a container opens. A directory is merged: its names are those of all layers
in which it is a directory, down to the first where it is something else, is gone (a whiteout), or hides what is below
it (opaque). Of anything else, the topmost one wins.

Source: the kernel's Documentation/filesystems/overlayfs.rst, "Merged directories", "Whiteouts and opaque directories".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from minidock.images.unpack import OPAQUE


def lookup(layers: Sequence[Path], path: str) -> list[Path]:
    """Where ``path`` (without symlinks in the middle) really is; empty if the merged tree does not have it.

    ``layers`` are directories, the topmost first. For a file there is one answer. For a directory there are all that
    are merged; the first one's owner, mode and times are what is seen.
    """
    merged = list(layers)
    for name in path.strip("/").split("/"):
        merged = step(merged, name) if name else merged
    return merged


def is_whiteout(status: os.stat_result) -> bool:
    """Does this say "what lower layers have under my name is gone"? A character device 0:0 does."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(directory: Path, follow: bool = False) -> bool:
    """Does this directory hide what lower layers have in theirs?"""
    try:
        return os.getxattr(directory, OPAQUE, follow_symlinks=follow) == b"y"
    except OSError:
        return False


def step(merged: Sequence[Path], name: str) -> list[Path]:
    """From a merged directory to one of its names."""
    found: list[Path] = []
    for directory in merged:
        here = directory / name
        try:
            status = here.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if is_whiteout(status):
            break
        if not stat.S_ISDIR(status.st_mode):
            return found or [here]
        found.append(here)
        if is_opaque(here):
            break
    return found


def names(merged: Sequence[Path]) -> set[str]:
    """The names in a merged directory."""
    every = {path.name for directory in merged for path in directory.iterdir()}
    return {name for name in every if step(merged, name)}
