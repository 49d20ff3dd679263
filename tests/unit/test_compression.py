"""What archives are packed with, damage, and limits."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from minidock.errors import CorruptContent, InvalidSpec
from minidock.images.compression import ReadAhead, Stream, decompressed, kind_of

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def stream(packed: bytes, limit: int = 2**30) -> Stream:
    """A stream of what ``packed`` unpacks to."""
    return Stream(decompressed(io.BufferedReader(io.BytesIO(packed))), limit, hashlib.sha256())


@pytest.mark.parametrize("kind", PACKERS)
@given(data=st.binary(max_size=5000), sizes=st.lists(st.integers(0, 700), max_size=10))
def test_every_kind_unpacks_to_the_same(kind: str, data: bytes, sizes: list[int]) -> None:
    """The first bytes say how it is packed; the stream gives what was packed, in any pieces, and its digest."""
    packed = PACKERS[kind](b"tar" + data)
    found = stream(packed)
    taken = b"".join(found.take(size) for size in sizes)
    assert taken == (b"tar" + data)[: sum(sizes)]
    assert found.finish() == f"sha256:{hashlib.sha256(b'tar' + data).hexdigest()}"
    assert found.size == len(data) + 3
    assert kind_of(packed[:6]) == kind


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_several_members_are_one_stream(kind: str) -> None:
    """pigz and zstd write several members or frames one after the other."""
    found = stream(PACKERS[kind](b"one") + PACKERS[kind](b"two"))
    assert found.take(6) == b"onetwo"


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damage_is_noticed(kind: str, damage: str) -> None:
    """A truncated or changed stream is corrupt, or unpacks to something else than before; it never looks whole."""
    data = bytes(range(256)) * 50
    packed = bytearray(PACKERS[kind](data))
    if damage == "cut":
        del packed[-12:]
    else:
        packed[len(packed) // 2] ^= 0xFF
    found = stream(bytes(packed))
    try:
        digest = found.finish()
    except CorruptContent as error:
        assert "cannot be unpacked" in str(error)
    else:
        # zstd need not hold a checksum: then it is the diff-id that tells.
        assert kind == "zstd" and digest != f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_changed_checksum_is_noticed() -> None:
    """gzip's checksum stands at the end, after all data: it too is looked at."""
    packed = bytearray(gzip.compress(b"x" * 1000))
    packed[-5] ^= 1
    with pytest.raises(CorruptContent):
        stream(bytes(packed)).finish()


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_a_bomb_stops_at_the_limit(kind: str) -> None:
    """A small file that unpacks to more than it may is refused, soon after the limit."""
    found = stream(PACKERS[kind](bytes(30_000_000)), limit=1_000_000)
    with pytest.raises(InvalidSpec, match="larger than 1000000 bytes"):
        found.finish()
    assert found.size < 2_000_000


def test_too_little_data_is_truncated() -> None:
    """Asking for more than there is ends in an error, not in silence."""
    with pytest.raises(InvalidSpec, match="truncated"):
        list(stream(b"tar").pieces(4))


@given(st.binary(max_size=300), st.sampled_from(sorted(PACKERS)))
def test_any_bytes_unpack_or_are_refused(data: bytes, kind: str) -> None:
    """Garbage behind a right beginning makes nothing fail otherwise."""
    beginning = PACKERS[kind](b"x")[:6] if kind else b""
    try:
        stream(beginning + data, limit=10_000_000).finish()
    except (CorruptContent, InvalidSpec):
        return


@given(data=st.binary(max_size=500), sizes=st.lists(st.integers(1, 100), min_size=1, max_size=20))
def test_reading_ahead_reads_the_same(data: bytes, sizes: list[int]) -> None:
    """Whoever stops early leaves no thread that still reads: the file may be closed at once."""
    file = io.BytesIO(data)
    with ReadAhead(file) as ahead:
        taken = [ahead.read(sizes[0]) for _ in sizes]
    file.close()
    assert b"".join(taken) == data[: sizes[0] * len(sizes)]


def test_reading_ahead_raises_where_the_damage_is() -> None:
    """What came before it is still given out; the error comes with the read that meets it, again if asked again."""
    packed = gzip.compress(bytes(range(256)) * 4000)
    with ReadAhead(decompressed(io.BufferedReader(io.BytesIO(packed[:-9])))) as ahead:
        assert ahead.read(1000) == (bytes(range(256)) * 4)[:1000]
        for _ in range(2):
            with pytest.raises(EOFError):
                while ahead.read(10_000):
                    continue
