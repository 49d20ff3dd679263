r"""Writing a container's log, in Docker's json-file format: one JSON object for each line of output.

::

    {"log":"hello\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}

A line of more than 16 KiB is split: all its pieces but the last have no ``\n`` at the end of ``log``. What comes after
the last newline waits for the rest of its line, or for the end of the output.

Speed. Going through the output line by line would be slow in Python, but all lines that one read brings share their
stream and their time. So what stands between two lines of the log is always the same text: one ``bytes.replace`` of
the newline by that text writes them all.

A log with a limit is turned over when it is full (:mod:`minidock.containers.rotation`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from minidock.containers import rotation
from minidock.containers.streams import STDERR, STDOUT
from minidock.containers.wire import LogOptions
from minidock.units import format_rfc3339

LINE_LIMIT = 16 * 1024
STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
_BEGIN = b'{"log":"'

# Docker's encoder escapes what HTML would take for markup, too. The backslash has to be the first one replaced.
_ESCAPES = {b"\\": b"\\\\", b'"': b'\\"', b"\r": b"\\r", b"<": b"\\u003c", b">": b"\\u003e", b"&": b"\\u0026"}
_ESCAPES |= {bytes([code]): b"\\u%04x" % code for code in range(0x20) if code not in b"\n\r"}
_SPECIAL = b"".join(_ESCAPES)


def _escape(text: bytes) -> bytes:
    """``text`` as it stands in a JSON string, except for newlines, which are left alone."""
    if len(text.translate(None, _SPECIAL)) != len(text):
        for byte, escaped in _ESCAPES.items():
            text = text.replace(byte, escaped)
    if not text.isascii():
        # What is no UTF-8 becomes U+FFFD. U+2028 and U+2029 end a line in JavaScript, so Docker escapes them.
        decoded = text.decode("utf-8", "replace")
        text = decoded.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()
    return text


def _character_boundary(data: bytes, end: int) -> int:
    """The last place up to ``end`` where a UTF-8 character begins: there a line may be split."""
    for place in range(end, end - 4, -1):
        if place == len(data) or data[place] & 0b1100_0000 != 0b1000_0000:
            return place
    return end


class LogWriter:
    """Appends a container's output to its log. ``path`` is created when missing, readable by root alone."""

    def __init__(self, path: Path, options: LogOptions = LogOptions()) -> None:  # noqa: B008  # it is frozen
        self._path = path
        self._options = options
        self._attributes = f'"attrs":{options.attributes},' if options.attributes else ""
        self._packer = 0
        self._partial = {STDOUT: b"", STDERR: b""}
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size
        # Whoever wrote here before may have been killed, or found the disk full, in the middle of a line.
        self._torn = self._size > 0 and os.pread(self._file, 1, self._size - 1) != b"\n"

    def write(self, stream: int, data: bytes, now_ns: int) -> None:
        """Add what was read from ``stream`` at the time ``now_ns`` (nanoseconds since 1970)."""
        data = self._partial[stream] + data
        end = self._end(stream, now_ns)
        entries = []
        start = position = 0
        while True:
            newline = data.rfind(b"\n", position, position + LINE_LIMIT)
            if newline >= 0:
                position = newline + 1
            elif len(data) - position < LINE_LIMIT:
                break
            else:
                cut = _character_boundary(data, position + LINE_LIMIT)
                entries += [_lines(data[start:position], end), _BEGIN, _escape(data[position:cut]), end]
                start = position = cut
        entries.append(_lines(data[start:position], end))
        self._partial[stream] = data[position:]
        self._append(b"".join(entries))

    def finish(self, stream: int, now_ns: int) -> None:
        """``stream`` has ended: what waits for the rest of its line is the last line."""
        if rest := self._partial[stream]:
            self._partial[stream] = b""
            self._append(_BEGIN + _escape(rest) + self._end(stream, now_ns))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _append(self, entries: bytes) -> None:
        """Add complete entries, as many to each file as it may hold, and at least one."""
        limit = self._options.max_bytes
        while limit and self._size + len(entries) > limit:
            end = entries.rfind(b"\n", 0, max(0, limit - self._size)) + 1
            if end == 0 and self._size == 0:
                end = entries.index(b"\n") + 1
            self._write(entries[:end])
            entries = entries[end:]
            if not entries:
                return
            self._turn_over()
        self._write(entries)

    def _write(self, entries: bytes) -> None:
        """One write. When the disk is full the container's output is lost, but the container goes on."""
        if not entries:
            return
        if self._torn:
            entries = b"\n" + entries
        try:
            written = os.write(self._file, entries)
        except OSError:
            return
        self._size += written
        self._torn = written < len(entries)

    def _turn_over(self) -> None:
        """Go on in a new file. The one before the last must be packed by now, or names would be mixed up."""
        if self._packer:
            with suppress(ChildProcessError):  # the shim has reaped it
                os.waitpid(self._packer, 0)
        os.close(self._file)
        with suppress(OSError):
            rotation.turn_over(self._path, self._options.files)
        self._open()
        if self._options.compress and self._options.files > 1:
            self._packer = rotation.pack(self._path)

    def _end(self, stream: int, now_ns: int) -> bytes:
        """What follows the text of an entry."""
        name, time = STREAM_NAMES[stream], format_rfc3339(now_ns)
        return f'","stream":"{name}",{self._attributes}"time":"{time}"}}\n'.encode()


def _lines(lines: bytes, end: bytes) -> bytes:
    """The entries for complete lines, none of them too long."""
    if not lines:
        return b""
    end = b"\\n" + end
    return _BEGIN + _escape(lines[:-1]).replace(b"\n", end + _BEGIN) + end
