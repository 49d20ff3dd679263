"""The program of chapter 9: ``python -m chapters run 9 -- -b CONTEXT sh``: a built image goes through a registry."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from chapters.ch05_pull.container import bring
from chapters.ch08_build.container import build, start
from chapters.registry import image
from chapters.rootfs import PATH, tiny_root
from minidock.build import context
from minidock.build.sources import Source
from minidock.content.store import Content
from minidock.images.packing import pack
from minidock.oci.image import ContainerDefaults
from minidock.oci.reference import parse
from minidock.registry.push import push
from minidock.registry.server import access, application, registry, store


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[str]:
    """A registry for everybody on this machine, its directory at ``root``; where it listens."""
    disk = store.Store(root)
    runner = web.AppRunner(application.application(registry.Registry(disk, access.Anybody())))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        disk.close()


async def there_and_back(layers: list[Path], config: ContainerDefaults, at: Path) -> list[Path]:
    """Pack directories (the topmost first) as an image, push it, and pull it again; the layers that came back."""
    content = Content(at / "own", at / "adding")
    packed = [layer for path in reversed(layers) if (layer := pack(content, path)[0])]
    async with serving(at / "registry") as address:
        await push(name := parse(f"{address}/course/own:latest"), image(content, packed, config), content)
        return await bring(name, at)


def main(arguments: list[str]) -> int:
    """Run the rest of ``arguments``, or what the image says; the program's exit code."""
    with tiny_root() as base, tempfile.TemporaryDirectory() as directory:
        layers, config, at = [base], ContainerDefaults(env=[PATH]), Path(directory)
        for name in ("store", "box"):
            (at / name).mkdir()
        if arguments[:1] == ["-b"] and len(arguments) > 1:
            files, arguments = Source(Path(arguments[1])), arguments[2:]
            layers, config = build(context.read_dockerfile(files, ""), files, layers, at / "store")
        layers = asyncio.run(there_and_back(layers, config, at))
        return start(layers, at / "box", config, arguments or [*config.entrypoint, *config.cmd] or ["sh"])
