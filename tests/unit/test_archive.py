"""tar archives: what others write is read, what we write others read, and no bytes whatever do harm."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.errors import InvalidSpec
from minidock.images import archive as archives
from minidock.images.archive import Entry, Reader
from minidock.images.compression import Stream
from tests.archives import archive, directory, file
from tests.strategies import archive_entries


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    """All entries of an archive with the data that is stored for them."""
    reader = Reader(Stream(io.BytesIO(data), 2**40, hashlib.sha256()))
    return [(entry, b"".join(reader.data())) for entry in reader]


@given(st.lists(st.tuples(archive_entries(), st.binary(max_size=1500)), max_size=4))
def test_round_trip(items: list[tuple[Entry, bytes]]) -> None:
    """What the writer writes, the reader reads: long names, big numbers, times before 1970, binary attributes."""
    for entry, data in items:
        entry.size = entry.stored = len(data) if entry.type == archives.FILE else 0
        if entry.type == archives.CHARACTER:
            entry.major, entry.minor = 5, 300
    expected = [(entry, data if entry.type == archives.FILE else b"") for entry, data in items]
    assert read(archive(items)) == expected


@given(st.lists(st.tuples(archive_entries(), st.binary(max_size=1500)), max_size=3))
def test_python_reads_what_we_write(items: list[tuple[Entry, bytes]]) -> None:
    """Python's tarfile, which is somebody else's reader, sees the same entries."""
    for entry, data in items:
        entry.size = len(data) if entry.type == archives.FILE else 0
        entry.xattrs = {}
    with tarfile.open(fileobj=io.BytesIO(archive(items))) as tar:
        for (entry, data), member in zip(items, tar.getmembers(), strict=True):
            assert member.name.rstrip("/") == entry.name.rstrip("/")
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert member.mtime == pytest.approx(entry.mtime_ns / 1e9)
            if entry.type == archives.FILE:
                found = tar.extractfile(member)
                assert found is not None and found.read() == data
            if entry.type == archives.SYMLINK:
                assert member.linkname == entry.link


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@given(
    name=st.text("abcdé.", min_size=1, max_size=8),
    depth=st.integers(1, 30),
    link=st.text("xyz/", min_size=1, max_size=90),
    uid=st.integers(0, 2**21 - 1),
    mtime=st.integers(0, 2**33 - 1),
    data=st.binary(max_size=1300),
)
@settings(max_examples=50)
def test_we_read_what_python_writes(
    form: int, name: str, depth: int, link: str, uid: int, mtime: int, data: bytes
) -> None:
    """Archives of all three generations: ustar with its split names, GNU, PAX."""
    path = "/".join([name] * depth)
    if form == tarfile.USTAR_FORMAT and len(path.encode()) > 100:
        path = "/".join(["abc"] * depth)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        member = tarfile.TarInfo(path)
        member.size, member.uid, member.mtime, member.mode = len(data), uid, mtime, 0o4750
        tar.addfile(member, io.BytesIO(data))
        other = tarfile.TarInfo("link")
        other.type, other.linkname = tarfile.SYMTYPE, link
        tar.addfile(other)
    (first, content), (second, _) = read(buffer.getvalue())
    assert (first.name, first.uid, first.mtime_ns, first.mode) == (path, uid, mtime * 10**9, 0o4750)
    assert content == data
    assert (second.type, second.link) == (archives.SYMLINK, link)


@pytest.mark.parametrize("form", [[], ["--format=pax"]], ids=["gnu", "pax"])
def test_gnu_tar_writes_numbers_that_octal_digits_cannot_hold(tmp_path: Path, form: list[str]) -> None:
    """GNU tar falls back to base 256, PAX to records: owners of two billion, times before 1970."""
    (tmp_path / "a").write_bytes(b"x")
    os.utime(tmp_path / "a", ns=(0, -1_500_000_000))
    command = ["tar", "-c", "--owner=:2000000000", "--group=:3000000", *form, "-C", str(tmp_path), "a"]
    ((entry, _),) = read(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    assert (entry.uid, entry.gid) == (2_000_000_000, 3_000_000)
    assert entry.mtime_ns // 10**9 == -2


@pytest.mark.parametrize(
    "form",
    [
        ["--format=gnu"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ],
    ids=["gnu", "0.0", "0.1", "1.0"],
)
@pytest.mark.parametrize("pieces", [0, 1, 3, 70])
def test_sparse_files_in_all_four_formats(tmp_path: Path, form: list[str], pieces: int) -> None:
    """The pieces of a sparse file that GNU tar wrote are put together to the same content."""
    step = 1024 * 1024
    content = bytearray(pieces * step + 12345)
    with (tmp_path / "sparse").open("wb") as out:
        for number in range(pieces):
            content[number * step + 512 : number * step + 700] = bytes([number + 1]) * 188
            out.seek(number * step + 512)
            out.write(bytes([number + 1]) * 188)
        out.truncate(len(content))
    command = ["tar", "-cS", *form, "-C", str(tmp_path), "sparse"]
    ((entry, stored),) = read(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert entry.name == "sparse"
    assert entry.size == len(content)
    assert entry.segments is not None
    found, at = bytearray(entry.size), 0
    for offset, length in entry.segments:
        found[offset : offset + length] = stored[at : at + length]
        at += length
    assert found == content
    assert at == len(stored) < 2**20


def test_data_that_nobody_reads_is_skipped() -> None:
    """The next header is found whether or not the data before it was read."""
    data = archive([file("a", b"x" * 5000), file("b", b"y" * 1024), directory("c")])
    reader = Reader(Stream(io.BytesIO(data), 2**30, hashlib.sha256()))
    assert [entry.name for entry in reader] == ["a", "b", "c"]


def test_a_global_header_means_nothing() -> None:
    """git archive writes its commit there: it is no entry, and gives no entry a name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "evil"}) as tar:
        tar.addfile(tarfile.TarInfo("good"))
    assert [entry.name for entry, _ in read(buffer.getvalue())] == ["good"]


