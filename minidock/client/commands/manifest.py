"""``manifest``: one name for images of several platforms, made of images that are in a registry already."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from minidock.client import manifests
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.errors import InvalidInput, NotFound

#: the platforms that Docker's client lets a list name
PLATFORMS = {
    "darwin": "386 amd64 arm arm64",
    "dragonfly": "amd64",
    "freebsd": "386 amd64 arm",
    "linux": "386 amd64 arm arm64 loong64 mips64 mips64le ppc64le riscv64 s390x",
    "netbsd": "386 amd64 arm",
    "openbsd": "386 amd64 arm",
    "plan9": "386 amd64",
    "solaris": "amd64",
    "windows": "386 amd64 arm arm64",
}


def create(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock manifest create``: nothing is in the registry under this name before it is pushed."""
    target, *images = map(manifests.full, arguments)
    if manifests.of(target) and not flags["amend"]:
        raise InvalidInput("refusing to amend an existing manifest list with no --amend flag")
    entries = [_image(target, image, flags["insecure"]) for image in images]
    for entry in entries:
        manifests.save(target, entry)
    print(f"Created manifest list {target}")
    return 0


def _image(target: str, name: str, insecure: bool) -> manifests.Entry:
    """An image, from the list if it is there, or else from its registry. Raises NotFound, InvalidInput."""
    if known := manifests.one(target, name):
        return known
    entry, is_list = manifests.get(name, insecure)
    if is_list:
        raise InvalidInput(f"{name} is a manifest list")
    return entry


def annotate(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock manifest annotate``: what an image of a list is for, where its configuration does not say."""
    target, image = map(manifests.full, arguments)
    entry = manifests.one(target, image)
    if entry is None:
        raise NotFound(f"manifest for image {image} does not exist in {target}")
    platform = entry["Descriptor"].get("platform") or {}
    for key, flag in (("architecture", "arch"), ("os", "os"), ("variant", "variant"), ("os.version", "os-version")):
        if flags[flag]:
            platform[key] = flags[flag]
    if flags["os-features"]:
        platform["os.features"] = list(dict.fromkeys([*platform.get("os.features", []), *flags["os-features"]]))
    if platform.get("architecture") not in PLATFORMS.get(platform.get("os", ""), "").split():
        wanted = f"{flags['os'] or ''}/{flags['arch'] or ''}"
        raise InvalidInput(f"manifest entry for image has unsupported os/arch combination: {wanted}")
    entry["Descriptor"]["platform"] = manifests.ordered(platform)
    manifests.save(target, entry)
    return 0


def inspect(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock manifest inspect``: a list that is kept here, or what its registry has."""
    *lists, name = map(manifests.full, arguments)
    if lists:
        _show(_image(lists[0], name, flags["insecure"]), flags["verbose"])
        return 0
    entries = manifests.of(name)
    if entries and not flags["verbose"]:
        print(manifests.index(entries)[1].decode())
        return 0
    if not entries:
        entry, is_list = manifests.get(name, flags["insecure"])
        if not (is_list and flags["verbose"]):
            _show(entry, flags["verbose"])
            return 0
        entries = [_member(name, listed, flags["insecure"]) for listed in _raw(entry)["manifests"]]
    print(json.dumps(entries, indent="\t"))
    return 0


def _show(entry: manifests.Entry, verbose: bool) -> None:
    document = entry if verbose else _raw(entry)
    print(json.dumps(document, indent=3 if "manifests" in document else "\t"))


def _raw(entry: manifests.Entry) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.b64decode(entry["Raw"]))
    return document


def _member(name: str, listed: dict[str, Any], insecure: bool) -> manifests.Entry:
    """An image of a list in a registry; for which platform it is, the list says."""
    tagged, _, digest = name.partition("@")
    repository = tagged if digest else tagged.rpartition(":")[0]
    entry, _ = manifests.get(f"{repository}@{listed['digest']}", insecure)
    entry["Ref"] = f"{tagged}@{listed['digest']}"
    entry["Descriptor"]["platform"] = listed.get("platform", {})
    return entry


def push(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock manifest push``."""
    target = manifests.full(arguments[0])
    entries = manifests.of(target)
    if not entries:
        raise NotFound(f"No such manifest: {target}")
    here = manifests.host(target)
    for entry in entries:
        platform, there = entry["Descriptor"].get("platform") or {}, manifests.host(entry["Ref"])
        if not (platform.get("architecture") and platform.get("os")):
            raise InvalidInput(f"manifest {entry['Ref']} must have an OS and Architecture to be pushed to a registry")
        if there != here:
            raise InvalidInput(
                f"cannot use source images from a different registry than the target image: {there} != {here}"
            )
    digest = manifests.put(target, entries, flags["insecure"])
    for entry in entries:
        pushed = entry["Descriptor"]["digest"]
        print(f"Pushed ref {target.rpartition(':')[0]}@{pushed} with digest: {pushed}")
    print(digest)
    if flags["purge"]:
        manifests.remove(target)
    return 0


def rm(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock manifest rm``."""
    targets = [manifests.full(name) for name in arguments]
    missing = [target for target in targets if not manifests.of(target)]
    for target in set(targets) - set(missing):
        manifests.remove(target)
    for target in missing:
        print(f"No such manifest: {target}", file=sys.stderr)
    return 1 if missing else 0


CREATE = Command(
    "create",
    "MANIFEST_LIST MANIFEST [MANIFEST...]",
    "Create a local manifest list for annotating and pushing to a registry",
    create,
    table("""
    -a, --amend      Amend an existing manifest list
        --insecure   Allow communication with an insecure registry
"""),
    number=(2, None),
)
ANNOTATE = Command(
    "annotate",
    "[OPTIONS] MANIFEST_LIST MANIFEST",
    "Add additional information to a local image manifest",
    annotate,
    table("""
        --arch string           Set architecture
        --os string             Set operating system
        --os-features strings   Set operating system feature
        --os-version string     Set operating system version
        --variant string        Set architecture variant
"""),
)
INSPECT = Command(
    "inspect",
    "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    "Display an image manifest, or manifest list",
    inspect,
    table("""
        --insecure   Allow communication with an insecure registry
    -v, --verbose    Output additional info including layers and platform
"""),
    number=(1, 2),
)
PUSH = Command(
    "push",
    "[OPTIONS] MANIFEST_LIST",
    "Push a manifest list to a repository",
    push,
    table("""
        --insecure   Allow push to an insecure registry
    -p, --purge      Remove the local manifest list after push
"""),
)
RM = Command("rm", "MANIFEST_LIST [MANIFEST_LIST...]", "Delete one or more manifest lists from local storage", rm)
