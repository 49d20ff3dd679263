"""Steps on the process itself, from its session to the moment when it becomes the user's program."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path
from typing import ClassVar

import msgspec

from minidock.containers.steps.step import Context, Step, Where
from minidock.containers.wire import Failure
from minidock.errors import CannotRun, InvalidSpec, ProgramNotExecutable, ProgramNotFound, SystemCallFailed
from minidock.kernel import pty, syscalls
from minidock.oci import runtime as oci

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NewSession(Step, frozen=True):
    """Lead a session of its own."""

    man = "setsid(2), credentials(7)"
    why = "without it, the container could push characters into the terminal of whoever started it"

    @property
    def title(self) -> str:
        return "Start a new session"

    def apply(self, context: Context) -> None:
        syscalls.setsid()


class NewKeyring(Step, frozen=True):
    """Have a session keyring of its own."""

    man = "keyctl(2), session-keyring(7)"
    why = "keys are in no namespace: the container must not inherit those of whoever started it"

    @property
    def title(self) -> str:
        return "Join a new session keyring"

    def apply(self, context: Context) -> None:
        try:
            syscalls.join_session_keyring(f"_ses.{context.container_id}")
        except SystemCallFailed as error:
            # A kernel without keys has none to inherit.
            if error.errno_name != "ENOSYS":
                raise


class SetOomScore(Step, frozen=True):
    """Say how early the kernel shall kill this process when memory is short (-1000: never, 1000: first)."""

    score: int
    man = "proc_pid_oom_score_adj(5)"
    why = "when memory is short somebody must go, and this says how gladly"
    where: ClassVar[Where] = "parent"

    @property
    def title(self) -> str:
        return f"Set the out-of-memory score adjustment to {self.score}"

    def apply(self, context: Context) -> None:
        syscalls.write_file(f"/proc/{context.child}/oom_score_adj", str(self.score))


class ConnectStdio(Step, frozen=True):
    """Make the given files, or the terminal, the descriptors 0, 1 and 2."""

    terminal: bool = False
    man = "dup(2), tty(4)"
    why = "a program reads 0 and writes 1 and 2, and does not know what they are"

    @property
    def title(self) -> str:
        return "Connect standard input, output and error" + (" to the terminal" if self.terminal else "")

    def apply(self, context: Context) -> None:
        sources = (context.terminal,) * 3 if self.terminal else context.stdio
        # Copies first, above 2: otherwise swapping, say, 1 and 2 would lose one of them.
        copies = [os.dup(source) for source in sources]
        for number, copy in enumerate(copies):
            syscalls.dup2(copy, number)
        for copy in copies:
            if copy > 2:
                os.close(copy)
        if self.terminal:
            pty.make_controlling(0)
            os.close(context.terminal)


class OwnStdio(Step, frozen=True):
    """Give the terminal, or the pipes, to the user."""

    man = "chown(2)"
    why = "otherwise a user other than root could not open /dev/stdout or the terminal again"

    @property
    def title(self) -> str:
        return "Give standard input, output and error to the user"

    def apply(self, context: Context) -> None:
        for descriptor in (0, 1, 2):
            status = os.fstat(descriptor)
            # Never a file or a device of the host (its /dev/null!): only what was made for this container.
            is_terminal = stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in range(136, 144)
            if (is_terminal or stat.S_ISFIFO(status.st_mode)) and status.st_uid != context.uid:
                try:
                    syscalls.fchown(descriptor, context.uid, status.st_gid)
                except SystemCallFailed as error:
                    if error.errno_name not in ("EPERM", "EINVAL", "EROFS"):
                        raise


class SetUmask(Step, frozen=True):
    """Say which permissions new files do not get."""

    mask: int
    man = "umask(2)"
    why = "the runtime's own mask must not leak into the container"

    @property
    def title(self) -> str:
        return f"Set the umask to {self.mask:04o}"

    def apply(self, context: Context) -> None:
        syscalls.umask(self.mask)


class SetDirectory(Step, frozen=True):
    """Go to the working directory, and make sure that it is inside the root."""

    path: str
    man = "chdir(2), openat2(2)"
    why = "a directory left open by the runtime, reached through /proc/self/fd, would lead out again (CVE-2024-21626)"

    @property
    def title(self) -> str:
        return f"Change the working directory to {self.path}"

    def apply(self, context: Context) -> None:
        try:
            flags = os.O_PATH | os.O_DIRECTORY
            directory = syscalls.openat2(syscalls.AT_FDCWD, self.path, flags, syscalls.RESOLVE_NO_MAGICLINKS)
        except SystemCallFailed as error:
            raise InvalidSpec(f'chdir to cwd ("{self.path}"): {(error.strerror or "").lower()}') from None
        try:
            syscalls.fchdir(directory)
        except SystemCallFailed as error:
            raise InvalidSpec(f'chdir to cwd ("{self.path}"): {(error.strerror or "").lower()}') from None
        finally:
            os.close(directory)
        try:
            inside = str(Path.cwd()).startswith("/")
        except FileNotFoundError:
            inside = False
        if not inside:
            raise InvalidSpec(f"working directory {self.path} is outside of the container")


class RaiseLimits(Step, frozen=True):
    """Raise the hard limits that shall be higher than ours, while we still may."""

    limits: tuple[oci.Rlimit, ...]
    man = "setrlimit(2)"
    why = "anybody may lower a limit, but raising it takes CAP_SYS_RESOURCE, which will soon be gone"

    @property
    def title(self) -> str:
        return "Raise the limits that are too low"

    def apply(self, context: Context) -> None:
        for limit in self.limits:
            soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{_limit_name(limit)}"))
            if hard != resource.RLIM_INFINITY and limit.hard > hard:
                syscalls.set_rlimit(_limit_name(limit), soft, limit.hard)


class SetLimits(Step, frozen=True):
    """Set resource limits."""

    limits: tuple[oci.Rlimit, ...]
    man = "setrlimit(2)"
    why = "last of all, because they would hit our own steps too: with 3 open files no container could be set up"

    @property
    def title(self) -> str:
        return "Set the limits " + ", ".join(f"{limit.type[7:].lower()} = {limit.soft}" for limit in self.limits)

    def apply(self, context: Context) -> None:
        for limit in self.limits:
            syscalls.set_rlimit(_limit_name(limit), limit.soft, limit.hard)


def _limit_name(limit: oci.Rlimit) -> str:
    name = limit.type.removeprefix("RLIMIT_")
    if name not in syscalls.RLIMITS:
        raise InvalidSpec(f"process.rlimits: {limit.type!r} is no limit")
    return name


class CloseFiles(Step, frozen=True):
    """Let exec close everything but standard input, output and error."""

    man = "close_range(2)"
    why = "an open directory of the host, inherited by the program, would be a way out"

    @property
    def title(self) -> str:
        return "Mark all other open files to be closed"

    def apply(self, context: Context) -> None:
        syscalls.close_range(3, cloexec=True)


class FindProgram(Step, frozen=True):
    """Find the program in the container's own PATH, and see that it may be executed."""

    name: str
    man = "execve(2), environ(7)"
    why = "the kernel wants a path: searching PATH is what a shell, or we, do"

    @property
    def title(self) -> str:
        return f"Find the program {self.name}"

    def apply(self, context: Context) -> None:
        context.program = find_program(self.name, context.environment.get("PATH", DEFAULT_PATH))
        refuse_magic_links(self.name, context.program)


