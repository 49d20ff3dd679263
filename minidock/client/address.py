"""Where a daemon is, and a connected socket to it: ``unix://``, ``tcp://`` with or without TLS, ``ssh://``.

Whatever it is, the caller gets a plain socket that can be half closed. For ``ssh://`` its other end is the program
``ssh``, which runs ``minidock system dial-stdio`` over there; for TLS a thread that encrypts (:mod:`.secure`).
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from minidock.errors import DaemonUnreachable, InvalidInput

DEFAULT_HOST = "unix:///run/minidock.sock"


class TLS(NamedTuple):
    """Files in PEM form, empty when there is none: whom to trust, and who we are. ``verify``: is the other side?"""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class Address(NamedTuple):
    """Where a daemon listens: ``text`` is what the user wrote; ``path``, or ``host`` and ``port``, what it means."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0
    ssh: tuple[str, ...] = ()
    tls: TLS | None = None

    @classmethod
    def parse(cls, text: str, tls: TLS | None = None) -> Address:
        """From ``unix:///run/x.sock``, ``tcp://host:port``, ``host:port``, ``ssh://user@host``. Raises InvalidInput."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "tcp", text
        if scheme == "unix" and rest:
            return cls(text, path=rest)
        if scheme == "ssh" and rest:
            return cls(text, ssh=_ssh(text, rest))
        host, colon, port = rest.rstrip("/").rpartition(":")
        if scheme != "tcp" or not colon or not port.isdigit():
            raise InvalidInput(f"invalid bind address format: {text}")
        return cls(text, host=host.strip("[]") or "127.0.0.1", port=int(port), tls=tls)

    def connect(self) -> socket.socket:
        """A connected socket. Raises DaemonUnreachable."""
        try:
            if self.ssh:
                return _through(self.ssh)
            if self.host:
                stream = socket.create_connection((self.host, self.port))
                if not self.tls:
                    return stream
                from minidock.client import secure  # ssl is slow to import

                return secure.encrypted(stream, self.host, self.tls)
            stream = socket.socket(socket.AF_UNIX)
            stream.connect(self.path)
            return stream
        except PermissionError:
            message = f"permission denied while trying to connect to the minidock daemon socket at {self.text}"
            raise DaemonUnreachable(message) from None
        except OSError:
            raise self.unreachable() from None

    def unreachable(self) -> DaemonUnreachable:
        """The error that says so."""
        return DaemonUnreachable(
            f"Cannot connect to the minidock daemon at {self.text}. Is the minidock daemon running?"
        )


def _ssh(text: str, rest: str) -> tuple[str, ...]:
    """The program to run for ``ssh://[user@]host[:port][/path/of/socket]``. Raises InvalidInput."""
    machine, slash, path = rest.partition("/")
    user, at, where = machine.rpartition("@")
    host, _, port = where.partition(":") if not where.startswith("[") else (where.strip("[]"), "", "")
    # A name that begins with a dash would be an option of ssh's.
    if not host or host.startswith("-") or ":" in user or user.startswith("-") or (port and not port.isdigit()):
        raise InvalidInput(f"ssh host connection is not valid: {text}")
    options = [*(["-l", user] if at else []), *(["-p", port] if port else [])]
    remote = ["--host", f"unix:///{path}"] if slash and path else []
    return ("ssh", *options, "-o", "ConnectTimeout=30", "-T", "--", host, "minidock", *remote, "system", "dial-stdio")


def _through(command: tuple[str, ...]) -> socket.socket:
    """A socket whose other end is a program's standard input and output. Its errors are for the user's eyes."""
    import subprocess

    ours, theirs = socket.socketpair()
    with theirs:
        # In a session of its own: ^C is for the container, not for the connection.
        subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True)
    return ours
