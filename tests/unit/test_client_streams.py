"""The container's output on its way to the user, and the user's keys on their way to the container."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.client import terminal
from minidock.client.streams import Frames, Raw
from minidock.client.terminal import DetachKeys, detach_keys
from minidock.errors import InvalidInput


def collected(feed: list[bytes]) -> tuple[bytes, bytes]:
    """What two pipes get when ``Frames`` is fed these pieces."""
    pipes = [os.pipe(), os.pipe()]
    results: list[bytes] = [b"", b""]

    def drain(index: int) -> None:
        with os.fdopen(pipes[index][0], "rb") as reader:
            results[index] = reader.read()

    readers = [threading.Thread(target=drain, args=(index,)) for index in (0, 1)]
    for reader in readers:
        reader.start()
    frames = Frames(pipes[0][1], pipes[1][1])
    for piece in feed:
        frames.feed(piece)
    for _, writer in pipes:
        os.close(writer)
    for reader in readers:
        reader.join()
    return results[0], results[1]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=20), st.integers(1, 400))
def test_frames_are_taken_apart_wherever_they_are_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    """However the network cuts the stream, each byte arrives where it belongs, in order."""
    stream = b"".join(bytes([kind, 0, 0, 0]) + len(data).to_bytes(4) + data for kind, data in frames)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    expected = tuple(b"".join(data for kind, data in frames if kind == wanted) for wanted in (1, 2))
    assert collected(pieces) == expected


def test_raw_output_passes_as_it_is() -> None:
    """A terminal's output has no frames."""
    reader, writer = os.pipe()
    Raw(writer).feed(b"\x01\x00\x00\x00\x00\x00\x00\x02hi")
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"\x01\x00\x00\x00\x00\x00\x00\x02hi"


def test_a_reader_that_goes_away_ends_the_process() -> None:
    """As every Unix filter expects: death by SIGPIPE (13), and not a word about it."""
    program = "from minidock.client.streams import Raw\nwhile True: Raw(1).feed(b'x' * 100000)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == -13


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b"\x10\x11"),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-a,d", b"\x01d"),
        ("ctrl-@,ctrl-_", b"\0\x1f"),
    ],
)
def test_detach_keys_have_names(text: str, keys: bytes) -> None:
    """Docker's notation for them."""
    assert detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "shift-a", "ab", "é"])
def test_a_key_that_is_none_is_refused(text: str) -> None:
    """One line that repeats it."""
    with pytest.raises(InvalidInput, match="Invalid detach keys"):
        detach_keys(text)


@given(st.lists(st.sampled_from([b"a", b"\x10", b"\x11", b"\x10\x11", b"\x10\x10", b"xyz"]), max_size=8))
def test_keys_pass_until_the_sequence_is_complete(typed: list[bytes]) -> None:
    """What is passed on and what is held back is what was typed; detaching is exactly at the first whole sequence."""
    keys, through = DetachKeys(b"\x10\x11"), b""
    for position, piece in enumerate(typed):
        passed, detached = keys.feed(piece)
        through += passed
        so_far = b"".join(typed[: position + 1])
        if detached:
            assert through == so_far[: so_far.index(b"\x10\x11")]
            return
        assert b"\x10\x11" not in so_far
        assert through + keys.sequence[: keys.matched] == so_far


def test_a_terminal_is_raw_and_then_as_it_was() -> None:
    """Also when what happens in between fails."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    try:
        with pytest.raises(RuntimeError), terminal.raw(slave):
            assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
            raise RuntimeError
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_no_terminal_has_no_size() -> None:
    """A pipe is no terminal, and has zero rows."""
    reader, writer = os.pipe()
    assert terminal.size(writer) == (0, 0)
    assert not terminal.is_terminal(writer)
    os.close(reader)
    os.close(writer)
    assert not terminal.is_terminal(writer)
