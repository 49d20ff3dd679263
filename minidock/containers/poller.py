"""A shim's event loop, and its connections: epoll(7) and two small classes.

asyncio would do, but costs each shim a megabyte, and a container's start the time to set it up.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable

IN, OUT, HUP = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR
CHUNK = 256 * 1024
"""How much is read at once, in bytes."""


class Poller:
    """Calls a handler when something happens to a file descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """From now on call ``handler(events)`` when one of ``events`` happens to ``fd``; HUP is always one of them."""
        known = self._watched.get(fd)
        self._watched[fd] = (events, handler)
        if known is None:
            self._epoll.register(fd, events)
        elif known[0] != events:
            self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Look after ``fd`` no more; to be called before it is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def turn(self, timeout: float | None) -> None:
        """Wait for one event, at most ``timeout`` seconds, and handle it.

        One at a time: the handler may close descriptors and open others, and a second event that was fetched with
        the first could then belong to a descriptor that is not the same any more.
        """
        for fd, events in self._epoll.poll(timeout, 1):
            self._watched[fd][1](events)


class Connection:
    """A client on a unix socket, and what to do with it.

    ``receive(data)`` is called with what it sends, and with ``b""`` when it has finished sending (it may go on
    reading); ``flushed()`` when it has read something that was queued; ``gone()`` once, when it has left, or was
    dropped.
    """

    def __init__(self, poller: Poller, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._poller = poller
        self._sock: socket.socket | None = sock
        self._queue: deque[memoryview] = deque()
        self._finishing = False
        self._ended = False
        self.queued = 0
        """Bytes that the client has still to read."""
        self.receive: Callable[[bytes], None] = lambda data: None
        self.gone: Callable[[], None] = lambda: None
        self.flushed: Callable[[], None] = lambda: None
        self.reading = True
        self._watch()

    @property
    def open(self) -> bool:
        """Is the client still there?"""
        return self._sock is not None

    def read(self, reading: bool) -> None:
        """Go on to read from this client, or stop."""
        self.reading = reading
        self._watch()

    def send(self, *parts: bytes) -> None:
        """Send ``parts`` now, as far as the client reads; keep the rest in the queue."""
        if self._sock is None or self._finishing:
            return
        sent = 0
        if not self._queue:
            try:
                sent = self._sock.sendmsg(parts)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop()
                return
        for part in parts:
            if sent < len(part):
                self._queue.append(memoryview(part)[sent:])
                self.queued += len(part) - sent
            sent = max(0, sent - len(part))
        self._watch()

    def finish(self) -> None:
        """Close, once the client has read all that was sent."""
        self._finishing = True
        if self._queue:
            self._watch()
        else:
            self.drop()

    def drop(self) -> None:
        """Close now."""
        if self._sock is None:
            return
        sock, self._sock = self._sock, None
        self._poller.forget(sock.fileno())
        self._queue.clear()
        self.queued = 0
        _close_politely(sock)
        self.gone()

    def _watch(self) -> None:
        if self._sock is not None:
            reading = self.reading and not self._ended and not self._finishing
            self._poller.watch(self._sock.fileno(), (IN if reading else 0) | (OUT if self._queue else 0), self._handle)

    def _handle(self, events: int) -> None:
        if events & OUT:
            self._flush()
        if events & HUP:
            # Nobody is there any more. What was sent before is still worth reading: it is what the socket holds.
            while self._read():
                continue
            self.drop()
        elif events & IN:
            self._read()

    def _read(self) -> bool:
        """Hand on what has come. False when there is nothing more to expect now."""
        if self._sock is None or self._ended:
            return False
        try:
            data = self._sock.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._ended = True
            self._watch()
        self.receive(data)
        return bool(data)

    def _flush(self) -> None:
        while self._sock is not None and self._queue:
            first = self._queue.popleft()
            try:
                sent = self._sock.send(first)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop()
                return
            self.queued -= sent
            if sent < len(first):
                self._queue.appendleft(first[sent:])
                break
        self._watch()
        self.flushed()
        if self._finishing and not self._queue:
            self.drop()


def _close_politely(sock: socket.socket) -> None:
    """Close so that the other side reads what was sent, and then the end.

    A unix socket that is closed while it holds something unread gives the other side ECONNRESET. So first take no
    more, then throw away what there is.
    """
    try:
        sock.shutdown(socket.SHUT_RDWR)
        while sock.recv(CHUNK):
            continue
    except OSError:
        pass  # it is closed next, whatever the other side did
    sock.close()