@pytest.mark.parametrize("cut", [1, 100, 511, 513, 600, 1511])
def test_truncated_archives(cut: int) -> None:
    """An archive that ends in the middle of a header or of data is no archive."""
    data = archive([file("a", b"x" * 1000)])[: 512 + 1024]
    with pytest.raises(InvalidSpec, match="truncated"):
        read(data[:cut])


def test_the_end_may_be_missing() -> None:
    """Some programs leave out the two blocks of zeros, Docker's client even the last file's padding."""
    data = archive([file("a", b"x" * 1000)])
    for end in (1536, 1535, 1512):
        assert [(entry.name, content) for entry, content in read(data[:end])] == [("a", b"x" * 1000)]


def test_an_empty_archive() -> None:
    """No bytes, or only the end, are an archive without entries."""
    assert read(b"") == read(bytes(1024)) == []


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes whatever make the reader fail otherwise."""
    try:
        read(data)
    except InvalidSpec:
        return


@given(st.data())
def test_damaged_archives_are_read_or_refused(data: st.DataObject) -> None:
    """Neither do archives with a few bytes changed; checksums are made right again, so that more is reached."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=data.draw(st.sampled_from([1, 2]))) as tar:
        member = tarfile.TarInfo("n" * data.draw(st.sampled_from([5, 150])))
        member.size = 600
        member.pax_headers = data.draw(
            st.sampled_from(
                [
                    {},
                    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "99999"},
                    {"GNU.sparse.map": "0,100,200,500", "GNU.sparse.size": "1000"},
                    {"SCHILY.xattr.user.a": "b", "mtime": "1.5", "size": "600"},
                ]
            )
        )
        tar.addfile(member, io.BytesIO(b"2\n0\n10\n50\n78\n".ljust(600, b"\0")))
    raw = bytearray(buffer.getvalue()[:3072])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for start in range(0, len(raw), 512):
        block = raw[start : start + 512]
        if block[257:262] == b"ustar":
            raw[start + 148 : start + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    try:
        read(bytes(raw))
    except InvalidSpec:
        return


def header(kind: bytes, size: bytes, name: bytes = b"x") -> bytes:
    """A header block with a right checksum, whatever it says."""
    block = bytearray(512)
    block[: len(name)], block[100:107], block[108:115], block[116:123] = name, b"0000644", b"0000000", b"0000000"
    block[124 : 124 + len(size)], block[136:147], block[156:157], block[257:265] = size, b"0" * 11, kind, b"ustar\x0000"
    block[148:156] = b"%06o\0 " % (sum(block) + 256)
    return bytes(block)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not an archive".ljust(512, b"!"), "number is wanted"),
        (header(b"0", b"99999999999"), "number is wanted"),
        (header(b"0", b"\x80" + b"\xff" * 11), "too large"),
        (header(b"0", b"\xff" * 12), "negative"),
        (header(b"Z", b"0"), "type b'Z' is not supported"),
        (header(b"L", b"77777777777"), "at most"),
        (header(b"x", b"77777777777"), "at most"),
        (header(b"x", b"00000000005") + b"9 a=b".ljust(512, b"\0"), "PAX record"),
        (header(b"x", b"00000000006") + b"99 a=b".ljust(512, b"\0"), "PAX record"),
        (header(b"x", b"00000000004") + b"4 a\n".ljust(512, b"\0"), "PAX record"),
        (header(b"x", b"00000000012") + b"10 path=a\0\n".ljust(512, b"\0"), "PAX record"),
    ],
)
def test_lies(data: bytes, message: str) -> None:
    """Headers that say what cannot be are refused, before anything is done or much is read."""
    with pytest.raises(InvalidSpec, match=message):
        read(data)


