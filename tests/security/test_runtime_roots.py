"""Images that try to be mounted over: links where directories should be, files where devices should be, /proc replaced.

Every attack aims at a canary in the test's own temporary directory, or at the container's own namespaces.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from minidock.errors import InvalidSpec, MinidockError
from minidock.kernel import syscalls
from tests.runtimes import Container

pytestmark = pytest.mark.root


def replace(path: Path, target: str) -> None:
    """Put a symbolic link in the place of a directory of the image."""
    shutil.rmtree(path)
    path.symlink_to(target)


@pytest.mark.parametrize("link", ["absolute", "relative", "magic"])
def test_a_linked_dev_does_not_reach_the_host(tmp_path: Path, link: str) -> None:
    """CVE-2026-41579: /dev of the image is a link out of it; the host's directory stays empty."""
    canary = tmp_path / "canary"
    canary.mkdir()
    container = Container(tmp_path, "true")
    targets = {"absolute": str(canary), "relative": "../../canary", "magic": f"/proc/self/root{canary}"}
    replace(container.rootfs / "dev", targets[link])
    with suppress(MinidockError):  # refusing is as good as staying inside
        container.run()
    assert list(canary.iterdir()) == []


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_a_linked_proc_is_refused(tmp_path: Path, name: str) -> None:
    """CVE-2019-19921: /proc behind a link is not where everybody looks for it."""
    container = Container(tmp_path, "true")
    replace(container.rootfs / name, "/tmp")
    with pytest.raises(InvalidSpec, match=f"on /{name}: it is not an ordinary directory"):
        container.run()


@pytest.mark.parametrize("destination", ["/proc", "/proc/", "/../proc", "proc", "/tmp/../proc"])
def test_a_volume_over_proc_is_refused(tmp_path: Path, destination: str) -> None:
    """CVE-2019-16884, CVE-2023-28642: what is written to a false /proc is not written to the kernel."""
    container = Container(tmp_path, "true")
    source = {"type": "bind", "source": str(tmp_path), "options": ["rbind"]}
    container.spec["mounts"].append({"destination": destination, **source})
    with pytest.raises(InvalidSpec, match="/proc"):
        container.run()


@pytest.mark.parametrize("destination", ["/proc", "/../proc"])
def test_another_file_system_in_the_place_of_proc_is_refused(tmp_path: Path, destination: str) -> None:
    """The same with a tmpfs instead of the procfs, as ``docker run --tmpfs /proc`` asks for."""
    container = Container(tmp_path, "true")
    mounts = [mount for mount in container.spec["mounts"] if mount["destination"] != "/proc"]
    container.spec["mounts"] = [{"destination": destination, "type": "tmpfs", "source": "tmpfs"}, *mounts]
    with pytest.raises(InvalidSpec, match="/proc"):
        container.run()


@pytest.mark.parametrize("destination", ["/proc/self", "/proc/sys/kernel", "/link/1", "/proc/self/attr"])
def test_a_volume_inside_proc_is_refused(tmp_path: Path, destination: str) -> None:
    """CVE-2025-52881: nothing but harmless counters may be covered, also by way of a link."""
    container = Container(tmp_path, "true")
    (container.rootfs / "link").symlink_to("/proc")
    container.spec["mounts"].append({"destination": destination, "type": "tmpfs", "source": "tmpfs"})
    with pytest.raises(MinidockError, match=r"proc|link"):
        container.run()


def test_a_counter_in_proc_may_be_covered(tmp_path: Path) -> None:
    """What lxcfs does stays possible: a file over /proc/uptime."""
    (tmp_path / "uptime").write_text("1 2\n")
    container = Container(tmp_path, "cat", "/proc/uptime")
    bind = {"type": "bind", "source": str(tmp_path / "uptime"), "options": ["bind"]}
    container.spec["mounts"].append({"destination": "/proc/uptime", **bind})
    assert container.run() == (0, "1 2\n")


def test_a_planted_null_is_not_used_for_masks(tmp_path: Path) -> None:
    """CVE-2025-31133: the image's /dev/null is a link to a kernel parameter of its own uts namespace.

    Masks are the host's null device, char 1:3, bound by descriptor: the link is never followed.
    """
    container = Container(tmp_path, "sh", "-c", "for f in keys timer_list; do stat -c '%t:%T %F' /proc/$f; done")
    mounts = container.spec["mounts"]
    container.spec["mounts"] = [mount for mount in mounts if not mount["destination"].startswith("/dev")]
    (container.rootfs / "dev/null").symlink_to("/proc/sys/kernel/domainname")
    with pytest.raises(InvalidSpec, match="/dev/null is there already"):
        container.run()
    container.spec["mounts"] = mounts
    assert container.run() == (0, "1:3 character special file\n" * 2)


