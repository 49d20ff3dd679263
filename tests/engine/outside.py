"""The world beyond the daemon's host: another host, joined to it by a cable. And images of real services."""

from __future__ import annotations

import contextlib
import io
import platform
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from minidock.images.elf import libraries
from tests.engine.harness import PATIENCE, Daemon
from tests.fresh.machine import SUITES, fresh_root

HERE, THERE = "203.0.113.1", "203.0.113.2"
"""The daemon's host and the other one, on their cable."""


class Outside:
    """The other host."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def run(self, *words: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """A command there."""
        inside = ["nsenter", f"--net=/proc/{self._pid}/ns/net", "--"]
        return subprocess.run(
            [*inside, *words], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )

    def get(self, address: str, port: int, patience: int = 5) -> str:
        """What a server says that talks first; "" when there is none."""
        return self.run("busybox", "nc", "-w", str(patience), address, str(port)).stdout.strip()


@contextlib.contextmanager
def outside(daemon: Daemon) -> Iterator[Outside]:
    """Another host, until the end of the block."""
    script = "ip link set lo up && echo ready && exec sleep infinity"
    holder = subprocess.Popen(["unshare", "--net", "--", "sh", "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        other = Outside(holder.pid)
        for words in (
            f"link add uplink type veth peer eth0 netns {holder.pid}",
            f"addr add {HERE}/24 dev uplink",
            "link set uplink up",
        ):
            subprocess.run([*daemon.inside(), "ip", *words.split()], check=True)
        for words in (f"addr add {THERE}/24 dev eth0", "link set eth0 up"):
            assert other.run("ip", *words.split()).returncode == 0
        yield other
    finally:
        subprocess.run([*daemon.inside(), "ip", "link", "del", "uplink"], capture_output=True)
        holder.kill()
        holder.wait()


def on_the_host(daemon: Daemon, *words: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    """A command on the daemon's own host."""
    command = [*daemon.inside(), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def firewalld(daemon: Daemon) -> Iterator[Callable[[str], str]]:
    """Debian's, on the daemon's host, with processes and mounts of its own; it answers firewall-cmd's words by a line.
    It is of this host's release: an older libnftables crashes on rules that a newer nft has loaded."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME")
    root = fresh_root(release if release in SUITES else SUITES[-1], ("dbus", "firewalld", "netbase"))
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", FIREWALLD, "sh", str(root)]
    with subprocess.Popen(
        [*daemon.inside(), *alone], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as firewall:
        output, orders = firewall.stdout, firewall.stdin
        assert output is not None and orders is not None

        def tell(words: str) -> str:
            print(words, file=orders, flush=True)
            return output.readline().strip()

        try:
            assert output.readline() == "running\n"
            yield tell
            firewall.communicate(timeout=PATIENCE)  # the end of its orders is the order to end
        finally:
            firewall.kill()


FIREWALLD = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
for place in run tmp var/log; do mount -t tmpfs tmpfs "$1/$place"; done
mount --rbind /dev "$1/dev"
mkdir "$1/run/dbus"
chroot "$1" dbus-daemon --system --nofork --nopidfile &
chroot "$1" firewalld --nofork --nopid >/dev/null &
until chroot "$1" firewall-cmd --state >/dev/null; do kill -0 $! || exit; sleep 0.2; done
echo running
while read -r words; do chroot "$1" firewall-cmd $words; done
kill $!
wait $!
"""


def services_archive(*programs: str) -> bytes:
    """A root file system of programs of this machine, their libraries, and busybox for the rest."""
    found = {f"bin/{Path(program).name}": Path(program) for program in (*programs, "/bin/busybox")}
    for program in programs:
        found |= {name.lstrip("/"): path for name, path in libraries(Path(program).resolve()).items()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, path in found.items():
            archive.add(path.resolve(), name)
        for name in ("sh", "sleep", "cat", "nslookup", "wget", "nc"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name in ("tmp", "etc", "var/log/nginx", "var/lib/nginx", "data"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(directory)
        for name, text in {
            "etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:\n",
            "etc/group": "root:x:0:\nnogroup:x:65534:\n",
            "etc/nsswitch.conf": "hosts: files dns\n",
        }.items():
            file = tarfile.TarInfo(name)
            file.size = len(text)
            archive.addfile(file, io.BytesIO(text.encode()))
    return out.getvalue()