class WaitForStart(Step, frozen=True):
    """Wait until somebody says start."""

    man = "fifo(7)"
    why = "everything is ready but the program: now others can, say, plug the network in"

    @property
    def title(self) -> str:
        return "Wait for start"

    def apply(self, context: Context) -> None:
        context.say_ready()
        os.read(context.gate, 1)
        # Whoever asks for our state looks whether we still hold this. exec would close it too, but a moment after it
        # has closed the result, and so after "it runs" has been said.
        os.close(context.gate)
        # From now on it is the one who started us that wants to know what goes wrong.
        context.report = lambda error: _write_result(context.result, error)


def _write_result(result: int, error: BaseException) -> None:
    os.write(result, msgspec.json.encode(Failure.of(error)))


class ExecuteProgram(Step, frozen=True):
    """Become the user's program."""

    args: tuple[str, ...]
    man = "execve(2)"
    why = "the process stays, with all that was done to it; its program is replaced"

    @property
    def title(self) -> str:
        return "Execute " + " ".join(self.args)

    def apply(self, context: Context) -> None:
        program = context.program or find_program(self.args[0], context.environment.get("PATH", DEFAULT_PATH))
        syscalls.reset_signals()
        execute(program, self.args, context.environment)


def execute(program: str, args: tuple[str, ...], environment: dict[str, str]) -> None:
    """execve(2), with the errors in Docker's words. Returns only by raising."""
    try:
        syscalls.execve(program, args, environment)
    except SystemCallFailed as error:
        reason = (error.strerror or "").lower()
        if error.errno_name in ("ENOENT", "ENOTDIR"):
            raise ProgramNotFound(f'exec: "{args[0]}": {reason}') from None
        if error.errno_name in ("EACCES", "EISDIR", "ENOEXEC", "ELOOP", "EPERM", "ETXTBSY"):
            raise ProgramNotExecutable(f'exec: "{args[0]}": {reason}') from None
        raise CannotRun(f'exec: "{args[0]}": {reason}') from None


