"""Lists of manifests that are being made: kept where Docker's client keeps them, in its form.

::

    ~/.docker/manifests/example.com_app-1.0/              the list example.com/app:1.0
        example.com_app-amd64                             one image of it, as JSON: Ref, Descriptor, Raw, …Manifest

What a registry knows is asked of ``minidock.registry.documents``, a program: see there.

Source: https://github.com/docker/cli, ``cli/manifest/store`` and ``cli/manifest/types``.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from typing import Any

from minidock.client import config, credentials, pulling
from minidock.errors import InvalidInput, NotFound, RegistryError

OCI = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

Entry = dict[str, Any]
"""One image of a list, as it is kept."""


def full(name: str) -> str:
    """``docker.io/library/alpine:latest`` for ``alpine``."""
    return pulling.full_name(pulling.familiar(name))


def of(target: str) -> list[Entry]:
    """The images of a list, in the order of their files' names; nothing when there is no such list."""
    try:
        names = sorted(os.listdir(_path(target)))
    except FileNotFoundError:
        return []
    entries = []
    for name in names:
        with open(f"{_path(target)}/{name}", "rb") as file:
            entries.append(json.load(file))
    return entries


def one(target: str, name: str) -> Entry | None:
    """The image ``name`` of a list, or None."""
    return next((entry for entry in of(target) if entry["Ref"] == name), None)


def save(target: str, entry: Entry) -> None:
    """Keep an image in a list."""
    os.makedirs(_path(target), mode=0o755, exist_ok=True)
    path = f"{_path(target)}/{_safe(entry['Ref'])}"
    with open(f"{_path()}/.{os.getpid()}", "w") as file:
        json.dump(entry, file)
    os.replace(file.name, path)


def remove(target: str) -> None:
    """Forget a list."""
    shutil.rmtree(_path(target))


def _path(target: str = "") -> str:
    return config.path("manifests", *([_safe(target)] if target else []))


def _safe(name: str) -> str:
    """A name as a file's name: no part of it can leave the directory."""
    return name.replace(":", "-").replace("/", "_")


def index(entries: list[Entry]) -> tuple[str, bytes]:
    """The list as a registry gets it, to the byte as Docker writes it: its media type and its bytes."""
    manifests = [_listed(entry) for entry in entries]
    kind = _OCI_INDEX if manifests[0]["mediaType"] == OCI else _DOCKER_LIST
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
    return kind, json.dumps(document, indent=3).encode()


def _listed(entry: Entry) -> dict[str, Any]:
    descriptor = entry["Descriptor"]
    platform = ordered(descriptor.get("platform") or {})
    return {key: descriptor[key] for key in ("mediaType", "size", "digest")} | {"platform": platform}


def ordered(platform: dict[str, Any]) -> dict[str, Any]:
    """A platform, its parts in Docker's order: the digest of the list depends on it."""
    order = ("architecture", "os", "os.version", "os.features", "variant")
    return {key: platform.get(key, "") for key in order if platform.get(key) or key in order[:2]}


def get(name: str, insecure: bool) -> tuple[Entry, bool]:
    """What is behind a name in its registry, and whether that is a list. Raises NotFound, RegistryError."""
    try:
        found = _ask({"action": "get", "name": name, "insecure": insecure})["document"]
    except NotFound:
        raise NotFound(f"no such manifest: {name}") from None
    entry = {"Ref": name, "Descriptor": found["descriptor"], "Raw": found["raw"]}
    if not found.get("is_index"):
        kind = "OCIManifest" if found["descriptor"]["mediaType"] == OCI else "SchemaV2Manifest"
        entry[kind] = json.loads(base64.b64decode(found["raw"]))
    return entry, bool(found.get("is_index"))


def put(target: str, entries: list[Entry], insecure: bool) -> str:
    """Push a list, and the manifests that it speaks of; its digest. Raises RegistryError."""
    kind, data = index(entries)
    keys = {"name": "Ref", "descriptor": "Descriptor", "raw": "Raw"}
    manifests = [{ours: entry[theirs] for ours, theirs in keys.items()} for entry in entries]
    request = {"action": "put", "name": target, "manifests": manifests, "media_type": kind, "insecure": insecure}
    return str(_ask(request | {"index": base64.b64encode(data).decode()})["digest"])


def host(name: str) -> str:
    """The registry of a full name."""
    return name.partition("/")[0]


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """Have the program for it ask the registry. Raises NotFound, RegistryError, InvalidInput."""
    auth = credentials.headers(request["name"]).get("X-Registry-Auth", "")
    command = [sys.executable, "-I", "-m", "minidock.registry.documents"]
    done = subprocess.run(command, input=json.dumps(request | {"auth": auth}).encode(), stdout=subprocess.PIPE)
    if done.returncode:
        raise InvalidInput(f"the registry could not be asked about {request['name']}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer.get("error"):
        raise (NotFound if answer.get("missing") else RegistryError)(answer["error"])
    return answer
