"""``minidock-runtime``: the OCI runtime's command line, as runc's users know it. No daemon is involved.

The options are parsed by hand, and modules that only some commands need are imported by those: loading Python is most
of what starting a container costs here, and argparse alone takes as long as all the container's mounts.

Source: https://github.com/opencontainers/runtime-tools/blob/master/docs/command-line-interface.md
"""

from __future__ import annotations

import os
import signal as signals
import sys
from collections.abc import Callable
from pathlib import Path

from minidock.containers import runtime
from minidock.errors import Conflict, InvalidInput, MinidockError
from minidock.oci import runtime as oci

USAGE = """\
usage: minidock-runtime [--root DIR] [--log FILE] COMMAND [OPTIONS] …

  create [-b BUNDLE] [--console-socket PATH] [--pid-file FILE] [--explain] ID   take all steps but the last
  start ID                                                                      take the last: execute the program
  run [-b BUNDLE] [-d] [--pid-file FILE] [--explain] ID                         create, start, wait, delete
  state ID                                                                      the container's state as JSON
  kill [-a] ID [SIGNAL]                                                         send a signal (default: TERM)
  delete [-f] ID                                                                undo create; -f: even if it runs
  exec [-t] [-d] [-e K=V] [-u UID[:GID]] [--cwd DIR] [-p FILE] ID [COMMAND …]   one more program in the container
  list [-q]                                                                     all containers under the root
  explain [--full] ID                                                           the steps that were taken
  spec [-b BUNDLE]                                                              write an example config.json
  features                                                                      what this runtime can do, as JSON
"""

FLAGS = {
    "-b": "bundle", "--bundle": "bundle", "--console-socket": "console-socket", "--pid-file": "pid-file",
    "-p": "process", "--process": "process", "-e": "env", "--env": "env", "-u": "user", "--user": "user",
    "--cwd": "cwd", "--root": "root", "--log": "log", "--log-format": "log-format", "-f": "force", "--force": "force",
    "-a": "all", "--all": "all", "-d": "detach", "--detach": "detach", "-t": "tty", "--tty": "tty", "-q": "quiet",
    "--quiet": "quiet", "--explain": "explain", "--full": "full",
}  # fmt: skip
SWITCHES = {"force", "all", "detach", "tty", "quiet", "explain", "full"}


class Arguments:
    """A command line taken apart: options, which stand before the first operand, and operands."""

    def __init__(self, words: list[str]) -> None:
        self.switches: set[str] = set()
        self.values: dict[str, list[str]] = {}
        rest = list(words)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word == "--":
                break
            self._option(word, rest)
        self.operands = rest

    def _option(self, word: str, rest: list[str]) -> None:
        flag, has_value, value = word.partition("=")
        name = FLAGS.get(flag)
        if name is None:
            raise InvalidInput(f"unknown option {flag}, see minidock-runtime --help")
        if name in SWITCHES:
            self.switches.add(name)
            return
        if not has_value and not rest:
            raise InvalidInput(f"option {flag} needs a value")
        self.values.setdefault(name, []).append(value if has_value else rest.pop(0))

    def value(self, name: str, default: str = "") -> str:
        """The last value that was given for an option."""
        return self.values.get(name, [default])[-1]


