"""Pseudo-terminals of a devpts of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from minidock.errors import InvalidSpec, SystemCallFailed
from minidock.kernel import pty, syscalls
from tests.kernel.inside import inside

pytestmark = pytest.mark.root


def _own_devpts(where: Path) -> int:
    syscalls.mount("devpts", where, "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")
    return syscalls.openat(syscalls.AT_FDCWD, where, os.O_PATH | os.O_DIRECTORY)


def test_a_pair_talks(tmp_path: Path) -> None:
    """What is typed on one side is read on the other, in both directions; the number is the new instance's first."""

    def work() -> tuple[bytes, bytes, int, list[bool]]:
        controller, terminal = pty.open_pair(_own_devpts(tmp_path))
        os.write(controller, b"typed\n")
        typed = os.read(terminal, 100)
        os.read(controller, 100)  # the echo
        os.write(terminal, b"printed\n")
        printed = os.read(controller, 100)
        return typed, printed, pty.number(controller), [os.get_inheritable(fd) for fd in (controller, terminal)]

    assert inside(work, namespaces=syscalls.CLONE_NEWNS) == (b"typed\n", b"printed\r\n", 0, [False, False])


def test_planted_paths_are_not_followed(tmp_path: Path) -> None:
    """Whatever lies over /dev/pts/0, the terminal is the device; a ptmx that is a link is refused."""
    (tmp_path / "pts").mkdir()
    (tmp_path / "canary").write_text("untouched")
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "ptmx").symlink_to("/dev/ptmx")

    def work() -> bool:
        directory = _own_devpts(tmp_path / "pts")
        first, _ = pty.open_pair(directory)
        assert pty.number(first) == 0
        syscalls.mount(tmp_path / "canary", tmp_path / "pts" / "0", None, syscalls.MS_BIND)
        os.close(first)
        controller, terminal = pty.open_pair(directory)
        os.write(terminal, b"x")
        assert os.isatty(terminal) and os.fstat(terminal).st_rdev == os.makedev(136, pty.number(controller))
        return os.read(controller, 10) == b"x"

    assert inside(work, namespaces=syscalls.CLONE_NEWNS)
    assert (tmp_path / "canary").read_text() == "untouched"
    fake = os.open(tmp_path / "fake", os.O_PATH)
    with pytest.raises(SystemCallFailed, match="Too many levels of symbolic links"):
        pty.open_pair(fake)
    os.close(fake)


def test_a_directory_without_devpts_is_an_error_and_leaks_nothing(tmp_path: Path) -> None:
    """A planted regular file or device called ptmx is no multiplexer."""
    (tmp_path / "ptmx").touch()
    directory = os.open(tmp_path, os.O_PATH)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(InvalidSpec, match="devpts"):
        pty.open_pair(directory)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(directory)


def test_the_controlling_terminal_hears_of_its_size(tmp_path: Path) -> None:
    """The session's leader gets SIGWINCH when the window changes, reads the new size, and ^C interrupts it."""

    def work() -> tuple[list[int], tuple[int, int], int]:
        controller, terminal = pty.open_pair(_own_devpts(tmp_path))
        wanted = {signal.SIGWINCH, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
        syscalls.setsid()
        pty.make_controlling(terminal)
        seen = []
        pty.set_size(controller, 40, 132)
        seen.append(signal.sigwait(wanted))
        os.write(controller, b"\x03")
        seen.append(signal.sigwait(wanted))
        return [int(number) for number in seen], pty.get_size(terminal), os.tcgetpgrp(terminal) - os.getpid()

    # A forked child leads no process group, so setsid works.
    assert inside(work, namespaces=syscalls.CLONE_NEWNS) == ([signal.SIGWINCH, signal.SIGINT], (40, 132), 0)
