"""The problem of chapter 5: a name is a promise, and whoever stands between you and it can break it.

``python -m chapters problem 5``, and with ``-- pull`` the same mirror as the engine meets it.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from chapters.ch03_cgroups.container import plan
from chapters.registry import programs, publish, serving, tiny_layer
from chapters.rootfs import PATH
from minidock.containers.init import run
from minidock.containers.steps import Context
from minidock.content.store import Content
from minidock.errors import CorruptContent
from minidock.oci import digest as digests
from minidock.oci import runtime as oci
from minidock.oci.image import OCI_MANIFEST
from minidock.oci.platform import host
from minidock.oci.reference import Reference, parse
from minidock.registry.pull import pull
from minidock.registry.settings import Settings

HONEST = programs({"bin/pay": "#!/bin/sh\necho 'pay 100 to Alice'\n"})
MOVED = programs({"bin/pay": "#!/bin/sh\necho 'pay all to Mallory'\n"})


def get(url: str) -> bytes:
    """What a client without a suspicion does: take what comes."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": OCI_MANIFEST})) as answer:
        body: bytes = answer.read()
        return body


def copy_and_run(name: Reference) -> int:
    """Copy an image by hand, GET and tar, and run ``pay`` in chapter 3's container."""
    repository = f"http://{name.domain}/v2/{name.path}"
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as directory:
        for layer in json.loads(get(f"{repository}/manifests/{name.tag}"))["layers"]:
            blob = get(f"{repository}/blobs/{layer['digest']}")
            subprocess.run(["tar", "-x", "-C", directory], input=blob, check=True)
        return run(plan(Path(directory), ("pay",)), Context(oci.Process("/", ["pay"], [PATH]), container_id="mirror"))


def change_one_byte(mirror: Path) -> None:
    """In the mirror's own files. It goes on serving the layer under its old name, and the size is right."""
    blob = Content(mirror / "content", mirror / "ingest").path(digests.of(HONEST))
    blob.write_bytes(blob.read_bytes().replace(b"pay 100", b"pay 900"))


def by_the_engine(name: Reference, mirror: Path) -> int:
    """The same mirror, asked by :func:`minidock.registry.pull.pull`; what went over the wire, and what came of it."""
    before = (mirror / "log").stat().st_size
    one_by_one = Settings(max_concurrent_downloads=1)  # so that the log is the same each time
    try:
        asyncio.run(pull(name, host(), Content(mirror / "pulled", mirror / "pulling"), settings=one_by_one))
        print("pulled")
    except CorruptContent as error:
        print(f"refused: {error}")
    for method, path, status in re.findall(r"(GET|HEAD) (/\S+): (\d+)", (mirror / "log").read_text()[before:]):
        short = re.sub("(sha256:[0-9a-f]{12})[0-9a-f]+", r"\1", path)
        print(f"{method} {short}: {status}")
    return 0


def main(arguments: list[str]) -> int:
    """An honest mirror, the same with one byte changed, and a tag that moves."""
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as at, serving(Path(at)) as address:
        name = parse(f"{address}/shop/pay:latest")
        shell = tiny_layer()
        publish(name, [shell, HONEST])
        if arguments == ["pull"]:
            change_one_byte(Path(at))
            return by_the_engine(name, Path(at))
        print("what the author pushed:", flush=True)
        code = copy_and_run(name)
        change_one_byte(Path(at))
        print("one byte is changed on the mirror's disk, and the image is copied again:", flush=True)
        code = code or copy_and_run(name)
        publish(name, [shell, MOVED])
        print("somebody pushes another image to the same name:", flush=True)
        return code or copy_and_run(name)
