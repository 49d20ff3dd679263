"""Contexts for builds: a Dockerfile and files, as an archive, and what comes back."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from tests.archives import Item, archive, directory, file
from tests.engine.harness import Daemon


@dataclass
class Built:
    """What ``POST /build`` answered: all its lines."""

    lines: list[dict[str, Any]]
    status: int = 200

    @property
    def text(self) -> str:
        """The text that Docker's client would show."""
        return "".join(line.get("stream", "") for line in self.lines)

    @property
    def error(self) -> str:
        """Why it failed, or nothing."""
        return str(next((line.get("error") or line.get("message", "") for line in self.lines[-1:]), ""))

    @property
    def image(self) -> str:
        """The image's id."""
        return str(next(line["aux"]["ID"] for line in self.lines if "aux" in line))

    @property
    def cached(self) -> int:
        """How many steps came from the cache."""
        return self.text.count("Using cache")

    @property
    def events(self) -> list[dict[str, Any]]:
        """With ``minidock=1``: what happened."""
        return [line["build"] for line in self.lines if "build" in line]


def context(dockerfile: str, **files: str | bytes) -> bytes:
    """An archive; a name's double underscore is a slash."""
    items: list[Item] = [file("Dockerfile", dockerfile.encode())]
    for name, content in files.items():
        path = name.replace("__", "/")
        for depth in range(1, path.count("/") + 1):
            parent = "/".join(path.split("/")[:depth])
            if all(entry.name != parent for entry, _ in items):
                items.append(directory(parent))
        items.append(file(path, content.encode() if isinstance(content, str) else content))
    return archive(items)


@dataclass
class Builder:
    """Builds in one daemon."""

    daemon: Daemon
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, body: bytes, **parameters: object) -> Built:
        """One request. A parameter that is no text is sent as JSON."""
        query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        path = f"/v1.44/build?{urllib.parse.urlencode(query)}"
        status, answer = self.daemon.request("POST", path, body, Content_Type="application/x-tar", **self.headers)
        return Built([json.loads(line) for line in answer.splitlines() if line.strip()], status)

    def build(self, dockerfile: str, files: dict[str, str | bytes] | None = None, **parameters: object) -> Built:
        """Build something that has to succeed."""
        built = self.post(context(dockerfile, **(files or {})), **parameters)
        assert not built.error, f"{built.text}\n{built.error}"
        return built

    def fails(self, dockerfile: str, files: dict[str, str | bytes] | None = None, **parameters: object) -> str:
        """Build something that has to fail: why it does."""
        built = self.post(context(dockerfile, **(files or {})), **parameters)
        assert built.error, built.text
        return built.error

    def run(self, image: str, *command: str) -> str:
        """What a command prints in a container of an image."""
        return self.daemon.ok("run", "--rm", "--network=none", image, *command)

    def config(self, image: str) -> dict[str, Any]:
        """The image's configuration."""
        return dict(self.daemon.json("GET", f"/images/{image}/json")["Config"])


def assert_nothing_left(daemon: Daemon) -> None:
    """No directory, container or snapshot of any build."""
    assert list(daemon.root.glob("data/builds/*")) == list(daemon.root.glob("exec/builds/*")) == []
    assert daemon.json("GET", "/containers/json?all=1") == []
