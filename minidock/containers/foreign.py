"""Another OCI runtime in our place: runc, crun, or whatever has their command line (``docker run --runtime``).

What the shim asks of :mod:`minidock.containers.runtime` is asked of that program: create, start, exec, kill, delete.
Two things in our config.json are our own, and are done before: the overlay that becomes the root is mounted, in a mount
namespace that exists only while the program sets the container up (which takes the mount along into its own); and names
of users and groups become numbers, by the container's own files.

The container's first process becomes the shim's child when the program has ended, because the shim is a subreaper.

Source: https://github.com/opencontainers/runc/tree/main/man; runtime-spec, runtime.md.
"""

from __future__ import annotations

import errno
import os
import signal as signals
import socket
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from minidock.containers import state as states
from minidock.containers import users
from minidock.containers.steps import Context
from minidock.containers.steps.namespaces import cgroup_path
from minidock.containers.steps.roots import mount_root
from minidock.errors import CannotRun, Conflict, InvalidSpec, MinidockError, ProgramNotExecutable, ProgramNotFound
from minidock.kernel import cgroups, syscalls
from minidock.oci import runtime as oci

PID, LOG, PROCESS = "pid", "runtime.log", "process.json"
CONSOLE_SECONDS = 10.0
OLD_VERSION = "1.0.2"
"""Of the specification. We use nothing newer, and programs refuse versions that are newer than they are."""

Stdio = tuple[int, int, int]
Made = tuple[int, int | None]
"""A pid, and the terminal's other side when there is one."""


def create(
    program: str, spec: oci.Spec, bundle: Path, state_dir: Path, name: str, stdio: Stdio
) -> tuple[int, int | None]:
    """The container's first process, which waits, and its terminal. To be called in a process that ends afterwards:
    it changes its mount namespace. Raises CannotRun, and leaves nothing."""
    assert spec.process is not None, "the daemon has written it"
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)
    root = next((mount for mount in spec.mounts if mount.destination == "/"), None)
    if root is None:
        raise InvalidSpec("no mount on /")
    mount_root(root, spec.root.path).apply(Context(spec.process, bundle, name))
    rootfs = str((bundle / spec.root.path).absolute())
    own = bundle / "oci"
    own.mkdir(exist_ok=True)
    (own / "config.json").write_bytes(oci.encode(_translated(spec, root, rootfs)))
    runtime = Runtime(program, state_dir)
    try:
        pid, console = runtime.process(["create", "--bundle", str(own)], [name], stdio, spec.process.terminal)
    except BaseException:
        with suppress(MinidockError):
            runtime.call(["delete", "--force", name])
        raise
    started = states.start_time(pid)
    record = states.Record(
        id=name,
        bundle=str(bundle),
        pid=pid,
        start_time=started or 0,
        cgroup=cgroup_path(spec.linux.cgroups_path, name),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        explain=False,
        spec=spec,
        runtime=program,
    )
    states.write(state_dir, record)
    return pid, console


def _translated(spec: oci.Spec, root: oci.Mount, rootfs: str) -> oci.Spec:
    """The config.json without what only minidock-runtime knows."""
    assert spec.process is not None, "the daemon has written it"
    process = msgspec.structs.replace(spec.process, user=_numbers(spec.process.user, rootfs))
    mounts = [mount for mount in spec.mounts if mount is not root]
    if any(option.startswith("x-subpath") for mount in mounts for option in mount.options):
        raise InvalidSpec("only minidock-runtime can mount a subpath of a volume: leave --runtime out")
    own_root = oci.Root(rootfs, readonly=spec.root.readonly)
    return msgspec.structs.replace(spec, oci_version=OLD_VERSION, process=process, mounts=mounts, root=own_root)


def _numbers(user: oci.User, rootfs: str) -> oci.User:
    """Who that is in the container's own files, which are looked up as if ``rootfs`` were ``/``."""
    here = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.chroot(rootfs)
        os.chdir("/")
        passwd, group = (users.read_bounded(f"/etc/{name}") for name in ("passwd", "group"))
    finally:
        os.fchdir(here)
        os.chroot(".")
        os.close(here)
    found = users.resolve(user.username or str(user.uid), passwd, group)
    more = [found.gid, *found.groups, *user.additional_gids, *users.groups_of(user.additional_groups, group)]
    return oci.User(uid=found.uid, gid=found.gid, umask=user.umask, additional_gids=list(dict.fromkeys(more)))


