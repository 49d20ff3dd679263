"""``context export`` and ``import``: a name for a daemon, with its certificates, as one file for another machine."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tarfile
import zipfile
from typing import BinaryIO

from minidock.client import contexts
from minidock.client.commands.contexts import check_name, described, read_file
from minidock.client.context import Context
from minidock.client.flags import Command, Flags
from minidock.errors import InvalidInput

_META = "meta.json"
_CERTIFICATE = re.compile(r"tls/docker/([^/]+)")
# A context is a few certificates; whatever else is in such a file is not for our memory.
_MUCH = 10 << 20


def export(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context export``: to ``NAME.dockercontext``, another file that is not there yet, or ``-``."""
    name, *rest = arguments
    target = rest[0] if rest else f"{name}.dockercontext"
    document = described(context, name)
    files = {} if name == contexts.DEFAULT else contexts.material(name)
    archive = _archive(json.dumps(document, separators=(",", ":")).encode(), files)
    if target == "-":
        sys.stdout.buffer.write(archive)
        sys.stdout.buffer.flush()
        return 0
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(archive)
    except OSError as error:
        raise InvalidInput(f"open {target}: {str(error.strerror).lower()}") from None
    print(f'Written file "{target}"', file=sys.stderr)
    return 0


def _archive(meta: bytes, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        _add(archive, _META, 0o644, meta)
        for directory in ("tls", "tls/docker") if files else ():
            _add(archive, directory, 0o700, None)
        for name, data in files.items():
            _add(archive, f"tls/docker/{name}", 0o600, data)
    return out.getvalue()


def _add(archive: tarfile.TarFile, name: str, mode: int, data: bytes | None) -> None:
    member = tarfile.TarInfo(name)
    member.mode, member.size = mode, len(data or b"")
    member.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    archive.addfile(member, io.BytesIO(data or b""))


def import_(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context import``: from a tar or zip file, or from standard input."""
    name, source = arguments
    check_name(name)
    data = sys.stdin.buffer.read(_MUCH + 1) if source == "-" else read_file(source, _MUCH + 1)
    if len(data) > _MUCH:
        raise InvalidInput(f"{source} is larger than the {_MUCH >> 20} MB that a context may have")
    document, files = _read(data)
    contexts.write(document | {"Name": name}, files)
    print(name)
    print(f'Successfully imported context "{name}"', file=sys.stderr)
    return 0


def _read(data: bytes) -> tuple[dict[str, object], dict[str, bytes]]:
    """The description and the certificates. Only names that a context has are taken. Raises InvalidInput."""
    # Docker's own archives end with their last byte of content: the padding and the end are missing.
    members = _zip(io.BytesIO(data)) if data.startswith(b"PK\x03\x04") else _tar(io.BytesIO(data + bytes(2048)))
    if _META not in members:
        raise InvalidInput("invalid context: no metadata found")
    files: dict[str, bytes] = {}
    for name, content in members.items():
        found = _CERTIFICATE.fullmatch(name)
        if found and found[1] not in (".", ".."):
            files[found[1]] = content
        elif name != _META:
            raise InvalidInput(f"{name}: unexpected context file")
    try:
        document = json.loads(members[_META])
        endpoint = document["Endpoints"]["docker"]
        assert isinstance(endpoint["Host"], str)
        endpoint.setdefault("SkipTLSVerify", False)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
        raise InvalidInput(f"invalid context: {_META} does not say where a daemon is") from None
    return document, files


def _tar(file: BinaryIO) -> dict[str, bytes]:
    try:
        with tarfile.open(fileobj=file) as archive:
            items = [item for item in archive if item.isfile()]
            _check_size(sum(item.size for item in items))
            return {item.name: opened.read() for item in items if (opened := archive.extractfile(item))}
    except (tarfile.TarError, EOFError, OSError):
        raise InvalidInput("invalid context: not a tar or zip file") from None


def _zip(file: BinaryIO) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            items = [item for item in archive.infolist() if not item.is_dir()]
            _check_size(sum(item.file_size for item in items))
            return {item.filename: archive.read(item) for item in items}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"invalid context: {error}") from None


def _check_size(size: int) -> None:
    """A small archive can hold much: of zeros, or of holes."""
    if size > _MUCH:
        raise InvalidInput(f"invalid context: it unpacks to more than {_MUCH >> 20} MB")


EXPORT = Command(
    "context export",
    "[OPTIONS] CONTEXT [FILE|-]",
    "Export a context to a tar archive FILE or a tar stream on STDOUT.",
    export,
)
IMPORT = Command("context import", "CONTEXT FILE|-", "Import a context from a tar or zip file", import_)
