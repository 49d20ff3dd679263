"""Git repositories of the tests' own, and a server for them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WHO = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "protocol.file.allow=always"]


def git(directory: Path, *words: str) -> str:
    """What git says in a repository."""
    command = ["git", "-C", str(directory), *WHO, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(directory: Path, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    """A repository with one commit on the branch ``main``."""
    directory.mkdir()
    git(directory, "init", "--quiet", "--initial-branch=main")
    commit(directory, files, links or {})
    return directory


def commit(directory: Path, files: dict[str, str], links: dict[str, str]) -> None:
    """Files and symbolic links become one more commit."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    for name, target in links.items():
        (directory / name).symlink_to(target)
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message=x")


def add_submodule(app: Path, part: Path, url: str) -> None:
    """One at ``lib``, said to be at ``url``."""
    git(app, "submodule", "--quiet", "add", str(part), "lib")
    modules = app / ".gitmodules"
    modules.write_text(re.sub(r"url = .*", lambda _: f"url = {url}", modules.read_text()))
    commit(app, {}, {})


@contextmanager
def serving(root: Path, inside: Sequence[str] = ()) -> Iterator[str]:
    """The address of a git server for the repositories in ``root``. ``inside``: what a command starts with there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = [f"--base-path={root}", "--listen=127.0.0.1", f"--port={port}"]
    command = [*inside, "git", "daemon", "--export-all", "--reuseaddr", "--verbose", *where]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as daemon:
        assert daemon.stderr is not None and "Ready" in daemon.stderr.readline()
        try:
            yield f"git://127.0.0.1:{port}"
        finally:
            os.killpg(daemon.pid, signal.SIGKILL)