def find_program(name: str, search: str) -> str:
    """The path of a program: as it is when it has a slash, otherwise from the directories of ``search``.

    Raises :class:`ProgramNotFound` and :class:`ProgramNotExecutable` in Docker's words, from which its client
    derives exit codes 127 and 126.
    """
    if "/" in name:
        reason = why_not_executable(name)
        if reason is None:
            return name
        kind = ProgramNotFound if reason == "no such file or directory" else ProgramNotExecutable
        raise kind(f'exec: "{name}": {reason}')
    forbidden = False
    for directory in search.split(":"):
        path = f"{directory or '.'}/{name}"
        reason = why_not_executable(path)
        if reason is None:
            return path
        forbidden = forbidden or reason == "permission denied"
    if forbidden:
        raise ProgramNotExecutable(f'exec: "{name}": permission denied')
    raise ProgramNotFound(f'exec: "{name}": executable file not found in $PATH')


def why_not_executable(path: str) -> str | None:
    """The reason why a path cannot be executed by us; None when it can, as far as one sees before trying."""
    try:
        if stat.S_ISDIR(Path(path).stat().st_mode):
            return "is a directory"
        return None if os.access(path, os.X_OK) else "permission denied"
    except OSError as error:
        return "no such file or directory" if error.errno in (2, 20) else (error.strerror or "").lower()


def refuse_magic_links(name: str, program: str, depth: int = 4) -> None:
    """Neither the program nor the interpreter that its first line names may be reached through a link of /proc.

    ``/proc/self/exe`` is, until exec, the runtime's own interpreter: a container that executes it holds the host's
    file, and could overwrite it (CVE-2019-5736). Raises :class:`ProgramNotExecutable`.
    """
    try:
        descriptor = syscalls.openat2(syscalls.AT_FDCWD, program, os.O_PATH, syscalls.RESOLVE_NO_MAGICLINKS)
    except SystemCallFailed as error:
        if error.errno_name != "ELOOP":
            return  # exec will say what is wrong
        raise ProgramNotExecutable(f'exec: "{name}": permission denied: {program} is a magic link') from None
    os.close(descriptor)
    interpreter = interpreter_of(program)
    if interpreter and depth:
        refuse_magic_links(name, interpreter, depth - 1)


def interpreter_of(program: str) -> str:
    """The interpreter in a script's first line; "" when it is no script, or not readable. execve(2), "scripts"."""
    try:
        descriptor = os.open(program, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        head = os.read(descriptor, 256) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)
    if not head.startswith(b"#!"):
        return ""
    words = head[2:].split(b"\n")[0].split()
    return os.fsdecode(words[0]) if words else ""