def pax(records: dict[str, bytes], body: bytes, entry: Entry) -> bytes:
    """An archive of one entry with PAX records that our own writer would not write."""
    parts = []
    for key, value in records.items():
        rest = len(key) + len(value) + 3
        length = rest + len(str(rest + len(str(rest))))
        parts.append(f"{length} {key}=".encode() + value + b"\n")
    joined = b"".join(parts)
    return (
        header(b"x", b"%011o" % len(joined))
        + joined.ljust(-(-len(joined) // 512) * 512, b"\0")
        + archive([(entry, body)])
    )


@pytest.mark.parametrize(
    "records",
    [
        {"path": b"a\0b"},
        {"linkpath": b"a\0b"},
        {"size": b"-5"},
        {"size": b"1e3"},
        {"size": b"9" * 30},
        {"uid": b"abc"},
        {"mtime": b"never"},
        {"GNU.sparse.map": b"0,4,2,4", "GNU.sparse.size": b"100"},
        {"GNU.sparse.map": b"50,8", "GNU.sparse.size": b"10"},
        {"GNU.sparse.map": b"0,999", "GNU.sparse.size": b"1000"},
        {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0"},
    ],
)
def test_records_that_lie(records: dict[str, bytes]) -> None:
    """PAX records with a zero byte in a name, numbers that are none, sparse maps that do not agree with the data."""
    with pytest.raises(InvalidSpec):
        read(pax(records, b"12345678", Entry("a", size=8)))


def test_an_endless_sparse_map_is_refused() -> None:
    """A map that never ends is not collected for ever."""
    records = {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"9"}
    for body in (b"1" * 5120, b"99999999\n" + b"1\n" * 2600):
        with pytest.raises(InvalidSpec, match="sparse map"):
            read(pax(records, body, Entry("a", size=len(body))))


def test_the_same_entries_give_the_same_bytes() -> None:
    """Reproducible: nothing of time or machine is in what we write."""
    items = [directory("d", mtime_ns=5), file("d/a", b"x", xattrs={"user.b": b"1", "user.a": b"2"})]
    again = [directory("d", mtime_ns=5), file("d/a", b"x", xattrs={"user.a": b"2", "user.b": b"1"})]
    assert archive(items) == archive(again)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("records", [b"6 a=b\nx", b"x", b"6 a=b\n6", b"0 a=b\n", b"6 a=b\n-1 c=d\n", b"99 a=b\n"])
def test_unreadable_pax_records_are_refused(records: bytes) -> None:
    """Also behind a record that is fine, where a rest without a space once kept the reader busy for ever."""
    with pytest.raises(InvalidSpec):
        list(archives._pax_records(records))
