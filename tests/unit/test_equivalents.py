"""System calls as shell commands, and their pages in the manual."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.kernel import equivalents
from minidock.kernel.announce import Call
from minidock.kernel.notation import quoted


def _call(name: str, *args: str, result: int = 0, errno: int = 0) -> Call:
    return Call(1, name, args, result, errno, 0, 0)


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (_call("mount", '"a b"', '"/c"', "NULL", "MS_BIND", "NULL"), "mount --bind 'a b' /c"),
        (_call("mount", '"a"', '"/c"', "NULL", "MS_BIND|MS_REC", "NULL"), "mount --rbind a /c"),
        (_call("mount", "NULL", '"/"', "NULL", "MS_REC|MS_PRIVATE", "NULL"), "mount --make-rprivate /"),
        (_call("mount", "NULL", '"/c"', "NULL", "MS_RDONLY|MS_REMOUNT|MS_BIND", "NULL"), "mount -o ro,remount,bind /c"),
        (_call("mount", '"."', '"/"', "NULL", "MS_MOVE", "NULL"), "mount --move . /"),
        (_call("mount", '"proc"', '"/proc"', '"proc"', "0", "NULL"), "mount -t proc proc /proc"),
        (
            _call("mount", '"shm"', '"/dev/shm"', '"tmpfs"', "MS_NOSUID|MS_NODEV", '"size=64m"'),
            "mount -t tmpfs -o nosuid,nodev,size=64m shm /dev/shm",
        ),
        (_call("umount2", '"/c"', "MNT_DETACH"), "umount -l /c"),
        (_call("unshare", "CLONE_NEWNS|CLONE_NEWPID"), "unshare --mount --pid --fork"),
        (_call("pivot_root", '"."', '"."'), "pivot_root . ."),
        (_call("sethostname", '"box"', "3"), "hostname box"),
        (_call("setgroups", "2", "[1, 2]"), "setpriv --groups 1,2"),
        (_call("prctl", "PR_CAPBSET_DROP", "CAP_SYS_ADMIN"), "setpriv --bounding-set -sys_admin"),
        (_call("prctl", "PR_SET_NO_NEW_PRIVS", "1", "0", "0", "0"), "setpriv --no-new-privs"),
        (
            _call("prlimit64", "0", "RLIMIT_NOFILE", "{rlim_cur=20, rlim_max=4*1024}", "NULL"),
            "prlimit --pid $$ --nofile=20:4096",
        ),
        (_call("ioctl", "3", "SIOCSIFFLAGS", '{ifr_name="lo", ifr_flags=IFF_UP}'), "ip link set lo up"),
        (_call("execve", '"/bin/sh"', '["sh", "-c", "echo hi"]', "[/* 0 vars */]"), "exec sh -c 'echo hi'"),
        (
            _call("mknodat", "AT_FDCWD", '"/dev/null"', "S_IFCHR|0666", "makedev(0x1, 0x3)"),
            "mknod -m 0666 /dev/null c 1 3",
        ),
        (_call("mkdirat", "AT_FDCWD", '"/a"', "0755"), "mkdir -m 0755 /a"),
        (_call("symlinkat", '"/proc/self/fd"', "AT_FDCWD", '"/dev/fd"'), "ln -s /proc/self/fd /dev/fd"),
        (_call("capset", "{}", "{}"), None),
        (_call("chroot", '"/x"', result=-1, errno=1), None),
    ],
    ids=lambda value: value.name if isinstance(value, Call) else "",
)
def test_commands(call: Call, command: str | None) -> None:
    """What a person would type for each call; nothing for what no command does, or what failed."""
    assert equivalents.Shell().command(call) == command


def test_a_write_is_told_by_path() -> None:
    """A descriptor is remembered by what was opened, directories included."""
    shell = equivalents.Shell()
    shell.command(_call("openat", "AT_FDCWD", '"/proc/7"', "O_PATH", result=5))
    shell.command(_call("openat", "5", '"uid_map"', "O_WRONLY", result=6))
    assert shell.command(_call("write", "6", '"0 0 1\\n"', "6", result=6)) == "echo '0 0 1' > /proc/7/uid_map"
    assert shell.command(_call("write", "9", '"x"', "1", result=1)) is None


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1))
def test_paths_are_one_word_for_the_shell(path: str) -> None:
    """Whatever a path contains, the shell reads it back as one word."""
    command = equivalents.Shell().command(_call("chroot", quoted(path.encode())))
    assert command is not None and shlex.split(command) == ["chroot", path]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\n")), min_size=1, max_size=4))
def test_arguments_are_separate_words(words: list[str]) -> None:
    """A program's arguments come back one by one, quotes and commas inside them included."""
    listed = "[" + ", ".join(quoted(word.encode()) for word in words) + "]"
    command = equivalents.Shell().command(_call("execve", '"/x"', listed, "[]"))
    assert command is not None and shlex.split(command) == ["exec", *words]


@pytest.mark.parametrize(
    ("call", "page"),
    [
        (_call("mount"), "mount(2)"),
        (_call("umount2"), "umount(2)"),
        (_call("openat2"), "openat2(2)"),
        (_call("ioctl", "1", "TIOCSCTTY", "0"), "ioctl_tty(2)"),
        (_call("ioctl", "1", "SIOCSIFFLAGS", "{}"), "netdevice(7)"),
    ],
)
def test_manual_pages(call: Call, page: str) -> None:
    """Where to read more."""
    assert equivalents.man(call) == page
