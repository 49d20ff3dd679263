"""Git repositories that a build is made of: ``build URL#REF:DIRECTORY`` and ``ADD https://….git``.

Who owns the repository may be an enemy: nothing of this machine may come into the tree, and nothing be run. So the
client, which has its user's configuration and passwords, and the daemon, which is root, fetch with the same care.

Source: https://docs.docker.com/build/concepts/context/#git-repositories; git(1), "GIT_ALLOW_PROTOCOL".
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from minidock.errors import InvalidInput

_URL = re.compile(r"git://|git@|github\.com/|ssh://|https?://[^#]*\.git(#.*)?$")


@dataclass(frozen=True)
class Repository:
    """``reference`` is a branch, a tag or a commit ("": what the server calls HEAD), ``below`` a directory in it."""

    address: str
    reference: str
    below: str


def is_repository(url: str) -> bool:
    """Is this URL for git to fetch?"""
    return _URL.match(url) is not None


def parse(url: str) -> Repository:
    """Read ``URL#REF:DIRECTORY``."""
    address, _, fragment = url.partition("#")
    reference, _, below = fragment.partition(":")
    address = f"https://{address}" if address.startswith("github.com/") else address
    return Repository(address, reference, below)


class Git:
    """Runs git(1). ``alone``: without the configuration and terminal of whoever runs this, and ends with it."""

    def __init__(self, alone: bool = False) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._alone = alone
        # A repository must not be able to have programs run here (a submodule at "ext::program") nor to fetch what is
        # on this disk ("file:"), nor git ask for a password that nobody can see.
        self._environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "git:http:https:ssh"}
        self._command = ["git", "-c", "core.hooksPath=/dev/null"]
        if alone:
            self._environment |= {
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
                "HOME": os.devnull,  # ~/.netrc has passwords
            }
            # Killed, this process cannot stop it, and a silent server would keep it for ever.
            self._command = ["setpriv", "--pdeathsig", "KILL", *self._command]

    def fetch(self, repository: Repository, clone: Path, keep: bool = False) -> tuple[Path, str]:
        """Check one commit out, with its submodules, into the directory ``clone``, which is made or empty.

        The directory that was asked for, links followed, and the commit's id. Without ``keep`` there is no ``.git``.
        Raises InvalidInput.
        """
        clone.mkdir(mode=0o755, exist_ok=True)
        self._run(clone, "init", "--quiet")
        self._run(clone, "fetch", "--quiet", "--depth", "1", "--", repository.address, repository.reference or "HEAD")
        self._run(clone, "checkout", "--quiet", "FETCH_HEAD")
        self._run(clone, "submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
        commit = self._run(clone, "rev-parse", "HEAD").strip()
        if not keep:
            shutil.rmtree(clone / ".git")  # as BuildKit: its times would be new in every context
        directory = inside(clone, repository.below)
        if not directory.is_dir():
            raise InvalidInput(f'path "{repository.below}" not found in the repository')
        return directory, commit

    def stop(self) -> None:
        """From another thread: end what runs, and begin nothing more."""
        self._stopped = True
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _run(self, directory: Path, *words: str) -> str:
        try:
            self._process = subprocess.Popen(
                [*self._command, *words],
                cwd=directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                umask=0o022,
                start_new_session=self._alone,  # so that stop() ends the programs that git has started, too
            )
        except FileNotFoundError:
            raise InvalidInput("unable to find 'git': install it to build from a repository") from None
        with self._process:
            if self._stopped:
                self.stop()
            output, errors = self._process.communicate()
        if self._process.returncode:
            reason = (errors.strip().splitlines() or ["it failed"])[-1]
            raise InvalidInput(f"git {words[0]}: {_without_password(reason)}")
        return output


def inside(clone: Path, path: str) -> Path:
    """What ``path`` means in a clone, links followed. Raises InvalidInput when that is not in the clone."""
    real = (clone / path.lstrip("/")).resolve()
    if not real.is_relative_to(clone.resolve()):
        raise InvalidInput(f"{path} is outside of the repository")
    return real


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)
