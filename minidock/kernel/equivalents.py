"""What a system call is called elsewhere: its page in the manual, and what one would type in a shell for the same."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable

from minidock.kernel.announce import Call
from minidock.kernel.notation import unquoted

# Calls that share a page with another one; all others have a page of their own name.
_PAGES = {
    "capset": "capget(2)", "dup3": "dup(2)", "fchdir": "chdir(2)", "fchmod": "chmod(2)", "fchown": "chown(2)",
    "fchownat": "chown(2)", "fstatfs": "statfs(2)", "inotify_add_watch": "inotify(7)", "inotify_init1": "inotify(7)",
    "inotify_rm_watch": "inotify(7)", "mkdirat": "mkdir(2)", "mknodat": "mknod(2)",
    "openat": "open(2)", "prlimit64": "getrlimit(2)", "readlinkat": "readlink(2)", "renameat2": "rename(2)",
    "setdomainname": "getdomainname(2)", "setgroups": "getgroups(2)", "sethostname": "gethostname(2)",
    "setresgid": "setresuid(2)", "symlinkat": "symlink(2)", "umount2": "umount(2)", "unlinkat": "unlink(2)",
    "nft": "nft(8)", "waitid": "wait(2)",
}  # fmt: skip
_IOCTL_PAGES = {"TIOC": "ioctl_tty(2)", "SIOC": "netdevice(7)", "NS_G": "ioctl_ns(2)"}


def man(call: Call) -> str:
    """The page of the manual that explains the call: ``mount(2)``."""
    if call.name == "ioctl":
        return _IOCTL_PAGES.get(call.args[1][:4], "ioctl(2)")
    if call.name.startswith("RTM_"):
        return "rtnetlink(7)"
    return _PAGES.get(call.name, f"{call.name}(2)")


class Shell:
    """Shell commands for calls, told in the order in which they happened.

    Descriptors are numbers without a meaning of their own, so it remembers which path was opened as which number.
    """

    def __init__(self) -> None:
        self._paths: dict[tuple[int, str], str] = {}

    def command(self, call: Call) -> str | None:
        """A command with the same effect: ``mount --bind a b``; None when there is none, or the call failed."""
        if call.errno:
            return None
        if call.shell:
            return call.shell
        if call.name in ("openat", "openat2", "open_tree"):
            self._paths[call.pid, str(call.result)] = self._at(call, 0)
            return None
        if call.name == "move_mount":
            # A copy of a mount, made with open_tree, is attached: the two calls together are a bind mount.
            return f"mount --bind {self._at(call, 0)} {self._at(call, 2)}"
        if call.name == "write":
            path = self._paths.get((call.pid, call.args[0]))
            return f"echo {_word(call.args[1])} > {path}" if path else None
        if call.name in ("mkdirat", "mknodat"):
            return _NODES[call.name](self._at(call, 0), call.args)
        if call.name == "symlinkat":
            return f"ln -s {_word(call.args[0])} {self._at(call, 1)}"
        maker = _COMMANDS.get(call.name)
        return maker(self._named(call)) if maker else None

    def _named(self, call: Call) -> tuple[str, ...]:
        """The arguments, with the path in place of ``/proc/self/fd/N``."""

        def name(match: re.Match[str]) -> str:
            return self._paths.get((call.pid, match[1]), match[0])

        return tuple(re.sub(r"/proc/self/fd/(\d+)", name, argument) for argument in call.args)

    def _at(self, call: Call, position: int) -> str:
        """The path that a directory descriptor and the path after it mean together."""
        directory, path = call.args[position : position + 2]
        base = "" if directory == "AT_FDCWD" else self._paths.get((call.pid, directory), f"/proc/self/fd/{directory}")
        name = os.fsdecode(unquoted(path))
        return shlex.quote(os.path.join(base, name) if name else base)  # noqa: PTH118  # no file is touched


_Args = tuple[str, ...]


def _word(literal: str) -> str:
    """A C string literal as one word of a shell command."""
    return shlex.quote("none" if literal == "NULL" else os.fsdecode(unquoted(literal)).rstrip("\n"))


_PROPAGATIONS = {"MS_PRIVATE": "private", "MS_SHARED": "shared", "MS_SLAVE": "slave", "MS_UNBINDABLE": "unbindable"}


def _mount(args: _Args) -> str:
    source, target, filesystem, flags, data = args
    names = flags.split("|")
    recursive = "r" if "MS_REC" in names else ""
    for flag, word in _PROPAGATIONS.items():
        if flag in names:
            return f"mount --make-{recursive}{word} {_word(target)}"
    if "MS_MOVE" in names:
        return f"mount --move {_word(source)} {_word(target)}"
    if "MS_BIND" in names and "MS_REMOUNT" not in names:
        return f"mount --{recursive}bind {_word(source)} {_word(target)}"
    options = [_OPTION_WORDS.get(name, name.removeprefix("MS_").lower()) for name in names if name != "0"]
    options += [] if data == "NULL" else [os.fsdecode(unquoted(data))]
    with_options = f" -o {shlex.quote(','.join(options))}" if options else ""
    if "MS_REMOUNT" in names:
        return f"mount{with_options} {_word(target)}"
    return f"mount -t {_word(filesystem)}{with_options} {_word(source)} {_word(target)}"


_OPTION_WORDS = {"MS_RDONLY": "ro", "MS_SYNCHRONOUS": "sync", "MS_I_VERSION": "iversion", "MS_MANDLOCK": "mand"}

_UNSHARE_OPTIONS = {
    "CLONE_NEWNS": "--mount", "CLONE_NEWUTS": "--uts", "CLONE_NEWIPC": "--ipc", "CLONE_NEWNET": "--net",
    "CLONE_NEWPID": "--pid --fork", "CLONE_NEWUSER": "--user", "CLONE_NEWCGROUP": "--cgroup", "CLONE_NEWTIME": "--time",
}  # fmt: skip


def _unshare(args: _Args) -> str | None:
    options = [_UNSHARE_OPTIONS[name] for name in args[0].split("|") if name in _UNSHARE_OPTIONS]
    return " ".join(["unshare", *options]) if options else None


def _umount(args: _Args) -> str:
    names = args[1].split("|")
    options = ("-l " if "MNT_DETACH" in names else "") + ("-f " if "MNT_FORCE" in names else "")
    return f"umount {options}{_word(args[0])}"


def _prctl(args: _Args) -> str | None:
    option = args[0]
    if option == "PR_SET_NO_NEW_PRIVS":
        return "setpriv --no-new-privs"
    if option == "PR_CAPBSET_DROP":
        return f"setpriv --bounding-set -{args[1].removeprefix('CAP_').lower()}"
    if args[:2] == ("PR_CAP_AMBIENT", "PR_CAP_AMBIENT_RAISE"):
        return f"setpriv --ambient-caps +{args[2].removeprefix('CAP_').lower()}"
    return f"setpriv --pdeathsig {args[1]}" if option == "PR_SET_PDEATHSIG" else None


def _prlimit(args: _Args) -> str:
    """``{rlim_cur=20, rlim_max=4*1024}`` becomes ``20:4096``."""
    limits = []
    for part in args[2].strip("{}").split(", "):
        value = part.split("=")[1]
        first, _, factor = value.partition("*")
        limits.append("unlimited" if value == "RLIM64_INFINITY" else str(int(first) * int(factor or 1)))
    return f"prlimit --pid $$ --{args[1].removeprefix('RLIMIT_').lower()}={':'.join(limits)}"


def _ioctl(args: _Args) -> str | None:
    return "ip link set lo up" if args[1] == "SIOCSIFFLAGS" and "IFF_UP" in args[2] else None


def _execve(args: _Args) -> str:
    literals: list[str] = re.findall(r'"(?:[^"\\]|\\.)*"', args[1])
    return " ".join(["exec", *map(_word, literals)])


def _mknod(path: str, args: _Args) -> str | None:
    kind, _, permissions = args[2].partition("|")
    if kind == "S_IFIFO":
        return f"mkfifo -m {permissions} {path}"
    if kind not in ("S_IFCHR", "S_IFBLK"):
        return None
    major, minor = (int(number, 16) for number in args[3].removeprefix("makedev(").rstrip(")").split(", "))
    return f"mknod -m {permissions} {path} {'c' if kind == 'S_IFCHR' else 'b'} {major} {minor}"


_NODES: dict[str, Callable[[str, _Args], str | None]] = {
    "mkdirat": lambda path, args: f"mkdir -m {args[2]} {path}",
    "mknodat": _mknod,
}

_COMMANDS: dict[str, Callable[[_Args], str | None]] = {
    "mount": _mount,
    "umount2": _umount,
    "unshare": _unshare,
    "pivot_root": lambda args: f"pivot_root {_word(args[0])} {_word(args[1])}",
    "chroot": lambda args: f"chroot {_word(args[0])}",
    "chdir": lambda args: f"cd {_word(args[0])}",
    "sethostname": lambda args: f"hostname {_word(args[0])}",
    "setdomainname": lambda args: f"domainname {_word(args[0])}",
    "setgroups": lambda args: f"setpriv --groups {args[1].strip('[]').replace(', ', ',')}" if args[0] != "0" else None,
    "setresuid": lambda args: f"setpriv --reuid {args[0]}",
    "setresgid": lambda args: f"setpriv --regid {args[0]}",
    "prctl": _prctl,
    "prlimit64": _prlimit,
    "ioctl": _ioctl,
    "execve": _execve,
    "setsid": lambda _: "setsid",
    "umask": lambda args: f"umask {args[0]}",
    "keyctl": lambda args: f"keyctl session {_word(args[1])}",
}
