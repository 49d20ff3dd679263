"""The log of a container: Docker's json-file format, written in chunks and read from both ends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.containers.logread import Entry, Selection, follow, read
from minidock.containers.logs import LINE_LIMIT, LogWriter
from minidock.containers.streams import STDERR, STDOUT
from tests.unit.test_streams import pieces

NOW = 1_700_000_000_123_456_700
TEXT = st.text(
    st.sampled_from('ab \n\r\t\\"<>&\x00\x1b\x7fäß€\u2028\u2029\U0001f433\ufffd') | st.characters(codec="utf-8")
)


def written(path: Path, chunks: list[tuple[int, bytes]], now: int = NOW) -> Path:
    """A log of these chunks, to the end of both streams."""
    writer = LogWriter(path)
    for stream, data in chunks:
        writer.write(stream, data, now)
    for stream in (STDOUT, STDERR):
        writer.finish(stream, now)
    writer.close()
    return path


def entries(path: Path, selection: Selection | None = None) -> list[Entry]:
    """What a reader of the log gets."""
    return list(read(path, selection or Selection()))


def numbered(path: Path, count: int) -> Path:
    """A log of ``count`` numbered lines, a second apart, every third of them on stderr."""
    writer = LogWriter(path)
    for number in range(count):
        stream = STDERR if number % 3 == 0 else STDOUT
        writer.write(stream, f"line {number}\n".encode(), NOW + number * 1_000_000_000)
    writer.close()
    return path


def numbers(path: Path, selection: Selection) -> list[int]:
    """The numbers of the lines that a reader gets."""
    return [int(entry.data.split()[1]) for entry in entries(path, selection)]


def bytes_read() -> int:
    """How many bytes this process has read so far, as the kernel counts them (proc_pid_io(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A place for a log."""
    return tmp_path / "log.json"


def test_the_format_is_dockers_to_the_byte(log: Path) -> None:
    """What Docker's own encoder writes for the same output, including what it escapes and how."""
    written(log, [(STDOUT, b'a "b" \\ <&>\t\r\x1b\x7f\n'), (STDERR, "é\u2028\n".encode() + b"partial")])
    assert log.read_bytes() == (
        rb'{"log":"a \"b\" \\ \u003c\u0026\u003e\u0009\r\u001b' + b'\x7f\\n","stream":"stdout",'
        b'"time":"2023-11-14T22:13:20.1234567Z"}\n'
        b'{"log":"' + "é".encode() + b'\\u2028\\n","stream":"stderr","time":"2023-11-14T22:13:20.1234567Z"}\n'
        b'{"log":"partial","stream":"stderr","time":"2023-11-14T22:13:20.1234567Z"}\n'
    )


@given(TEXT, st.lists(st.integers(0, 1000), max_size=6))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str, cuts: list[int]) -> None:
    """Write in any pieces, read back: the same text, one entry a line, and each line of the file is JSON."""
    path = tmp_path_factory.mktemp("log") / "log.json"
    written(path, [(STDOUT, piece) for piece in pieces(text.encode(), cuts)])
    lines = [line + b"\n" for line in text.encode().split(b"\n")]
    lines[-1] = lines[-1][:-1]
    assert [entry.data for entry in entries(path)] == [line for line in lines if line]
    assert all(json.loads(line)["stream"] == "stdout" for line in path.read_bytes().splitlines())


@given(st.binary(max_size=60))
def test_bytes_that_are_no_text_become_readable(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Wrong UTF-8 is replaced, line by line, and never breaks the file."""
    path = written(tmp_path_factory.mktemp("log") / "log.json", [(STDOUT, data)])
    lines = data.split(b"\n")
    expected = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    assert [entry.data for entry in entries(path)] == [line.decode(errors="replace").encode() for line in expected]


@given(st.lists(st.sampled_from([1, 100, LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 3 * LINE_LIMIT]), max_size=5))
def test_long_lines_are_split_at_16_kib(tmp_path_factory: pytest.TempPathFactory, lengths: list[int]) -> None:
    """No piece is longer than 16 KiB, nothing is lost, and only the last piece of a line ends with a newline."""
    text = b"".join(b"x" * length + b"\n" for length in lengths)
    found = entries(written(tmp_path_factory.mktemp("log") / "log.json", [(STDOUT, text)]))
    assert b"".join(entry.data for entry in found) == text
    assert all(len(entry.data) <= LINE_LIMIT for entry in found)
    assert all(entry.data.endswith(b"\n") or len(entry.data) == LINE_LIMIT for entry in found)


def test_a_character_is_not_split(log: Path) -> None:
    """A line is cut between characters, not inside one."""
    text = "x" + "€" * LINE_LIMIT
    assert b"".join(entry.data for entry in entries(written(log, [(STDOUT, text.encode())]))).decode() == text


def test_the_streams_do_not_mix(log: Path) -> None:
    """Half a line of one stream waits while the other one goes on."""
    written(log, [(STDOUT, b"one "), (STDERR, b"error\n"), (STDOUT, b"line\n")])
    assert [(entry.stream, entry.data) for entry in entries(log)] == [(STDERR, b"error\n"), (STDOUT, b"one line\n")]


@given(st.integers(0, 40), st.integers(0, 50))
def test_tail_is_the_end(tmp_path_factory: pytest.TempPathFactory, count: int, tail: int) -> None:
    """The last n lines, or all when there are fewer."""
    path = numbered(tmp_path_factory.mktemp("log") / "log.json", count)
    assert numbers(path, Selection(tail=tail)) == list(range(count))[max(0, count - tail) :]


def test_tail_reads_only_the_end(log: Path) -> None:
    """A log of a gigabyte (a hole, mostly) has its last lines read without the rest."""
    numbered(log, 5)
    lines = log.read_bytes()
    with log.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + lines)
    before = bytes_read()
    assert numbers(log, Selection(tail=3)) == [2, 3, 4]
    assert bytes_read() - before < 1 << 20


def test_tail_finds_lines_across_blocks(log: Path) -> None:
    """Lines that lie across the blocks in which the end is read are found whole."""
    numbered(log, 5000)
    assert numbers(log, Selection(tail=4321)) == list(range(679, 5000))


def test_since_until_and_streams(log: Path) -> None:
    """Only what lies between two times, ends included, and only the streams that are asked for."""
    numbered(log, 10)
    since, until = NOW + 2_000_000_000, NOW + 6_000_000_000
    assert numbers(log, Selection(since_ns=since, until_ns=until)) == [2, 3, 4, 5, 6]
    assert numbers(log, Selection(stdout=False)) == [0, 3, 6, 9]
    assert numbers(log, Selection(stderr=False, tail=3)) == [7, 8]


def test_a_torn_line_is_not_read_and_does_not_spoil_the_next(log: Path) -> None:
    """A writer was killed inside a line: readers leave it out, and the next writer begins a new one."""
    numbered(log, 3)
    with log.open("ab") as file:
        file.write(b'{"log":"torn')
    assert numbers(log, Selection()) == [0, 1, 2]
    assert numbers(log, Selection(tail=1)) == [2]
    written(log, [(STDOUT, b"line 3\n")])
    assert numbers(log, Selection()) == [0, 1, 2, 3]


def test_no_log_is_empty(log: Path) -> None:
    """A container that has not started has no log yet, which is no error."""
    assert entries(log) == []


async def test_follow_gets_what_comes_and_then_ends(log: Path) -> None:
    """A follower gets each line once, those that came before the end included, and stops."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    writer = LogWriter(log)
    writer.write(STDOUT, b"before\nlast\n", NOW)
    found = []
    async for entry in follow(log, Selection(tail=1), ended):
        found.append(entry.data)
        if entry.data == b"last\n":
            writer.write(STDERR, b"hal", NOW)
            writer.write(STDERR, b"f\nnew\n", NOW)
        if entry.data == b"new\n":
            writer.write(STDOUT, b"the end\n", NOW)
            ended.set_result(None)
    writer.close()
    assert found == [b"last\n", b"half\n", b"new\n", b"the end\n"]


async def test_follow_waits_for_the_rest_of_a_line(log: Path) -> None:
    """A line that is written in two halves is read as one."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    line = written(log, [(STDOUT, b"one\n")]).read_bytes()
    with log.open("ab", buffering=0) as file:
        file.write(line[:10])
        found = []
        async for entry in follow(log, Selection(), ended):
            found.append(entry.data)
            if len(found) == 1:
                asyncio.get_running_loop().call_soon(lambda: file.write(line[10:]))
            else:
                ended.set_result(None)
    assert found == [b"one\n", b"one\n"]


async def test_follow_ends_at_until(log: Path) -> None:
    """Nobody waits for entries that would come too late."""
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    written(log, [(STDOUT, b"one\n")])
    found = [entry async for entry in follow(log, Selection(until_ns=time.time_ns() + 50_000_000), never)]
    assert len(found) == 1


def test_a_full_disk_loses_output_not_the_container() -> None:
    """Writing to a full device raises nothing: the container goes on."""
    writer = LogWriter(Path("/dev/full"))
    writer.write(STDOUT, b"lost\n", NOW)
    writer.close()
