"""Logs in several files: bounded, turned over, packed; and read as if they were one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.containers import logread
from minidock.containers.logs import LogWriter
from minidock.containers.streams import STDOUT
from minidock.containers.wire import LogOptions
from minidock.daemon import log_drivers
from minidock.errors import InvalidInput, NotImplementedYet
from minidock.messages import LogConfig

ENTRY = len('{"log":"000\\n","stream":"stdout","time":"1970-01-01T00:00:00.000000001Z"}\n')


def lines(path: Path, tail: int | None = None) -> list[int]:
    """The numbers in a log."""
    return [int(entry.data) for entry in logread.read(path, logread.Selection(tail=tail))]


def write(writer: LogWriter, first: int, count: int) -> None:
    """Lines with numbers, in one piece."""
    writer.write(STDOUT, b"".join(b"%03d\n" % number for number in range(first, first + count)), 1)


@given(
    pieces=st.lists(st.integers(1, 20), min_size=1, max_size=12),
    per_file=st.integers(1, 9),
    files=st.integers(1, 4),
    compress=st.booleans(),
    tail=st.none() | st.integers(0, 40),
)
def test_the_newest_are_kept_and_read_as_one(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[int],
    per_file: int,
    files: int,
    compress: bool,
    tail: int | None,
) -> None:
    """Whatever comes in whatever pieces: no file is too long, none too many, and what is read is the end of it."""
    path = tmp_path_factory.mktemp("log") / "x-json.log"
    writer = LogWriter(path, LogOptions(max_bytes=per_file * ENTRY, files=files, compress=compress))
    total = 0
    for count in pieces:
        write(writer, total, count)
        total += count
    if writer._packer:
        os.waitpid(writer._packer, 0)
    writer.close()
    there = [*path.parent.iterdir()]
    # What is packed has a head and a tail, which for a line or two is more than is saved.
    assert len(there) <= files and all(item.stat().st_size <= per_file * ENTRY + 50 for item in there)
    everything = [*range(total)]
    kept = lines(path)
    assert kept == everything[-len(kept) :] and len(kept) >= min(total, per_file * (files - 1) + 1)
    if tail is not None:
        assert lines(path, tail) == (kept[-tail:] if tail else [])


def test_an_entry_longer_than_a_file_is_kept_whole(tmp_path: Path) -> None:
    """It gets a file of its own."""
    writer = LogWriter(tmp_path / "log", LogOptions(max_bytes=10, files=2))
    writer.write(STDOUT, b"001\n002\n", 1)
    assert lines(tmp_path / "log") == [1, 2] or lines(tmp_path / "log") == [2]


@pytest.mark.parametrize("files", [1, 3])
async def test_a_follower_loses_nothing_when_the_log_is_turned_over(tmp_path: Path, files: int) -> None:
    """It goes on in the new file, also when the old one has no name any more."""
    path, ended = tmp_path / "log", asyncio.get_running_loop().create_future()
    writer = LogWriter(path, LogOptions(max_bytes=5 * ENTRY, files=files))
    write(writer, 0, 3)
    seen: list[int] = []
    async for entry in logread.follow(path, logread.Selection(), ended):
        seen.append(int(entry.data))
        if seen[-1] in (2, 5, 6, 9, 10, 15):
            write(writer, seen[-1] + 1, {2: 3, 5: 1, 6: 3, 9: 1, 10: 5, 15: 2}[seen[-1]])
        if seen[-1] == 17:
            ended.set_result(None)
    assert seen == [*range(18)]


def test_attributes_are_in_every_entry(tmp_path: Path) -> None:
    """Between stream and time, as Docker writes them; they come back with the entry."""
    writer = LogWriter(tmp_path / "log", LogOptions(attributes='{"tag":"x"}'))
    writer.write(STDOUT, b"a\n", 1)
    assert b'"stream":"stdout","attrs":{"tag":"x"},"time":' in (tmp_path / "log").read_bytes()
    assert [entry.attributes for entry in logread.read(tmp_path / "log", logread.Selection())] == [{"tag": "x"}]


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("nonsense", {}, 'error looking up logging plugin nonsense: plugin "nonsense" not found'),
        ("json-file", {"nonsense": "1"}, "unknown log opt 'nonsense' for json-file log driver"),
        ("local", {"labels": "x"}, "unknown log opt 'labels' for log driver local"),
        ("json-file", {"max-size": "x"}, "invalid size: 'x'"),
        ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
        ("json-file", {"max-file": "0", "max-size": "1m"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("json-file", {"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not"),
        ("json-file", {"tag": "{{.Nonsense}}"}, "log tag: minidock knows {{.ID}}, "),
    ],
)
def test_options_that_make_no_sense(kind: str, options: dict[str, str], text: str) -> None:
    """Docker's words."""
    with pytest.raises(InvalidInput) as caught:
        log_drivers.check(LogConfig(type=kind, config=options))
    assert text in str(caught.value)


def test_drivers_that_send_elsewhere_are_named_as_missing() -> None:
    """Not as a mistake of the user's."""
    with pytest.raises(NotImplementedYet, match="log driver 'syslog': minidock does not have this"):
        log_drivers.check(LogConfig(type="syslog"))