class Command:
    """The commands, one method each; each answers with the exit code."""

    def __init__(self, root: Path, arguments: Arguments) -> None:
        self.root = root
        self.arguments = arguments

    @property
    def id(self) -> str:
        """The container's id; it becomes the name of a directory, so it must not be a path."""
        if not self.arguments.operands:
            raise InvalidInput("which container? an id is missing")
        name = self.arguments.operands[0]
        allowed = name.replace("_", "").replace("-", "").replace(".", "").replace("+", "")
        if not (allowed.isascii() and allowed.isalnum()) or name.startswith("."):
            raise InvalidInput(f"invalid container id {name!r}: letters, digits, and _ - . + only")
        return name

    @property
    def state_dir(self) -> Path:
        """Where the container's state is."""
        return self.root / self.id

    def create(self) -> int:
        """Create, and hand the terminal to whoever listens on the console socket."""
        created = self._create()
        if created.console is not None:
            self._send_console(created.console)
        return 0

    def _create(self) -> runtime.Created:
        bundle = Path(self.arguments.value("bundle", "."))
        created = runtime.create(bundle, self.state_dir, self.id, explain="explain" in self.arguments.switches)
        self._write_pid(created.pid)
        return created

    def start(self) -> int:
        """Let the waiting init go on."""
        runtime.start(self.state_dir)
        return 0

    def run(self) -> int:
        """Create and start; unless detached, stay, pass signals and the terminal on, and end as the program ends."""
        created = self._create()
        try:
            if "detach" in self.arguments.switches and created.console is not None:
                self._send_console(created.console)
            elif created.console is not None:
                _size_terminal(created.console)
            if "detach" not in self.arguments.switches:
                _pass_signals_on(created.pid)  # before the program runs: it may signal us at once
            runtime.start(self.state_dir)
        except BaseException:
            runtime.delete(self.state_dir, force=True)
            raise
        if "explain" in self.arguments.switches:
            self._tell(sys.stderr.isatty())
        if "detach" in self.arguments.switches:
            return 0
        try:
            return _foreground(created.pid, created.console)
        finally:
            runtime.delete(self.state_dir, force=True)

    def state(self) -> int:
        """Print the state."""
        return _print_json(oci.encode(runtime.state(self.state_dir)))

    def kill(self) -> int:
        """Send a signal."""
        name = self.arguments.operands[1] if len(self.arguments.operands) > 1 else "TERM"
        runtime.kill(self.state_dir, signal_number(name), "all" in self.arguments.switches)
        return 0

    def delete(self) -> int:
        """Undo create."""
        runtime.delete(self.state_dir, force="force" in self.arguments.switches)
        return 0

    def exec(self) -> int:
        """Run one more program in the container."""
        running = runtime.execute(self.state_dir, self._process())
        self._write_pid(running.pid)
        if "detach" in self.arguments.switches:
            if running.console is not None:
                self._send_console(running.console)
            return 0
        return _foreground(running.pid, running.console)

    def _process(self) -> oci.Process:
        """What exec runs: a file's, or the container's own process with another command."""
        from minidock.containers import state

        if self.arguments.value("process"):
            return oci.parse_process(Path(self.arguments.value("process")).read_bytes())
        own = state.read(self.state_dir).spec.process
        assert own is not None, "it was created"
        return oci.Process(
            cwd=self.arguments.value("cwd", own.cwd),
            args=self.arguments.operands[1:],
            env=own.env + self.arguments.values.get("env", []),
            terminal="tty" in self.arguments.switches,
            user=oci.User(username=self.arguments.value("user")) if self.arguments.value("user") else own.user,
            capabilities=own.capabilities,
            no_new_privileges=own.no_new_privileges,
            oom_score_adj=own.oom_score_adj,
        )

    def list(self) -> int:
        """Print all containers."""
        states = [runtime.state(path.parent) for path in sorted(self.root.glob("*/state.json"))]
        if "quiet" in self.arguments.switches:
            print("".join(f"{state.id}\n" for state in states), end="")
            return 0
        width = max([len(state.id) for state in states] + [2])
        print(f"{'ID':{width}}  {'PID':>7}  {'STATUS':8}  BUNDLE")
        for state in states:
            print(f"{state.id:{width}}  {state.pid:>7}  {state.status:8}  {state.bundle}")
        return 0

    def explain(self) -> int:
        """Print the steps of a container that was created with --explain."""
        return self._tell(sys.stdout.isatty(), sys.stdout.fileno())

    def _tell(self, colour: bool, where: int = 2) -> int:
        from minidock.containers import explain

        form: explain.Form = "full" if "full" in self.arguments.switches else "compact"
        _write_all(where, explain.tell(self.state_dir / "explain.jsonl", form, colour).encode())
        return 0

    def spec(self) -> int:
        """Write an example config.json."""
        from minidock.containers import example

        path = Path(self.arguments.value("bundle", ".")) / "config.json"
        if path.exists():
            raise Conflict(f"{path} exists: remove it first")
        path.write_bytes(example.config())
        return 0

    def features(self) -> int:
        """Print what this runtime can do (runtime-spec, features.md)."""
        from minidock.containers import example

        return _print_json(example.features())

    def _write_pid(self, pid: int) -> None:
        if self.arguments.value("pid-file"):
            Path(self.arguments.value("pid-file")).write_text(str(pid))

    def _send_console(self, console: int) -> None:
        """Hand the terminal's controlling side to who listens on the console socket (SCM_RIGHTS, unix(7))."""
        import socket

        if not self.arguments.value("console-socket"):
            runtime.delete(self.state_dir, force=True)
            raise InvalidInput("the process has a terminal: --console-socket says who gets its other side")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(self.arguments.value("console-socket"))
            socket.send_fds(connection, [b"/dev/ptmx"], [console])
        os.close(console)


