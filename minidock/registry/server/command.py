"""``minidock-registry``: serve a registry, or collect its garbage. It needs no daemon and no root.

Also reached as ``minidock registry …``.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
import ssl
import sys
from pathlib import Path
from typing import NoReturn

from aiohttp import web
from yarl import URL

from minidock.errors import InvalidInput, MinidockError
from minidock.registry.certificates import as_docker_checks
from minidock.registry.credentials import Credentials
from minidock.registry.server import collecting
from minidock.registry.server.access import Access, Anybody, Passwords, Tokens
from minidock.registry.server.application import application
from minidock.registry.server.registry import Limits, Registry
from minidock.registry.server.store import Store
from minidock.registry.server.upstream import Upstream
from minidock.registry.settings import Settings
from minidock.units import human_size, parse_duration, parse_size

DEFAULT_ROOT = Path("/var/lib/minidock-registry")
COLLECT_EVERY = 3600.0


def main() -> None:
    """The command. Errors are one line on stderr and exit code 1."""
    try:
        arguments = _parser().parse_args()
        arguments.run(arguments)
    except (MinidockError, OSError) as error:
        sys.exit(f"minidock-registry: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


class _Parser(argparse.ArgumentParser):
    """A wrong flag gets one line, not the list of all that there are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"minidock-registry: {message} (see '{self.prog} --help')\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="minidock-registry", description="A registry of your own.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve a registry", allow_abbrev=False)
    serve.set_defaults(run=lambda arguments: asyncio.run(_serve(arguments)))
    _common(serve)
    add = serve.add_argument
    add("--listen", default="127.0.0.1:5000", metavar="ADDRESS:PORT", help="where (127.0.0.1:5000; port 0: any)")
    add("--tls-cert", type=Path, metavar="FILE", help="serve https, with this certificate (PEM)")
    add("--tls-key", type=Path, metavar="FILE", help="and its key")
    add("--tls-client-ca", type=Path, metavar="FILE", help="who may come in: those with a certificate that it signed")
    add("--htpasswd", type=Path, metavar="FILE", help="who may come in: names and bcrypt hashes, as from htpasswd -B")
    add("--token-realm", metavar="URL", help="who may come in: those with a token from this server")
    add("--token-service", default="minidock-registry", metavar="NAME", help="our name to the token server")
    add("--token-issuer", metavar="NAME", help="the token server's name in its tokens")
    add("--token-cert", type=Path, metavar="FILE", help="the certificate whose key signs tokens (PEM)")
    add("--read-only", action="store_true", help="no pushes, no deletes")
    add("--max-upload", type=parse_size, default=0, metavar="SIZE", help="the largest blob that is taken, like 10g")
    add("--proxy", metavar="URL", help="be a cache of this registry (a mirror)")
    add("--proxy-user", default="", metavar="NAME", help="who we are there; the password is in $PROXY_PASSWORD")
    what = "remove what nothing needs, also while the registry runs"
    collect = commands.add_parser("gc", help=what, allow_abbrev=False)
    collect.set_defaults(run=_collect)
    _common(collect)
    hour = parse_duration("1h")
    collect.add_argument("--delete-untagged", action="store_true", help="manifests without a tag too")
    collect.add_argument("--grace", type=parse_duration, default=hour, metavar="TIME", help="keep what is younger (1h)")
    collect.add_argument("--dry-run", action="store_true", help="only tell")
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", type=Path, default=DEFAULT_ROOT, metavar="DIR", help=f"its directory ({DEFAULT_ROOT})"
    )


def _collect(arguments: argparse.Namespace) -> None:
    if not (arguments.root / "registry.db").exists():
        raise InvalidInput(f"{arguments.root} is no registry's directory")
    store = Store(arguments.root)
    found = collecting.collect(store, arguments.grace / 1e9, arguments.delete_untagged, arguments.dry_run)
    store.close()
    for digest in found.manifests + found.blobs:
        print(digest)
    verb = "would free" if arguments.dry_run else "freed"
    print(f"{verb} {human_size(found.size)}: {len(found.manifests)} manifests, {len(found.blobs)} blobs")


async def _serve(arguments: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("minidock").setLevel(logging.INFO)
    address, port = _address(arguments.listen)
    tls = _tls(arguments)
    access, proxied = _access(arguments), _proxied(arguments.proxy)
    has_users = not isinstance(access, Anybody) or arguments.tls_client_ca is not None
    if not ipaddress.ip_address(address).is_loopback and (tls is None or not has_users):
        print(
            "minidock-registry: warning: others can reach this address, and it has no TLS or no users", file=sys.stderr
        )
    store = Store(arguments.root)
    upstream = None
    if proxied is not None:
        credentials = Credentials(username=arguments.proxy_user, password=os.environ.get("PROXY_PASSWORD", ""))
        upstream = Upstream(proxied, store, credentials, Settings())
    registry = Registry(store, access, Limits(arguments.max_upload, arguments.read_only), upstream)
    runner = web.AppRunner(application(registry), access_log=None, handler_cancellation=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port, ssl_context=tls)
        await site.start()
        where = URL.build(scheme="https" if tls else "http", host=address, port=runner.addresses[0][1])
        print(f"serving {arguments.root} at {where}", flush=True)
        await _until(ended, registry)
    finally:
        await runner.cleanup()
        store.close()


async def _until(ended: asyncio.Event, registry: Registry) -> None:
    """Serve; now and then look for what nothing needs."""
    while not ended.is_set():
        try:
            await asyncio.wait_for(ended.wait(), COLLECT_EVERY)
        except TimeoutError:
            registry.uploads.sweep()
            await asyncio.to_thread(collecting.collect, registry.store)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    try:
        return str(ipaddress.ip_address(host.strip("[]") or "0.0.0.0")), int(port)
    except ValueError:
        raise InvalidInput(f"{text!r} is not ADDRESS:PORT, like 127.0.0.1:5000") from None


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if arguments.tls_cert is None and arguments.tls_key is None and arguments.tls_client_ca is None:
        return None
    if arguments.tls_cert is None or arguments.tls_key is None:
        raise InvalidInput("--tls-cert and --tls-key go together, and --tls-client-ca needs them")
    context = as_docker_checks(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
    context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    if arguments.tls_client_ca is not None:
        context.load_verify_locations(arguments.tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _access(arguments: argparse.Namespace) -> Access:
    if arguments.htpasswd and arguments.token_realm:
        raise InvalidInput("--htpasswd and --token-realm are two ways; choose one")
    if arguments.htpasswd:
        return Passwords(arguments.htpasswd)
    if not arguments.token_realm:
        return Anybody()
    if not arguments.token_issuer or not arguments.token_cert:
        raise InvalidInput("--token-realm needs --token-issuer and --token-cert")
    return Tokens(arguments.token_realm, arguments.token_service, arguments.token_issuer, arguments.token_cert)


def _proxied(text: str | None) -> URL | None:
    """The registry that this one is to be a cache of, if any."""
    if text is None:
        return None
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or url.path != "/":
        raise InvalidInput(f"--proxy {text}: the registry's address is needed, like https://registry.example")
    return url
