"""Ours and Debian's dockerd beside each other: both are told the same, and both answers are made comparable."""

from __future__ import annotations

import re

import docker

from tests.engine.harness import PATIENCE, Daemon
from tests.peers import Dockerd


class Both:
    """Two daemons that are told the same."""

    def __init__(self, ours: Daemon, theirs: Dockerd) -> None:
        self.ours = ours
        self.theirs = theirs
        self.clients = (
            ours.client().api,
            docker.APIClient(base_url=theirs.host, version="auto", timeout=int(PATIENCE)),
        )

    def ask(self, method: str, path: str, body: str = "") -> list[tuple[int, str]]:
        """Status and text of one request to ours, and to theirs."""
        answers = []
        for client in self.clients:
            headers = {"Content-Type": "application/json"}
            answer = client.request(method, f"{client.base_url}/v1.41{path}", data=body.encode(), headers=headers)
            answers.append((answer.status_code, _plain(answer.text)))
        return answers

    def say(self, *words: str) -> list[tuple[int, str, str]]:
        """Exit code, output and errors from ours, and from theirs, in so far as they should be the same."""
        own = self.ours.docker(*_without_network(words))
        other = self.theirs.docker(*_without_network(words), stdin=b"")
        return [
            (own.returncode, _plain(own.stdout), _plain(own.stderr)),
            (other.returncode, _plain(other.stdout.decode()), _plain(other.stderr.decode())),
        ]


def _without_network(words: tuple[str, ...]) -> list[str]:
    chosen = words[0] in ("create", "run") and "--network" not in words
    return [words[0], "--network", "none", *words[1:]] if chosen else list(words)


_TOLD_SINCE_25 = re.compile(
    "failed to create task for container: |failed to join PID namespace: |invalid filter '.*?': |"
    r"cannot kill container: \w+: (?=invalid signal)"
)
"""What went wrong, before why it did: dockerd 20.10 says only the latter, and so do we."""
_SPELT_SINCE_25 = {
    "failed to join IPC namespace: container": "can't join IPC of container",
    "unrecognized": "unrecognised",
}


def _plain(text: str) -> str:
    """Without ids, help, capitals at the beginning of a message (20.10 had them, later ones do not), and full stops."""
    text = re.sub("[0-9a-f]{64}", "ID", text.split("\n\n")[0].partition("\nSee 'docker")[0])
    text = re.sub(r"\. See 'docker run --help'\.", "", text)
    text = re.sub(r"(?m)^docker: ", "", text)
    text = re.sub(r"(: )(\w)", lambda match: match[1] + match[2].lower(), text)
    text = _TOLD_SINCE_25.sub("", text)
    for now, before in _SPELT_SINCE_25.items():
        text = text.replace(now, before)
    return text.strip().removesuffix(": unknown").rstrip(".").removesuffix(": unknown")
