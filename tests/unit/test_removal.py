"""When ``docker rmi`` removes what: the rules, and the words."""

from __future__ import annotations

import hashlib

import pytest

from minidock.errors import Conflict
from minidock.images.image import Image, chain_ids
from minidock.images.removal import Use, plan_removal
from minidock.oci import reference
from minidock.oci.image import Descriptor, ImageConfig, Manifest, RootFs

ID = "sha256:" + "12" * 32
DIGEST = "sha256:" + "c" * 64
RUNNING = Use("d" * 64, running=True)
STOPPED = Use("e" * 64, running=False)


def image(*names: str) -> Image:
    """An image with these names."""
    descriptor = Descriptor(media_type="x", digest=ID, size=1)
    manifest = Manifest(schema_version=2, config=descriptor, layers=[])
    config = ImageConfig(rootfs=RootFs(type="layers", diff_ids=[]))
    return Image(ID, descriptor, descriptor, manifest, config, tuple(reference.parse(name) for name in names), 0, 0)


@pytest.mark.parametrize(
    ("names", "asked", "force", "users", "untagged", "deleted"),
    [
        (["a:1"], "a:1", False, [], ["a:1"], True),
        (["a:latest"], "a", False, [], ["a:latest"], True),
        (["a:1", "b:1"], "a:1", False, [], ["a:1"], False),
        (["a:1", "b:1"], "a:1", False, [RUNNING], ["a:1"], False),
        (["a:1", f"a@{DIGEST}"], "a:1", False, [], ["a:1", f"a@{DIGEST}"], True),
        (["a:1", "a:2", f"a@{DIGEST}"], "a:1", False, [], ["a:1"], False),
        (["a:1", f"b@{DIGEST}"], "a:1", False, [], ["a:1"], False),
        ([f"a@{DIGEST}", "a:1"], f"a@{DIGEST}", False, [], [f"a@{DIGEST}"], False),
        ([f"a@{DIGEST}"], f"a:9@{DIGEST}", False, [], [f"a:9@{DIGEST}"], True),
        (["a:1"], "a:1", True, [RUNNING], ["a:1"], False),
        (["a:1"], "a:1", True, [STOPPED], ["a:1"], True),
        (["a:1"], "1212", False, [], ["a:1"], True),
        (["a:1"], "sha256:1212", False, [], ["a:1"], True),
        (["a:1"], ID, False, [], ["a:1"], True),
        ([], ID, False, [], [], True),
        (["a:1", "b:1"], "1212", True, [], ["a:1", "b:1"], True),
        (["a:1"], "1212", True, [STOPPED], ["a:1"], True),
    ],
)
def test_what_goes(
    names: list[str], asked: str, force: bool, users: list[Use], untagged: list[str], deleted: bool
) -> None:
    """By name: the name, and the image with its last one. By id: all."""
    removal = plan_removal(image(*names), asked, force, users)
    assert [name.familiar for name in removal.names] == untagged
    assert removal.image is deleted


@pytest.mark.parametrize(
    ("names", "asked", "force", "users", "message"),
    [
        (
            ["a:1"], "a:1", False, [STOPPED],
            'conflict: unable to remove repository reference "a:1" (must force) - container eeeeeeeeeeee is using its '
            "referenced image 121212121212",
        ),
        (
            ["a:1"], "1212", True, [STOPPED, RUNNING],
            "conflict: unable to delete 121212121212 (cannot be forced) - image is being used by running container "
            "dddddddddddd",
        ),
        (
            ["a:1"], "1212", False, [STOPPED],
            "conflict: unable to delete 121212121212 (must be forced) - image is being used by stopped container "
            "eeeeeeeeeeee",
        ),
        (
            ["a:1", "b:1"], "1212", False, [],
            "conflict: unable to delete 121212121212 (must be forced) - image is referenced in multiple repositories",
        ),
    ],
)  # fmt: skip
def test_conflicts(names: list[str], asked: str, force: bool, users: list[Use], message: str) -> None:
    """In Docker's words, which tell whether force would help."""
    with pytest.raises(Conflict) as caught:
        plan_removal(image(*names), asked, force, users)
    assert str(caught.value) == message


def test_chain_ids() -> None:
    """The image-spec's own definition: each is the digest of the one below, a blank, and the layer's diff-id."""
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    both = "sha256:" + hashlib.sha256(f"{one} {two}".encode()).hexdigest()
    assert chain_ids([]) == []
    assert chain_ids([one, two]) == [one, both]
