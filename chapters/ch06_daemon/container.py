"""The program of chapter 6: ask a daemon to run a command.

``python -m chapters run 6 -- sh``
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chapters.rootfs import tiny_root
from minidock.client.address import Address
from minidock.client.connection import Client
from minidock.client.session import Session


@contextmanager
def daemon() -> Iterator[Client]:
    """A minidockd with roots of its own, and a client of it."""
    with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as at, socket.socket(socket.AF_UNIX, 2) as notify:
        notify.bind(f"{at}/notify")
        notify.settimeout(30)
        Path(at, "none.json").write_text("{}")  # this machine's own configuration is not for this daemon
        options = f"--data-root {at}/data --exec-root {at}/exec --config-file {at}/none.json --bridge none -l warn"
        command = [sys.executable, "-I", "-m", "minidock.daemon.main", "-H", f"unix://{at}/sock", *options.split()]
        process = subprocess.Popen(command, env=os.environ | {"NOTIFY_SOCKET": f"{at}/notify"}, start_new_session=True)
        try:
            notify.recv(100)  # READY=1
            yield Client(Address.parse(f"unix://{at}/sock"))
        finally:
            process.terminate()
            process.wait()


def main(arguments: list[str]) -> int:
    """Run ``arguments`` (a shell, if there are none); the program's exit code."""
    archive, tty = io.BytesIO(), sys.stdin.isatty() and sys.stdout.isatty()
    with tiny_root() as root, tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(root, ".")
    with daemon() as client:
        client.request("POST", "/images/create", {"fromSrc": "-", "repo": "tiny"}, archive.getvalue()).read()
        wish = {"Image": "tiny", "Cmd": arguments or ["sh"], "OpenStdin": True, "StdinOnce": True, "Tty": tty}
        wish |= {"AttachStdin": True, "HostConfig": {"NetworkMode": "none"}}
        path = "/containers/" + client.request("POST", "/containers/create", None, wish).json()["Id"]
        try:
            stream = client.hijack(f"{path}/attach", dict.fromkeys(("stream", "stdin", "stdout", "stderr"), True))
            with Session(stream, tty=tty, stdin=True).open() as session:
                client.request("POST", f"{path}/start").read()
                session.run()
            return int(client.request("POST", f"{path}/wait").json()["StatusCode"])
        finally:  # by a connection of its own: an interruption may have come in the middle of an answer
            client.another().request("DELETE", path, {"force": True}).read()
