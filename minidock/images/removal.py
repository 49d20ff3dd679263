"""``docker rmi``: when an image may go, and what goes with it. The rules and the words are Docker's.

A name is removed first. Only with its last name the image goes too, and only if no container stands on it. By id, an
image goes with all its names, if they are all of one repository.

One rule of Docker's is not here, that an image with children stays: our images know no parents, and a layer is kept
for as long as any image has it.

Source: https://github.com/moby/moby/blob/v20.10.24/daemon/images/image_delete.go (ImageDelete).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from minidock.errors import Conflict
from minidock.images.image import Image
from minidock.oci import reference as references
from minidock.oci.digest import encoded
from minidock.oci.reference import Reference


class Use(NamedTuple):
    """A container that stands on an image."""

    container_id: str
    running: bool


@dataclass(frozen=True)
class Removal:
    """What is to be done: names to be dropped, and whether the image itself goes."""

    names: list[Reference]
    image: bool


def plan_removal(image: Image, asked: str, force: bool, users: Sequence[Use]) -> Removal:
    """What ``docker rmi [-f] asked`` does to ``image``. Raises Conflict."""
    if _is_beginning_of(image.id, asked):
        return _by_id(image, force, users)
    return _by_name(image, asked, force, users)


def _by_name(image: Image, asked: str, force: bool, users: Sequence[Use]) -> Removal:
    if not force and _one_repository(image.names) and users:
        raise Conflict(
            f'conflict: unable to remove repository reference "{asked}" (must force) - container '
            f"{users[0].container_id[:12]} is using its referenced image {_short(image)}"
        )
    name = references.parse(asked).with_default_tag()
    dropped = [name]
    # Beside a digest a tag says nothing, but the answer repeats it.
    rest = [other for other in image.names if other != (name.with_digest(name.digest) if name.digest else name)]
    if name.tag and not name.digest and not any(other.tag and other.name == name.name for other in rest):
        # The last tag of a repository takes the repository's digests with it.
        dropped += [other for other in rest if other.name == name.name]
        rest = [other for other in rest if other.name != name.name]
    # What runs goes on, and its image stays, without a name.
    stays = bool(rest) or any(use.running for use in users) or (bool(users) and not force)
    return Removal(dropped, image=not stays)


def _by_id(image: Image, force: bool, users: Sequence[Use]) -> Removal:
    running = next((use for use in users if use.running), None)
    if running:
        raise _cannot(
            image, "cannot be forced", f"image is being used by running container {running.container_id[:12]}"
        )
    if not force and not _one_repository(image.names):
        raise _cannot(image, "must be forced", "image is referenced in multiple repositories")
    if not force and users:
        raise _cannot(image, "must be forced", f"image is being used by stopped container {users[0].container_id[:12]}")
    return Removal(list(image.names), image=True)


def _cannot(image: Image, force: str, why: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {_short(image)} ({force}) - {why}")


def _short(image: Image) -> str:
    return encoded(image.id)[:12]


def _is_beginning_of(image_id: str, asked: str) -> bool:
    """Was the image asked for by its id, or by the beginning of it?"""
    return encoded(image_id).startswith(asked.removeprefix("sha256:"))


def _one_repository(names: Sequence[Reference]) -> bool:
    """At most one tag, and digests of the same repository only."""
    tags = [name for name in names if name.tag]
    return len(tags) <= 1 and len({name.name for name in names}) <= 1
