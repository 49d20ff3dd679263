"""What the daemon, the launcher and a shim say to each other: one JSON document a line, over unix sockets.

Three kinds of connection:

- daemon to launcher: a socket pair. Each :class:`LaunchRequest` travels with one file descriptor (``SCM_RIGHTS``,
  unix(7)): the shim's end of its first control connection. The launcher never answers; the new shim does.
- control: a greeting, then requests to the shim, answered in whatever order they finish (:class:`Wait` may take
  days). A shim serves any number of these: the first comes from the launcher, all others through ``shim.sock``.
- stream: begins like a control connection. Once :class:`Attach` or :class:`Execute` has been answered, what follows
  are the program's bytes, both ways.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from minidock import errors
from minidock.oci.runtime import Process

SOCKET_NAME = "shim.sock"


class LogOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a log is kept: in at most so many ``files`` of at most ``max_bytes`` each (0: no limit), all but the one that
    is written compressed or not. ``attributes`` is a JSON object that is added to each entry, or empty.
    """

    max_bytes: int = 0
    files: int = 1
    compress: bool = False
    attributes: str = ""


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A container to be created: everything that its shim has to know.

    ``log`` is the file for its output, or None for no log. ``open_stdin`` keeps its standard input open even while
    nobody is attached; ``stdin_once`` closes it when the first client that was attached to it is done. ``runtime`` is
    another OCI runtime's executable file, or empty for our own.
    """

    id: str
    bundle: str
    state_dir: str
    log: str | None
    log_options: LogOptions = LogOptions()
    terminal: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    explain: bool = False
    runtime: str = ""


class Streams(msgspec.Struct, frozen=True):
    """Which of a program's standard streams a client wants."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


class Request(msgspec.Struct, tag=True, kw_only=True):
    """What a shim can be asked. ``number`` is chosen by who asks, and comes back in the answer; 0 is the greeting's."""

    number: int = 0


class Start(Request):
    """Let the waiting init exec the program."""


class Kill(Request):
    """Send ``signal`` to init, or to every process of the container."""

    signal: int
    everyone: bool = False


class Resize(Request):
    """The terminal of the container, or of one of its execs, has a new size (in characters)."""

    height: int
    width: int
    exec_id: str | None = None


class Attach(Request):
    """Turn this connection into a stream of the container, or of one of its execs."""

    streams: Streams
    exec_id: str | None = None


class Execute(Request):
    """Run one more program in the container, and turn this connection into its stream. Answered with its pid."""

    exec_id: str
    process: Process
    streams: Streams


class Wait(Request):
    """Answered when the container has ended, with its :class:`~minidock.containers.exits.Exit`."""


class WaitExec(Request):
    """Answered when this exec has ended, with its exit code."""

    exec_id: str


AnyRequest = Start | Kill | Resize | Attach | Execute | Wait | WaitExec


class Greeting(msgspec.Struct, frozen=True):
    """A shim's first words on every connection, as the result of a reply number 0: the container is created.

    ``started`` tells whether its program runs already.
    """

    init_pid: int
    started: bool
    bundle: str


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error of minidock's tree, on its way to another process."""

    kind: str
    message: str
    call: str = ""
    operand: str = ""
    errno: int = 0

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """``error`` as it travels. What is not of our tree arrives as :class:`~minidock.errors.MinidockError`."""
        if isinstance(error, errors.SystemCallFailed):
            return cls(type(error).__name__, str(error), error.call, error.operand, error.errno or 0)
        if isinstance(error, errors.MinidockError):
            return cls(type(error).__name__, str(error))
        return cls(errors.MinidockError.__name__, f"{type(error).__name__}: {error}")

    def error(self) -> errors.MinidockError:
        """The same error again, of the same class."""
        if self.call:
            return errors.SystemCallFailed(self.call, self.operand, self.errno)
        found = getattr(errors, self.kind, None)
        kind = found if isinstance(found, type) and issubclass(found, errors.MinidockError) else errors.MinidockError
        # Some classes' __init__ takes a name and makes the message; here the message is made already.
        error = kind.__new__(kind)
        error.args = (self.message,)
        return error


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to the request with this ``number``: a result, or why there is none."""

    number: int
    result: Any = None
    failure: Failure | None = None


# Made once, and so in the launcher, before it forks: to look through the types costs a shim 0.8 MB.
_encoder = msgspec.json.Encoder()
_launches = msgspec.json.Decoder(LaunchRequest)
_requests = msgspec.json.Decoder(AnyRequest)
_replies = msgspec.json.Decoder(Reply)


def encode(message: msgspec.Struct) -> bytes:
    """One message, as the line that it travels in."""
    return _encoder.encode(message) + b"\n"


def decode_launch(message: bytes) -> LaunchRequest:
    """The launch request in ``message``; raises ``msgspec.MsgspecError`` when there is none."""
    return _launches.decode(message)


def decode_request(line: bytes) -> AnyRequest:
    """The request in ``line``; raises ``msgspec.MsgspecError`` when there is none."""
    request: AnyRequest = _requests.decode(line)
    return request


def decode_reply(line: bytes) -> Reply:
    """The answer in ``line``; raises ``msgspec.MsgspecError`` when there is none."""
    return _replies.decode(line)


@contextmanager
def _reachable(state_dir: Path) -> Iterator[str]:
    """A path of the shim's socket that is short enough.

    ``sun_path`` has 108 bytes (unix(7)), and a state directory with a 64-digit id in it soon has more. The way out:
    open the directory, and name it by its descriptor.
    """
    directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET_NAME}"
    finally:
        os.close(directory)


def listen(state_dir: Path) -> socket.socket:
    """Create ``shim.sock`` in ``state_dir``, for root alone, and listen on it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _reachable(state_dir) as address:
        mask = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(mask)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def connect(state_dir: Path) -> socket.socket:
    """Connect to the shim that listens in ``state_dir``; raises OSError when there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reachable(state_dir) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    connection.setblocking(False)
    return connection
