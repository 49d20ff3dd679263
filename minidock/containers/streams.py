"""Docker's frames: how a program's stdout and stderr travel over one connection.

Each piece of output is preceded by 8 bytes: one for the stream, three zeros, and the length of what follows, four
bytes, big-endian. A program with a terminal has only one stream, and its bytes travel as they are.

Source: Docker Engine API, "Attach to a container", stream format.
"""

from __future__ import annotations

import struct

STDIN, STDOUT, STDERR = 0, 1, 2
HEADER = struct.Struct(">BxxxL")


def header(stream: int, length: int) -> bytes:
    """The 8 bytes that go before ``length`` bytes of ``stream``."""
    return HEADER.pack(stream, length)


def frame(stream: int, data: bytes) -> bytes:
    """``data`` with its header."""
    return header(stream, len(data)) + data


class Unframer:
    """Takes a framed stream apart, whatever the pieces are in which it arrives."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that ``data`` completes, as pairs of stream and content."""
        data = self._rest + data
        frames = []
        position = 0
        while len(data) - position >= HEADER.size:
            stream, length = HEADER.unpack_from(data, position)
            begin = position + HEADER.size
            if len(data) < begin + length:
                break
            frames.append((stream, data[begin : begin + length]))
            position = begin + length
        self._rest = data[position:]
        return frames
