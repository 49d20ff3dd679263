"""Docker's frames: whatever the pieces are in which they arrive, the same frames come out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from minidock.containers.streams import STDERR, STDOUT, Unframer, frame
from minidock.daemon.api.streams import BATCH, gathered

FRAMES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40)), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data``, cut at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


@given(FRAMES, st.lists(st.integers(0, 1000), max_size=12))
def test_any_chunking_gives_the_same_frames(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """Where the connection cuts the stream makes no difference to the frames in it."""
    unframer = Unframer()
    stream = b"".join(frame(number, data) for number, data in frames)
    assert [found for piece in pieces(stream, cuts) for found in unframer.feed(piece)] == frames


def test_a_frame_is_what_docker_sends() -> None:
    """The header is one byte for the stream, three zeros, and the length, big-endian."""
    assert frame(STDERR, b"ab" * 200) == b"\x02\x00\x00\x00\x00\x00\x01\x90" + b"ab" * 200


def test_an_unfinished_frame_waits() -> None:
    """Nothing comes out before a frame's last byte is there."""
    unframer = Unframer()
    assert unframer.feed(frame(STDOUT, b"hello")[:-1]) == []
    assert unframer.feed(b"o") == [(STDOUT, b"hello")]


@given(st.lists(st.binary(max_size=50_000), max_size=20))
async def test_a_log_is_sent_in_fewer_pieces(written: list[bytes]) -> None:
    """Not a byte more or less; none empty, and all but the last as large as a write is to be."""

    async def lines() -> AsyncIterator[bytes]:
        for piece in written:
            yield piece

    sent = [piece async for piece in gathered(lines())]
    assert b"".join(sent) == b"".join(written)
    assert all(sent) and all(len(piece) >= BATCH for piece in sent[:-1])
