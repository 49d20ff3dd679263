"""Registries for tests: Debian's docker-registry as a real process, a token server, and a registry that lies.

Images for them are made here, by hand, as an OCI image layout; ``skopeo`` pushes them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bcrypt
import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minidock.oci import image as media
from minidock.oci.platform import host

# --- images ---------------------------------------------------------------------------------------------------------


def digest_of(data: bytes) -> str:
    """The sha256 digest of ``data``, by other means than the engine's own."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar archive with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class TestImage:
    """An image as its documents and blobs, ready to be served or written to a layout."""

    __test__ = False

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    top: str = ""

    def add_blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Keep a blob; its descriptor."""
        self.blobs[digest_of(data)] = data
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def add_manifest(self, document: dict[str, Any]) -> dict[str, Any]:
        """Keep a manifest or index, as what the image's name stands for; its descriptor."""
        data = json.dumps(document, indent=1).encode()
        self.top = digest_of(data)
        self.manifests[self.top] = (document["mediaType"], data)
        return {"mediaType": document["mediaType"], "digest": self.top, "size": len(data)}

    def document(self) -> Any:
        """What the name stands for, decoded."""
        return json.loads(self.manifests[self.top][1])

    def write_layout(self, directory: Path, tag: str = "latest") -> None:
        """Write it as an OCI image layout."""
        for data in [*self.blobs.values(), *(content for _, content in self.manifests.values())]:
            path = directory / "blobs" / "sha256" / digest_of(data)[7:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        media_type, data = self.manifests[self.top]
        entry = {"mediaType": media_type, "digest": self.top, "size": len(data)}
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def make_image(
    layers: list[bytes],
    architecture: str = host().architecture,
    into: TestImage | None = None,
    config: dict[str, Any] | None = None,
) -> TestImage:
    """An image of these layers (uncompressed tar archives), added to ``into`` if given."""
    image = into or TestImage()
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
    document = {"architecture": architecture, "os": "linux", "config": config or {}, "rootfs": rootfs}
    image.add_manifest(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": image.add_blob(json.dumps(document).encode(), media.OCI_CONFIG),
            "layers": [image.add_blob(gzip.compress(layer, 1, mtime=0), media.OCI_LAYER_GZIP) for layer in layers],
        }
    )
    return image