def start(record: states.Record, state_dir: Path) -> None:
    """Let the first process go on. Raises ProgramNotFound, …"""
    Runtime(record.runtime, state_dir).call(["start", record.id])


def execute(record: states.Record, state_dir: Path, process: oci.Process, stdio: Stdio) -> Made:
    """One more program in the container: its pid and its terminal."""
    user = _numbers(process.user, f"/proc/{record.pid}/root")
    file = state_dir / PROCESS
    file.write_bytes(oci.encode(msgspec.structs.replace(process, user=user)))
    words = ["exec", "--detach", "--process", str(file)]
    return Runtime(record.runtime, state_dir).process(words, [record.id], stdio, process.terminal)


def kill(record: states.Record, state_dir: Path, signal: int, everyone: bool) -> None:
    """Send a signal. Raises Conflict when the container has ended."""
    if everyone and signal == signals.SIGKILL:
        cgroups.at(record.cgroup).kill()
        return
    try:
        Runtime(record.runtime, state_dir).call(["kill", *(["--all"] if everyone else []), record.id, str(signal)])
    except CannotRun:
        if states.start_time(record.pid) == record.start_time:
            raise
        raise Conflict(f"container {record.id} is not running") from None


def delete(record: states.Record, state_dir: Path) -> None:
    """Remove what the program knows of the container, whatever state it is in."""
    with suppress(MinidockError):
        Runtime(record.runtime, state_dir).call(["delete", "--force", record.id])


class Runtime:
    """The program, with a root directory of its own below the daemon's."""

    def __init__(self, program: str, state_dir: Path) -> None:
        self._program = program
        self._state_dir = state_dir
        self._root = state_dir.parent.parent / "oci"
        self._root.mkdir(mode=0o700, exist_ok=True)

    def process(self, words: list[str], name: list[str], stdio: Stdio, terminal: bool) -> Made:
        """Run a command that makes a process: its pid and, when it has one, its terminal."""
        pid_file = self._state_dir / PID
        words = [*words, "--pid-file", str(pid_file)]
        if not terminal:
            self.call([*words, *name], stdio)
            return int(pid_file.read_text()), None
        # In a short place: a socket's name may have 108 bytes, and a state directory's has nearly as many.
        path = self._root / f"{self._state_dir.name[:12]}.sock"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            try:
                listener.listen(1)
                listener.settimeout(CONSOLE_SECONDS)
                self.call([*words, "--console-socket", str(path), *name])
                connection, _ = listener.accept()
            finally:
                path.unlink()
        with connection:
            _, (console,), _, _ = socket.recv_fds(connection, 4096, 1)
        return int(pid_file.read_text()), console

    def call(self, words: list[str], stdio: Stdio = (0, 1, 2)) -> None:
        """Run a command to its end. Raises CannotRun with what the program has logged."""
        log = self._state_dir / LOG
        log.unlink(missing_ok=True)
        command = [self._program, "--root", str(self._root), "--log", str(log), "--log-format", "json", *words]
        actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(stdio)]
        try:
            # Not our environment: NOTIFY_SOCKET, for one, would be taken for the container's.
            child = os.posix_spawn(self._program, command, {"PATH": os.defpath}, file_actions=actions)
        except OSError as error:
            raise CannotRun(f"runtime {self._program}: {error.strerror}") from None
        if os.waitpid(child, 0)[1] != 0:
            raise _failure(self._program, log)


def _failure(program: str, log: Path) -> CannotRun:
    """The last error in the log, as the kind of error that Docker's client tells by its text."""
    message = f"{program} failed"
    with suppress(OSError, msgspec.DecodeError):
        for line in log.read_bytes().splitlines():
            message = msgspec.json.decode(line, type=dict[str, str]).get("msg", message)
    for number in (errno.ENOENT, errno.EACCES, errno.EISDIR):
        # crun has C's words for it, which begin with a capital; Docker's client looks for Go's, which do not.
        message = message.replace(os.strerror(number), os.strerror(number).lower())
    text = f"OCI runtime create failed: {message}"
    if "executable file not found" in message or "no such file or directory" in message:
        return ProgramNotFound(text)
    if "permission denied" in message or "is a directory" in message:
        return ProgramNotExecutable(text)
    return CannotRun(text)
