"""Git repositories that a build is made of: ``build URL#REF:DIRECTORY`` and ``ADD https://….git``.

Who owns the repository may be an enemy: nothing of this machine may come into the tree, and nothing be run. So the
client, which has its user's configuration and passwords, and the daemon, which is root, fetch with the same care.

Source: https://docs.docker.com/build/concepts/context/#git-repositories; git(1), "GIT_ALLOW_PROTOCOL".
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
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


OF_A_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""What a hook is started with: git would work on *that* repository. Source: ``git rev-parse --local-env-vars``."""
OF_A_DAEMON = frozenset(
    {"PATH", "LANG", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"}
)
PATIENCE = 3600.0
"""Seconds for all of a repository."""
PATIENCE_ALONE = 1800.0
"""The same for the daemon's, where others wait for their turn."""
SILENCE = 60.0
"""Seconds: when git, which tells of its progress, has said nothing for so long, its server is left (if ``alone``)."""
STALL = 300.0
"""Seconds: also when for so long it has told of progress only. A server may count for minutes before it sends."""
LEAST = 300 * 1024
"""How many bytes have to come in that time."""
_END = 4096
"""How many bytes of the end of what git says are kept: a server may say anything, for ever."""


class Git:
    """Runs git(1). ``alone``: for somebody else, so without this user's configuration, keys and terminal."""

    def __init__(self, alone: bool = False) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = ""
        self._alone = alone
        self._pace: _Pace
        # What comes is written as it comes (small packs would be kept in memory): so it is seen how fast.
        self._command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "fetch.unpackLimit=1"]
        # A repository must not be able to have programs run here (a submodule at "ext::program") nor to fetch what is
        # on this disk ("file:"), nor git ask for a password that nobody can see.
        mine = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "git:http:https:ssh"}
        self._environment = {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY} | mine
        if alone:
            mine |= {"GIT_ALLOW_PROTOCOL": "git:http:https", "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.devnull}
            self._environment = {name: value for name, value in os.environ.items() if name in OF_A_DAEMON} | mine
            # git starts programs of its own. In a pid namespace they end with their first process, that ends with
            # unshare, and unshare with us, should we be killed.
            alone_words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child"]
            self._command = [*alone_words, *self._command]

    def fetch(self, repository: Repository, clone: Path, keep: bool = False) -> tuple[Path, str]:
        """Check one commit out, with its submodules, into the directory ``clone``, which is made or empty.

        The directory that was asked for, links followed, and the commit's id. Without ``keep`` there is no ``.git``.
        Raises InvalidInput.
        """
        if self._alone and repository.address.startswith(("ssh://", "git@")):
            raise InvalidInput(f"{repository.address}: the daemon has no keys for ssh: use https, or clone it yourself")
        clone.mkdir(mode=0o755, exist_ok=True)
        self._pace = _Pace(clone)
        seconds = PATIENCE_ALONE if self._alone else PATIENCE
        patience = threading.Timer(seconds, self.stop, [f"not done after {seconds:.0f} seconds"])
        patience.daemon = True
        patience.start()
        try:
            commit = self._fetch(repository, clone)
        finally:
            patience.cancel()
        if keep:
            for config in filter(Path.is_file, (clone / ".git").rglob("config")):  # submodules have one, too
                text = config.read_text(errors="surrogateescape")
                config.write_text(_without_password(text), errors="surrogateescape")
        else:
            shutil.rmtree(clone / ".git")  # as BuildKit: its times would be new in every context
        directory = inside(clone, repository.below)
        if not directory.is_dir():
            raise InvalidInput(f'path "{repository.below}" not found in the repository')
        return directory, commit

    def _fetch(self, repository: Repository, clone: Path) -> str:
        self._run(clone, "init", "--quiet")
        # Submodules at "../other" are found from where "origin" is.
        self._run(clone, "remote", "add", "--", "origin", repository.address)
        self._run(clone, "fetch", "--progress", "--depth", "1", "--", "origin", repository.reference or "HEAD")
        self._run(clone, "checkout", "--quiet", "--progress", "FETCH_HEAD")
        self._run(clone, "submodule", "update", "--progress", "--init", "--recursive", "--depth", "1")
        return self._run(clone, "rev-parse", "HEAD").strip()

    def stop(self, reason: str = "it was stopped") -> None:
        """From another thread, too: end what runs, and begin nothing more."""
        self._stopped = self._stopped or reason
        if self._process is not None:
            helpers = [] if self._alone else _helpers(self._process.pid)
            self._process.kill()
            for pid in helpers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _next(self, output: int) -> bytes:
        """What git says next, b"" at its end; whoever is silent for too long, or only talks, is ended."""
        ready, _, _ = select.select([output], [], [], SILENCE if self._alone else None)
        if not ready:
            self.stop(f"nothing came for {SILENCE:.0f} seconds")
        elif self._alone and self._pace.is_slow():
            self.stop(f"fewer than {LEAST} bytes came in {STALL:.0f} seconds")
        return os.read(output, 1 << 16)

    def _run(self, directory: Path, *words: str) -> str:
        """The end of what git says. Raises InvalidInput when it fails."""
        try:
            self._process = subprocess.Popen(
                [*self._command, *words],
                cwd=directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                umask=0o022,
            )
        except FileNotFoundError as error:
            raise InvalidInput(f"unable to find '{error.filename}': install it to build from a repository") from None
        with self._process as process:
            if self._stopped:
                self.stop()
            assert process.stdout is not None
            said = b""
            while piece := self._next(process.stdout.fileno()):
                said = (said + piece)[-_END:]
        text = said.decode(errors="replace")
        if process.returncode:
            reason = self._stopped or (text.strip().splitlines() or ["it failed"])[-1]
            raise InvalidInput(f"git {words[0]}: {_without_password(reason)}")
        return text


class _Pace:
    """How fast a directory grows: on the disk, as whatever git is told in words may be anything."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._since, self._size = time.monotonic(), 0

    def is_slow(self) -> bool:
        """To be asked now and then: were the last :data:`STALL` seconds for nothing, or nearly so?"""
        if time.monotonic() - self._since < STALL:
            return False
        before, self._size, self._since = self._size, _size(self._directory), time.monotonic()
        return self._size - before < LEAST


def _size(directory: Path) -> int:
    """How many bytes its files have. git renames and removes some meanwhile."""
    found = 0
    for where, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found += os.lstat(f"{where}/{name}").st_size
    return found


def _helpers(pid: int) -> list[int]:
    """What git has started for ssh or HTTP: it waits for the server even when git is gone."""
    try:
        children = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it has ended
        return []
    return [*children, *(below for child in children for below in _helpers(child))]


def inside(clone: Path, path: str) -> Path:
    """What ``path`` means in a clone, links followed. Raises InvalidInput when that is not in the clone."""
    real = (clone / path.lstrip("/")).resolve()
    if not real.is_relative_to(clone.resolve()):
        raise InvalidInput(f"{path} is outside of the repository")
    return real


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)