COMMANDS: dict[str, Callable[[Command], int]] = {
    name: getattr(Command, name)
    for name in ("create", "start", "run", "state", "kill", "delete", "exec", "list", "explain", "spec", "features")
}


def signal_number(text: str) -> int:
    """``9``, ``KILL`` or ``SIGKILL``. Raises :class:`InvalidInput`."""
    if text.isdigit() and int(text) in signals.valid_signals():
        return int(text)
    try:
        return signals.Signals[text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"].value
    except KeyError:
        raise InvalidInput(f"unknown signal {text!r}") from None


def _pass_signals_on(pid: int) -> None:
    """From now on, a signal that would end us goes to the program instead."""
    for number in (signals.SIGINT, signals.SIGTERM, signals.SIGHUP, signals.SIGQUIT, signals.SIGUSR1, signals.SIGUSR2):
        signals.signal(number, lambda number, _frame: os.kill(pid, number))


def _foreground(pid: int, console: int | None) -> int:
    """Wait for the program, and meanwhile be its terminal."""
    if console is not None:
        from minidock.containers.foreground import with_terminal

        return with_terminal(pid, console)
    return exit_code(os.waitpid(pid, 0)[1])


def _size_terminal(console: int) -> None:
    """The program shall find its terminal in the right size from the first moment on."""
    from minidock.containers.foreground import copy_size

    copy_size(console)


def exit_code(status: int) -> int:
    """The exit code, or 128 + the signal."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _print_json(data: bytes) -> int:
    import msgspec

    print(msgspec.json.format(data).decode())
    return 0


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _log(path: str, error: Exception) -> None:
    """One JSON line, as runc's callers read it."""
    import time

    import msgspec

    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with Path(path).open("ab") as file:
        file.write(msgspec.json.encode({"level": "error", "msg": str(error), "time": now}) + b"\n")


def main(words: list[str] | None = None) -> int:
    """The command line's entry; answers with the exit code."""
    words = sys.argv[1:] if words is None else words
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if words[0] in ("-v", "--version"):
        print(f"minidock-runtime\nspec: {oci.OCI_VERSION}")
        return 0
    log = ""
    try:
        general = Arguments(words)
        log = general.value("log")
        name = general.operands[0] if general.operands else ""
        if name not in COMMANDS:
            raise InvalidInput(f"unknown command {name!r}, see minidock-runtime --help")
        root = Path(general.value("root", "/run/minidock-runtime"))
        return COMMANDS[name](Command(root, Arguments(general.operands[1:])))
    except (MinidockError, OSError) as error:
        if log:
            _log(log, error)
        print(f"minidock-runtime: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, MinidockError) else 1


if __name__ == "__main__":
    sys.exit(main())
