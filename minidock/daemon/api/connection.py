"""A client that has said everything may end its direction and still wants its answer: ``nc -N``, some proxies.

aiohttp takes the end of the client's direction for the end of the client. Here, as in Go's server (and so in Docker's),
only what runs *until the client goes* ends then, and a request whose body will never be whole.
"""

from __future__ import annotations

import asyncio

from aiohttp import web


class Connection(web.RequestHandler):
    """One client, as aiohttp looks after it."""

    _ends_with_client = False

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio lets it say that the transport stays open
        """True when an answer is still to be sent."""
        is_idle = self._waiter is not None and not self._waiter.done()
        request = self._current_request
        if is_idle or (request is not None and (self._ends_with_client or not request.content.is_eof())):
            return False
        self.close()  # after the answer
        return True

    def begin(self, request: web.Request, ends_with_client: bool) -> bool:
        """Before a request is answered. False when that would be for nobody: its client had ended before."""
        self._ends_with_client = ends_with_client
        return not self._close or (request.content.is_eof() and not ends_with_client)


class Site(web.SockSite):
    """A socket where the API is served."""

    def connect(self) -> Connection:
        """Who looks after the next client."""
        assert self._runner.server is not None, "the runner is set up"
        return Connection(self._runner.server, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        self._server = await asyncio.get_running_loop().create_server(
            self.connect, sock=self._sock, backlog=self._backlog
        )
