"""The HTTP server: versions, errors in Docker's shape, and the sockets that it listens on."""

from __future__ import annotations

import asyncio
import grp
import itertools
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from minidock import messages
from minidock.daemon import supervisor
from minidock.daemon.api import absent, answers, hijack, parameters, tls
from minidock.daemon.api.connection import Connection, Site
from minidock.daemon.api.route import Route
from minidock.daemon.api.routes import ROUTES
from minidock.daemon.config import Config, parse_host
from minidock.daemon.engine import Engine
from minidock.errors import (
    BuildStepFailed,
    InvalidInput,
    MinidockError,
    NotModified,
    RegistryError,
    Unauthorized,
    Unreachable,
)

log = logging.getLogger(__name__)

VERSION_PREFIX = r"/v{version:[0-9]{1,9}\.[0-9]{1,9}}"
# Documents are small; what is large (an archive) is read as a stream, which this does not limit.
MOST_BYTES_OF_A_DOCUMENT = 16 * 1024 * 1024
# Requests that run for as long as a client listens are cut off when the daemon ends.
SHUTDOWN_SECONDS = 2.0
# Failures (500) whose cause is outside: a registry, a program. A traceback would say nothing about it.
NOT_OURS = (RegistryError, Unauthorized, Unreachable, BuildStepFailed)

_request_ids = itertools.count(1)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(engine: Engine) -> web.Application:
    """All routes, with and without a version before them."""
    app = web.Application(middlewares=[_answer_errors], client_max_size=MOST_BYTES_OF_A_DOCUMENT)
    for route in ROUTES:
        _add(app, route.method, route.path, _bound(engine, route))
    for method, path, handler in absent.routes():
        _add(app, method, path, handler)
    app.on_response_prepare.append(_name_ourselves)
    return app


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    for prefix in ("", VERSION_PREFIX):
        app.router.add_route(method, prefix + path, handler)


def _bound(engine: Engine, route: Route) -> Handler:
    kind = route.asked

    async def handle(request: web.Request) -> web.StreamResponse:
        assert isinstance(request.protocol, Connection)
        if not request.protocol.begin(request, route.ends_with_client):
            return hijack.Finished()
        _check_version(request)
        if route.takes_document:
            _check_type(request)
        answer = route.handler(engine, request, kind(request)) if kind else route.handler(engine, request)
        if route.ends_with_client:
            return await answer
        # aiohttp cancels a handler whose client is gone. A stream should end then; a change should not stop half-way.
        return await asyncio.shield(asyncio.ensure_future(answer))

    return handle


def _check_version(request: web.Request) -> None:
    asked = request.match_info.get("version", "")
    if parameters.version(request) > _number(messages.API_VERSION):
        raise InvalidInput(
            f"client version {asked} is too new. Maximum supported API version is {messages.API_VERSION}"
        )
    if parameters.version(request) < _number(messages.MINIMUM_API_VERSION):
        raise InvalidInput(
            f"client version {asked} is too old. Minimum supported API version is {messages.MINIMUM_API_VERSION}, "
            "please upgrade your client to a newer version"
        )


def _check_type(request: web.Request) -> None:
    """Raises InvalidInput for a body that does not say it is JSON, as Docker: any page may have a browser send text."""
    if request.body_exists and request.content_type != parameters.JSON:
        said = parameters.Asked(request).said("Content-Type", "header")
        raise InvalidInput(f"unsupported Content-Type header ({''.join(said)}): must be '{parameters.JSON}'")


def _number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error becomes ``{"message": …}`` with its status; a bug also leaves its traceback in the log."""
    number = next(_request_ids)
    log.debug("request %d: %s %s", number, request.method, request.path_qs)
    try:
        return await handler(request)
    except NotModified:
        return web.Response(status=304)
    except MinidockError as error:
        if error.http_status == 500:  # 501 and 503 are answers
            bug = None if isinstance(error, NOT_OURS) else error
            log.error("request %d: %s %s: %s", number, request.method, request.path_qs, error, exc_info=bug)
        return _error(error.http_status, error.message)
    except web.HTTPException as error:
        if error.status in (404, 405):  # Docker makes no difference: there is no such page for this method
            return _error(404, "page not found")
        return _error(error.status, error.reason.lower())
    except RequestPayloadError as error:
        return _error(400, f"the request's body cannot be read: {error}")
    except asyncio.CancelledError:
        raise
    except Exception as error:
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            log.debug("request %d: the client is gone", number)
            return hijack.Finished()
        log.exception("request %d: %s %s", number, request.method, request.path_qs)
        return _error(500, f"{type(error).__name__}: {error} (request {number} in the daemon's log)")


def _error(status: int, message: str) -> web.Response:
    return answers.document(messages.Error(message=message), status)


async def _name_ourselves(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(answers.OURS)
    if isinstance(response, web.Response) and not response.body:
        response.headers.popall("Content-Type", None)  # of nothing: Docker says none, aiohttp makes one up


def _in_one_line(record: logging.LogRecord) -> bool:
    """A filter for aiohttp's log: what is no HTTP is the client's mistake, where a traceback would look like ours."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (HttpProcessingError, RequestPayloadError)):
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = "a request that is no HTTP: %r", (str(error)[:200],)
        record.exc_info = None
    return True


async def listen(engine: Engine, config: Config) -> web.AppRunner:
    """Serve on every one of the configured hosts. Raises InvalidInput when an address cannot be used."""
    logging.getLogger("aiohttp.server").addFilter(_in_one_line)
    runner = web.AppRunner(application(engine), handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    secure = tls.context(config) if config.tlsverify else None
    for host in config.hosts:
        try:
            opened = _sockets(parse_host(host), config.group)
        except OSError as error:
            raise InvalidInput(f"cannot listen on {host}: {error.strerror}") from None
        for item in opened:
            if secure is not None and item.family != socket.AF_UNIX:
                await tls.TlsSite(runner, item, secure).start()
            else:
                await Site(runner, item, backlog=1024).start()
        log.info("listening on %s", host)
    if config.insecure_tcp_without_authentication:
        log.warning("%s: whoever reaches it is root on this machine", ", ".join(config.hosts))
    return runner


def _sockets(place: Path | tuple[str, int] | None, group: str) -> list[socket.socket]:
    if place is None:
        return supervisor.inherited_sockets()
    return [_unix_socket(place, group) if isinstance(place, Path) else _tcp_socket(*place)]


def _tcp_socket(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=1024)


def _unix_socket(path: Path, group: str) -> socket.socket:
    """For root, and for the members of ``group`` when there is such a group: who may use it is root on this machine."""
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    # Left by a daemon that was killed; that none lives, the lock on the exec root has shown.
    path.unlink(missing_ok=True)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        opened.bind(str(path))
    except BaseException:
        opened.close()
        raise
    finally:
        os.umask(mask)
    try:
        os.chown(path, 0, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
    except KeyError:
        log.info("no group %r on this machine: the socket is for root alone", group)
    return opened
