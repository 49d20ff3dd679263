"""The problem of chapter 9: a push that breaks off, to a directory that takes PUT.

``python -m chapters problem 9``, and with ``-- registry`` the same accident at our own registry.
"""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

from chapters.registry import image_of, programs, publish, serving
from minidock.content.store import Content
from minidock.content.wholes import everything
from minidock.oci.image import OCI_MANIFEST
from minidock.oci.reference import parse

ONE, TWO = (programs({"version": f"version {number}"}) for number in (1, 2))
NAME = "/v2/shop/pay"


class TakesPut(SimpleHTTPRequestHandler):
    """A directory of files for everybody to read and write: is that not all that a registry is?"""

    def do_PUT(self) -> None:
        """What comes is written where it belongs."""
        file = Path(self.translate_path(self.path))
        file.parent.mkdir(parents=True, exist_ok=True)
        size = file.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        if size == int(self.headers["Content-Length"]):  # else nobody waits for an answer
            self.send_response(201)
            self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def directory(root: Path) -> Iterator[str]:
    """``root`` on loopback; the address."""
    with HTTPServer(("127.0.0.1", 0), partial(TakesPut, directory=str(root))) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes
    location: str


def ask(address: str, method: str, path: str, body: bytes = b"", sent: int | None = None) -> Answer:
    """One request. If only so many bytes of its body are ``sent``, then the connection breaks: ConnectionError."""
    with closing(HTTPConnection(address)) as connection:
        connection.putrequest(method, path)
        connection.putheader("Content-Type", OCI_MANIFEST)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:sent])
        if sent is not None:
            raise ConnectionError("the line is broken")
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), answer.headers.get("Location", ""))


def pull(address: str) -> None:
    """What somebody gets now."""
    layer = json.loads(ask(address, "GET", f"{NAME}/manifests/latest").body)["layers"][0]
    data = ask(address, "GET", f"{NAME}/blobs/{layer['digest']}").body
    if len(data) != layer["size"]:
        print(f"  a pull: {len(data)} bytes of a layer that has {layer['size']}")
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile("version")
        assert file is not None
        print(f"  a pull: {file.read().decode()}")


def packed(layer: bytes) -> list[tuple[str, bytes]]:
    """An image of one layer: path and bytes of config, layer and, last, manifest."""
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as at:
        content = Content(Path(at, "images"), Path(at, "ingest"))
        *blobs, manifest = everything(content, image_of(content, [layer]))
        paths = [*(f"{NAME}/blobs/{blob.digest}" for blob in blobs), f"{NAME}/manifests/latest"]
        return [(path, content.read(one)) for path, one in zip(paths, [*blobs, manifest], strict=True)]


def push(address: str, layer: bytes, sent: int | None = None) -> None:
    """The obvious way: the manifest under its tag, and what is not there yet. ``sent``: so much of the layer."""
    config, blob, manifest = packed(layer)
    with suppress(ConnectionError):
        ask(address, "PUT", *manifest)
        for path, data in (config, blob):
            if ask(address, "HEAD", path).status == 200:
                print(f"  a push: {path[:32]}… is there already, it is not sent")
            else:
                ask(address, "PUT", path, data, sent if data == layer else None)


def at_a_registry(root: Path) -> int:
    """The same accident, and what a registry makes of it."""
    with serving(root) as address:
        name = parse(f"{address}/shop/pay:latest")
        print("version 1 is pushed", flush=True)
        publish(name, [ONE])
        pull(address)
        print("version 2 is pushed, and the connection breaks in the middle of its layer")
        _, (_, layer), manifest = packed(TWO)
        with suppress(ConnectionError):
            where = ask(address, "POST", f"{NAME}/blobs/uploads/").location
            ask(address, "PATCH", where, layer, sent=len(layer) // 2)
        pull(address)
        print("somebody pushes the manifest of version 2 all the same")
        answer = ask(address, "PUT", *manifest)
        print(f"  refused: {answer.status} {json.loads(answer.body)['errors'][0]['code']}")
        print("version 2 is pushed again")
        publish(name, [TWO])
        pull(address)
    return 0


def main(arguments: list[str]) -> int:
    """A push that breaks off, and what is left of it."""
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as at:
        if arguments == ["registry"]:
            return at_a_registry(Path(at))
        with directory(Path(at)) as address:
            print("version 1 is pushed")
            push(address, ONE)
            pull(address)
            print("version 2 is pushed, and the connection breaks in the middle of its layer")
            push(address, TWO, sent=len(TWO) // 2)
            pull(address)
            print("version 2 is pushed again")
            push(address, TWO)
            pull(address)
    return 0
