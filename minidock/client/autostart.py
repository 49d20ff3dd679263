"""A daemon when there is none: started by the first command that needs it, ended by ``minidock system stop``."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from minidock.client.address import Address
from minidock.errors import DaemonUnreachable

LOG = Path("/var/log/minidockd.log")
START_SECONDS = 60


def start(address: Address) -> None:
    """Start ``minidockd`` in the background, and return when it listens. Says so on standard error.

    The daemon tells that it is ready as it would tell systemd: ``READY=1`` in a datagram to the socket that
    $NOTIFY_SOCKET names (sd_notify(3)). So nobody has to look again and again. Raises DaemonUnreachable.
    """
    if os.geteuid() != 0:
        raise DaemonUnreachable(f"{address.unreachable()} (only root can start it: sudo minidockd)")
    with LOG.open("ab") as turn:
        LOG.chmod(0o600)
        # Two first commands at once: one starts the daemon, and the other finds it when its turn comes. flock(2)
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not _answers(address):
            print(f"minidock: starting the daemon (minidock system stop ends it; its log is {LOG})", file=sys.stderr)
            _start_and_wait()


def _start_and_wait() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="minidock-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
    ):
        notify.bind(f"{directory}/notify")
        daemon = _spawn(f"{directory}/notify")
        if not _is_ready(notify, daemon.pid):
            raise DaemonUnreachable(f"the minidock daemon did not start: {_last_line()} (see {LOG})")


def _spawn(notify: str) -> subprocess.Popen[bytes]:
    """The daemon in a session of its own: the terminal's ^C is not for it, nor its end."""
    beside = Path(sys.executable).with_name("minidockd")
    command = [str(beside)] if beside.exists() else [sys.executable, "-I", "-m", "minidock.daemon.main"]
    with LOG.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=os.environ | {"NOTIFY_SOCKET": notify},
            start_new_session=True,
        )


def _is_ready(notify: socket.socket, pid: int) -> bool:
    """Wait for the daemon's word, or its end, or too long."""
    ended = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(notify, select.POLLIN)
        poller.register(ended, select.POLLIN)
        while events := poller.poll(START_SECONDS * 1000):
            if notify.fileno() not in dict(events):
                return False
            if b"READY=1" in notify.recv(4096):
                return True
        return False
    finally:
        os.close(ended)


def _answers(address: Address) -> bool:
    """Whether somebody listens."""
    try:
        address.connect().close()
    except DaemonUnreachable:
        return False
    return True


def _last_line() -> str:
    lines = LOG.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def stop(address: Address) -> int:
    """End the daemon behind a unix socket, and return when it has ended: its pid.

    The socket itself says who is at the other end (SO_PEERCRED, unix(7)); a pidfd stays that process's, also when its
    number is used again (pidfd_open(2)). Raises DaemonUnreachable.
    """
    if not address.path:
        raise DaemonUnreachable(f"the daemon at {address.text} is not on this machine's unix socket: stop it there")
    with address.connect() as connection:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    daemon = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(daemon, signal.SIGTERM)
        select.select([daemon], [], [])
    finally:
        os.close(daemon)
    return pid
