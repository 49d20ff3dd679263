"""The program of chapter 5: pull an image, and run a command in it.

``python -m chapters run 5 -- hello``
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from chapters.ch04_images.container import start
from chapters.registry import tiny_registry
from minidock.content.store import Content
from minidock.images.layers import Layers
from minidock.oci.platform import host
from minidock.oci.reference import Reference
from minidock.registry.progress import Progress
from minidock.registry.pull import Layer, pull


async def bring(name: Reference, at: Path) -> list[Path]:
    """Pull an image, each layer unpacked as soon as it is there; their directories, the topmost first."""
    content = Content(at / "images", at / "ingest")
    layers = Layers(at / "layers", content)

    async def unpack(layer: Layer) -> None:
        await asyncio.to_thread(layers.unpack, layer.descriptor, layer.diff_id)

    pulled = await pull(name, host(), content, tell, unpack)
    return [layers.path(layer.diff_id) for layer in reversed(pulled.layers)]


def tell(event: Progress) -> None:
    """A line for each thing that happens to a layer."""
    if event.status != "Downloading":
        print(f"{event.id}: {event.status}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Run ``arguments`` (a shell, if there are none); the program's exit code."""
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as at, tiny_registry() as name:
        return start(asyncio.run(bring(name, Path(at))), Path(at, "box"), tuple(arguments or ["sh"]))