def test_a_planted_terminal_is_not_bound_on_the_console(tmp_path: Path) -> None:
    """CVE-2025-52565: /dev/pts/0 of the image is a link; /dev/console is the real terminal all the same."""
    container = Container(tmp_path, "sh", "-c", "stat -c '%t %F' /dev/console; tty", terminal=True)
    (container.rootfs / "dev/pts").mkdir()
    (container.rootfs / "dev/pts/0").symlink_to("/proc/sys/kernel/domainname")
    (container.rootfs / "dev/console").symlink_to("/proc/sys/kernel/domainname")
    assert container.run() == (0, "88 character special file\r\n/dev/pts/0\r\n")


def test_without_a_devpts_of_its_own_there_is_no_terminal(tmp_path: Path) -> None:
    """The image's own files in /dev/pts are never taken for a terminal."""
    container = Container(tmp_path, "true", terminal=True)
    mounts = container.spec["mounts"]
    container.spec["mounts"] = [mount for mount in mounts if mount["destination"] != "/dev/pts"]
    with pytest.raises(MinidockError):
        container.run()


@contextmanager
def renaming(directory: Path, first: str, second: str) -> Iterator[None]:
    """A process that exchanges two names as fast as it can, as another container with the same volume would."""
    child = os.fork()
    if child == 0:
        here = os.open(directory, os.O_PATH)
        while True:
            syscalls.renameat2(here, first, here, second, syscalls.RENAME_EXCHANGE)
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_mount_target_that_becomes_a_link_meanwhile(tmp_path: Path) -> None:
    """CVE-2021-30465: in a shared volume a directory and a link out of the root change places all the time."""
    volume, canary = tmp_path / "volume", tmp_path / "canary"
    (volume / "a").mkdir(parents=True)
    canary.mkdir()
    # From inside the root, the link leads to /; by the host's view it leads to the canary's parent.
    (volume / "b").symlink_to("../../../../../../../../../../../../" + str(tmp_path).lstrip("/"))
    container = Container(tmp_path, "true")
    bind = {"type": "bind", "source": str(volume), "options": ["rbind"]}
    container.spec["mounts"] += [
        {"destination": "/volume", **bind},
        {"destination": "/volume/a/canary", "type": "tmpfs", "source": "tmpfs"},
    ]
    before = Path("/proc/self/mountinfo").read_text()
    with renaming(volume, "a", "b"):
        for _ in range(40):
            try:
                container.run()
            except MinidockError:
                continue
    assert list(canary.iterdir()) == []
    assert Path("/proc/self/mountinfo").read_text() == before


def test_bind_targets_are_made_inside(tmp_path: Path) -> None:
    """A missing target behind a link out of the root is made inside the root, not on the host."""
    canary = tmp_path / "canary"
    canary.mkdir()
    container = Container(tmp_path, "ls", str(canary))
    (container.rootfs / "out").symlink_to(canary)
    (container.rootfs / str(canary).lstrip("/")).mkdir(parents=True)
    container.spec["mounts"].append({"destination": "/out/made", "type": "tmpfs", "source": "tmpfs"})
    assert container.run() == (0, "made\n")
    assert list(canary.iterdir()) == []


def test_a_subpath_that_becomes_a_link_meanwhile(tmp_path: Path) -> None:
    """A directory of a shared volume is bound while it changes places with a link out of it: the host is not seen."""
    volume, canary = tmp_path / "volume", tmp_path / "canary"
    (volume / "a/canary").mkdir(parents=True)
    (volume / "a/canary/own").touch()
    canary.mkdir()
    (canary / "secret").touch()
    (volume / "b").symlink_to("../" * 12 + str(tmp_path).lstrip("/"))
    container = Container(tmp_path, "ls", "/part")
    container.spec["mounts"].append(
        {"destination": "/part", "type": "bind", "source": str(volume), "options": ["rbind", "x-subpath=a/canary"]}
    )
    seen = []
    with renaming(volume, "a", "b"):
        for _ in range(40):
            with suppress(MinidockError):  # there is nothing behind the link, inside the volume
                seen.append(container.run())
    assert set(seen) == {(0, "own\n")}
    assert len(seen) < 40, "the link was never in the way"