def make_index(*architectures: str) -> TestImage:
    """An index with a small image for each architecture, and an attestation as BuildKit adds them."""
    image, entries = TestImage(), []
    for architecture in architectures:
        make_image([tar_of({"arch": architecture.encode()})], architecture, into=image)
        media_type, data = image.manifests[image.top]
        platform = {"architecture": architecture, "os": "linux"}
        entries.append({"mediaType": media_type, "digest": image.top, "size": len(data), "platform": platform})
    attestation = image.add_manifest(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": image.add_blob(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [image.add_blob(b'{"_type": "x"}', "application/vnd.in-toto+json")],
        }
    )
    attestation["platform"] = {"architecture": "unknown", "os": "unknown"}
    attestation["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    image.add_manifest({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [attestation, *entries]})
    return image


def push(
    image: TestImage, name: str, directory: Path, credentials: str | None = None, inside: Sequence[str] = ()
) -> None:
    """Push ``image`` as ``name`` (``127.0.0.1:5000/x:latest``) with skopeo. ``credentials`` is ``user:password``.

    ``inside`` are words before the command: the ``nsenter`` that leads to the registry's network namespace.
    """
    layout = directory / f"layout-{uuid.uuid4().hex}"
    image.write_layout(layout)
    who = ["--dest-creds", credentials] if credentials else ["--dest-no-creds"]
    command = [*inside, "skopeo", "--insecure-policy", "copy", "--all", "--quiet", "--dest-tls-verify=false", *who]
    subprocess.run([*command, f"oci:{layout}:latest", f"docker://{name}"], check=True, capture_output=True)


# --- Debian's docker-registry ---------------------------------------------------------------------------------------


@dataclass
class DebianRegistry:
    """A running docker-registry. ``log`` grows while it runs."""

    address: str
    log: list[str]
    process: subprocess.Popen[str]

    def requests(self, part: str) -> list[str]:
        """The lines about answered requests that contain ``part``."""
        return [line for line in self.log if "response completed" in line and part in line]


@contextmanager
def debian_registry(
    directory: Path, auth: str = "", address: str = "127.0.0.1:0", inside: Sequence[str] = ()
) -> Iterator[DebianRegistry]:
    """Run docker-registry on a free port, with its storage in ``directory``.

    ``auth`` is a part of its config.yml; ``inside`` are words before the command, as for :func:`push`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "config.yml"
    configuration.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {directory}/storage\n"
        f"  delete:\n    enabled: true\nhttp:\n  addr: {address}\n{auth}"
    )
    process = subprocess.Popen(
        [*inside, "docker-registry", "serve", str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log: list[str] = []
    try:
        for line in process.stderr:
            log.append(line)
            if found := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
                break
        else:
            raise AssertionError(f"docker-registry did not start: {''.join(log)}")
        reader = threading.Thread(target=log.extend, args=(process.stderr,), daemon=True)
        reader.start()
        yield DebianRegistry(found.group(1), log, process)
    finally:
        process.kill()
        process.wait()


# --- our own registry -----------------------------------------------------------------------------------------------


@contextmanager
def own_registry(
    root: Path,
    *flags: str,
    address: str = "127.0.0.1:0",
    inside: Sequence[str] = (),
    password: str = "",
    quiet: bool = False,
) -> Iterator[str]:
    """Run minidock-registry on a free port, with its directory at ``root``; where it is, as ``127.0.0.1:port``.

    ``password`` is the one that it shows as a cache; ``inside`` are words before the command, as for :func:`push`.
    Its log goes to our stderr, or with ``quiet`` nowhere.
    """
    entry = [sys.executable, "-m", "minidock.registry.server"]
    command = [*inside, *entry, "serve", "--root", str(root), "--listen", address, *flags]
    environment = os.environ | {"PROXY_PASSWORD": password}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("serving"), "minidock-registry did not start"
        yield line.rpartition("//")[2].strip()
    finally:
        process.terminate()
        process.wait()


def htpasswd_auth(directory: Path, user: str, password: str) -> str:
    """Configuration for docker-registry: Basic authentication of one user."""
    directory.mkdir(parents=True, exist_ok=True)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"{user}:{hashed}\n")
    return f"auth:\n  htpasswd:\n    realm: basic-realm\n    path: {directory}/htpasswd\n"


# --- a token server -------------------------------------------------------------------------------------------------


class TokenServer:
    """Signs tokens that docker-registry verifies. ``users`` may do all; everybody may pull what is ``public``."""

    SERVICE = "test registry"
    ISSUER = "test issuer"

    def __init__(self, users: dict[str, str], public: frozenset[str] = frozenset()) -> None:
        self.users = users
        self.public = public
        self.requests: list[dict[str, str]] = []
        self.refresh_token = "refresh-" + uuid.uuid4().hex
        self.expires_in = 300
        self.realm = ""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _self_signed(self._key)

    def auth(self, directory: Path) -> str:
        """Configuration for docker-registry. The server must be running: the realm is in it."""
        directory.mkdir(parents=True, exist_ok=True)
        bundle = directory / "root.pem"
        bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        return (
            f"auth:\n  token:\n    realm: {self.realm}\n    service: {self.SERVICE}\n    issuer: {self.ISSUER}\n"
            f"    rootcertbundle: {bundle}\n"
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TokenServer]:
        """Serve on a free port of loopback."""
        application = web.Application()
        application.add_routes([web.get("/token", self._get), web.post("/token", self._post)])
        async with serve(application) as base:
            self.realm = f"{base}/token"
            yield self

    async def _get(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        self.requests.append({"method": "GET", "authorization": authorization, **request.query})
        user = ""
        if authorization:
            user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            if self.users.get(user) != password:
                body = {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}
                return web.json_response(body, status=401)
        return web.json_response(self._answer(user, request.query.getall("scope", [])))

    async def _post(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.requests.append({"method": "POST", **form})
        if form.get("refresh_token") != self.refresh_token:
            return web.json_response({"errors": [{"code": "UNAUTHORIZED", "message": "bad token"}]}, status=401)
        answer = self._answer(next(iter(self.users)), form.get("scope", "").split())
        return web.json_response({"access_token": answer["token"], "expires_in": answer["expires_in"]})

    def _answer(self, user: str, scopes: list[str]) -> dict[str, Any]:
        access = []
        for scope in " ".join(scopes).split():
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = actions.split(",") if user else ["pull"] if name in self.public else []
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        claims = {"iss": self.ISSUER, "sub": user, "aud": self.SERVICE, "iat": now, "nbf": now - 30, "access": access}
        claims |= {"exp": now + max(self.expires_in, 60), "jti": uuid.uuid4().hex}
        chain = [base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()]
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"x5c": chain})
        return {"token": token, "expires_in": self.expires_in}


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "token server")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .sign(key, hashes.SHA256())
    )


# --- a registry that lies -------------------------------------------------------------------------------------------

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
Intercept = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class LyingRegistry:
    """Honest about its images, until a test says otherwise.

    ``intercept`` sees every request first and may answer it; ``blob_answer`` answers GETs of blobs. ``requests`` is
    all that came; ``served`` counts the bytes of each blob that went out honestly.
    """

    def __init__(self, *images: TestImage, ranges: bool = True) -> None:
        self.blobs = {digest: data for image in images for digest, data in image.blobs.items()}
        self.manifests = {digest: entry for image in images for digest, entry in image.manifests.items()}
        if images:
            self.manifests["latest"] = self.manifests[images[0].top]
        self.ranges = ranges
        self.requests: list[web.Request] = []
        self.served: Counter[str] = Counter()
        self.intercept: Intercept | None = None
        self.blob_answer: Answer = self.honest_blob
        self.base = ""

    @property
    def address(self) -> str:
        """``127.0.0.1:port``."""
        return self.base.removeprefix("http://")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LyingRegistry]:
        """Serve on a free port of loopback."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._dispatch)
        async with serve(application) as self.base:
            yield self

    def authorizations(self) -> set[str]:
        """Every Authorization header, and everything in a form, that reached this server."""
        return {request.headers["Authorization"] for request in self.requests if "Authorization" in request.headers}

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.intercept is not None and (answer := await self.intercept(request)) is not None:
            return answer
        if request.path == "/v2/":
            return web.json_response({})
        kind, _, name = request.path.rpartition("/")
        if kind.endswith("/manifests") and name in self.manifests:
            media_type, data = self.manifests[name]
            headers = {"Docker-Content-Digest": digest_of(data), "Content-Type": media_type}
            return web.Response(body=data, headers=headers)
        if kind.endswith("/blobs") and name in self.blobs:
            return await self.blob_answer(request, self.blobs[name])
        code = "MANIFEST_UNKNOWN" if kind.endswith("/manifests") else "BLOB_UNKNOWN"
        message = code.lower().replace("_", " ")
        return web.json_response({"errors": [{"code": code, "message": message}]}, status=404)

    async def honest_blob(self, request: web.Request, data: bytes) -> web.StreamResponse:
        """The blob, or the part of it that was asked for."""
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(wanted.group(1)) if wanted and self.ranges else 0
        self.served[digest_of(data)] += len(data) - start
        if not wanted or not self.ranges:
            return web.Response(body=data, content_type="application/octet-stream")
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data[start:], headers=headers)

    async def cut_off(self, request: web.Request, data: bytes, after: int) -> web.StreamResponse:
        """The blob's beginning, and then the connection is gone."""
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[:after])
        self.served[digest_of(data)] += after
        assert request.transport is not None
        request.transport.close()
        return response


@asynccontextmanager
async def serve(application: web.Application) -> AsyncIterator[str]:
    """Run ``application`` on a free port of 127.0.0.1; its base URL."""
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
