"""A Debian machine that has nothing yet: a throw-away root file system with namespaces of its own.

mmdebstrap makes Debian's minimal root once for each release, and adds what any server has (``PACKAGES``); it is kept in
the cache. Every machine is a copy of it, entered through pivot_root: a mere chroot would forbid user namespaces. The
machine's network is a namespace of its own too, led out by slirp4netns, so that its bridges and packet filter are not
this host's. Its kernel and its cgroups are the host's. When it goes, its first process is killed, and with it the pid
namespace, and with that everything.

Needs root, mmdebstrap and slirp4netns. Sources: mmdebstrap(1), unshare(1), nsenter(1), slirp4netns(1).
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PACKAGES = ("git", "make", "python3", "ca-certificates")
SUITES = ("bookworm", "trixie")  # Debian 12 and 13


class Machine:
    """A running machine: commands are run in it as root would type them."""

    def __init__(self, root: Path, pid: int) -> None:
        self.root = root
        self._enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd"]

    def run(self, command: str, limit: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command in root's home, with nothing on its input; its output and errors come as one text.

        Raises AssertionError with that text when ``check`` and the command fails.
        """
        line = [*self._enter, "env", "-i", *_environment(), "bash", "-c", f"cd /root && {command}"]
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit
        )
        assert not check or done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}"
        return done


def _environment() -> list[str]:
    """What a login shell has, and how this host's pip is told where packages are."""
    kept = [f"{name}={value}" for name, value in os.environ.items() if name in ("PIP_INDEX_URL", "PIP_CERT")]
    return [
        "HOME=/root",
        "LANG=C.UTF-8",
        "TERM=dumb",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        *kept,
    ]


@contextmanager
def machine(suite: str) -> Iterator[Machine]:
    """A machine as Debian's installer leaves it, with this project's history in ``/srv/minidock.git``."""
    with tempfile.TemporaryDirectory(prefix="minidock-fresh-") as directory:
        root = Path(directory, "root")
        _check("cp", "-a", "--reflink=auto", str(fresh_root(suite)), str(root))
        _configure(root)
        _publish_project(root / "srv/minidock.git")
        with _switched_on(root) as pid:
            yield Machine(root, pid)


def fresh_root(suite: str, packages: Sequence[str] = PACKAGES) -> Path:
    """Debian's minimal root and these packages, from the cache or made now (half a minute). Nobody may change it."""
    root = cache("fresh") / "-".join([suite, *packages])
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            with tempfile.TemporaryDirectory(dir=root.parent, prefix="making-") as scratch:
                _check(
                    "mmdebstrap",
                    "--quiet",
                    "--variant=minbase",
                    f"--include={','.join(packages)}",
                    suite,
                    f"{scratch}/root",
                )
                Path(scratch, "root").rename(root)
    return root


def cache(what: str) -> Path:
    """Where roots and images are kept: ``XDG_CACHE_HOME/minidock/WHAT``."""
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minidock" / what
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _configure(root: Path) -> None:
    (root / "etc/hostname").write_text("fresh\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost fresh\n")
    (root / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n")  # slirp4netns
    reach_packages(root)


def reach_packages(root: Path) -> None:
    """Reach packages as this host does: its certificates, and what it tells apt and pip."""
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    for file in [*Path("/etc/apt/apt.conf.d").glob("*"), Path("/etc/pip.conf")]:
        if file.is_file() and re.search("Acquire|global", file.read_text()):
            shutil.copy(file, root / file.relative_to("/"))


def _publish_project(repository: Path) -> None:
    """A bare repository with this checkout as its branch ``main``, uncommitted changes of known files too."""
    stash = _check("git", "-C", str(PROJECT), "stash", "create").strip()
    _check("git", "init", "--quiet", "--bare", "--initial-branch=main", str(repository))
    _check("git", "-C", str(repository), "config", "receive.shallowUpdate", "true")
    _check("git", "-C", str(PROJECT), "push", "--quiet", str(repository), f"{stash or 'HEAD'}:refs/heads/main")


@contextmanager
def _switched_on(root: Path) -> Iterator[int]:
    """The machine's first process, as the host numbers it."""
    before = _engine_cgroups()
    namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--propagation=private"]
    unshare = subprocess.Popen(
        ["unshare", *namespaces, "--fork", "--kill-child", "bash", str(HERE / "boot"), str(root)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert unshare.stdout is not None
    try:
        assert unshare.stdout.readline() == "ready\n", "the machine did not start"
        (child,) = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
        with _network(int(child)):
            yield int(child)
    finally:
        unshare.kill()  # --kill-child passes this on; unshare ignores SIGTERM
        unshare.wait()
        # A daemon keeps the parent of its containers' cgroups, as dockerd does. Another may use it.
        for parent in _engine_cgroups() - before:
            with suppress(OSError):
                parent.rmdir()


def _engine_cgroups() -> set[Path]:
    """The parent of containers' cgroups, in each hierarchy or in the only one."""
    cgroups = Path("/sys/fs/cgroup")
    return {*cgroups.glob("minidock"), *cgroups.glob("*/minidock")}


@contextmanager
def _network(pid: int) -> Iterator[None]:
    """A way out: slirp4netns answers for the network namespace of ``pid`` with sockets of this host."""
    ready, done = os.pipe()
    slirp = subprocess.Popen(
        ["slirp4netns", "--configure", "--mtu=1500", "--disable-host-loopback", f"--ready-fd={done}", str(pid), "tap0"],
        pass_fds=[done], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(done)
    try:
        assert os.read(ready, 1) == b"1", "slirp4netns did not start"
        yield
    finally:
        os.close(ready)
        slirp.kill()
        slirp.wait()


def _check(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(command)}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout
