"""What daemon and shim say to each other, and the exit status on disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

from minidock import errors
from minidock.containers import wire
from minidock.containers.exits import EXIT_NAME, Exit, code_of, read_exit, write_exit
from minidock.oci.runtime import Process

REQUESTS: list[wire.Request] = [
    wire.Start(number=1),
    wire.Kill(number=2, signal=9, everyone=True),
    wire.Resize(number=3, height=24, width=80),
    wire.Attach(number=4, streams=wire.Streams(stdin=True)),
    wire.Execute(number=5, exec_id="e", process=Process("/", ["ls"]), streams=wire.Streams(stdout=True)),
    wire.Wait(number=6),
    wire.WaitExec(number=7, exec_id="e"),
]
ERRORS: list[errors.MinidockError] = [
    errors.ProgramNotFound('exec: "x": executable file not found in $PATH'),
    errors.SystemCallFailed("mount", '"overlay", "/rootfs"', errno.ENOSPC),
    errors.NoSuchContainer("c"),
    errors.Conflict("it is running"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_requests_arrive_as_they_were_sent(request_: wire.Request) -> None:
    """Each request comes out of its line equal to what went in."""
    assert wire.decode_request(wire.encode(request_)) == request_


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_keep_class_and_text(error: errors.MinidockError) -> None:
    """An error that went through another process is caught, and reads, as if it had been raised here."""
    reply = wire.decode_reply(wire.encode(wire.Reply(1, failure=wire.Failure.of(error))))
    assert reply.failure is not None
    arrived = reply.failure.error()
    assert type(arrived) is type(error) and str(arrived) == str(error)
    if isinstance(error, errors.SystemCallFailed) and isinstance(arrived, errors.SystemCallFailed):
        assert (arrived.call, arrived.operand, arrived.errno) == (error.call, error.operand, error.errno)


def test_other_errors_arrive_too() -> None:
    """What is not of our tree, or claims a class that is none, becomes the tree's root."""
    assert str(wire.Failure.of(KeyError("x")).error()) == "KeyError: 'x'"
    assert type(wire.Failure("os", "x").error()) is errors.MinidockError


def test_a_socket_deep_down_can_be_reached(tmp_path: Path) -> None:
    """A path longer than a unix socket's address: bound, private, and connected to all the same."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with wire.listen(deep) as listener, wire.connect(deep) as client:
        assert (deep / wire.SOCKET_NAME).stat().st_mode & 0o777 == 0o600
        accepted, _ = listener.accept()
        client.send(b"x")
        assert accepted.recv(1) == b"x"
        accepted.close()
    with pytest.raises(ConnectionRefusedError):
        wire.connect(deep)


def test_exit_codes_are_the_shells() -> None:
    """The program's code, or 128 plus the signal."""
    assert code_of(3 << 8) == 3
    with subprocess.Popen(["sleep", "1000"]) as program:
        os.kill(program.pid, signal.SIGTERM)
        assert code_of(os.waitpid(program.pid, 0)[1]) == 128 + signal.SIGTERM


def test_an_exit_is_on_disk_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was written is read; what another writer left unfinished is not, and no temporary file stays."""
    assert read_exit(tmp_path) is None
    (tmp_path / f".{EXIT_NAME}.1").write_bytes(b'{"code":')
    assert read_exit(tmp_path) is None
    how = Exit(137, oom_killed=True, started_ns=1, finished_ns=2, error="e")
    write_exit(tmp_path, how)
    assert read_exit(tmp_path) == how
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{EXIT_NAME}.1", EXIT_NAME]
    with pytest.raises(msgspec.MsgspecError):
        (tmp_path / EXIT_NAME).write_bytes(b"{}")
        read_exit(tmp_path)
