"""``minidock-runtime``, the command line: as runc's users know it, with exit codes and messages."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import bundles
from tests.runtimes import read_line

pytestmark = pytest.mark.root

COMMAND = [shutil.which("minidock-runtime") or str(Path(sys.executable).with_name("minidock-runtime"))]


class Runtime:
    """The command line with a root and a bundle of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "run"
        self.bundle = directory / "bundle"
        self.id = f"command-{os.getpid()}-{directory.name}"
        bundles.rootfs(self.bundle / "rootfs")

    def write(self, *args: str, **process: Any) -> None:
        """Write the bundle's config.json."""
        bundles.write(self.bundle, bundles.config(*args, **process))

    def line(self, *words: str) -> list[str]:
        """A whole command line."""
        return [*COMMAND, "--root", str(self.root), *words]

    def __call__(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.line(*words), capture_output=True, text=True, cwd=self.bundle, **options)

    def ok(self, *words: str) -> str:
        """Run a command that must succeed; its output."""
        done = self(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A runtime whose containers are gone afterwards."""
    made = Runtime(tmp_path)
    yield made
    for path in made.root.glob("*"):
        made("delete", "-f", path.name)


def test_run(runtime: Runtime) -> None:
    """Standard input, output and error and the exit code are the program's own."""
    runtime.write("sh", "-c", "read line; echo out $line; echo err >&2; exit 5")
    done = runtime("run", runtime.id, input="hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (5, "out hello\n", "err\n")
    assert runtime.ok("list", "-q") == ""


def test_a_life_command_by_command(runtime: Runtime) -> None:
    """create, state, start, exec, list, kill, delete: each a process of its own that knows nothing of the others."""
    runtime.write("sleep", "100")
    pid_file = runtime.directory / "pid"
    subprocess.run(
        runtime.line("create", "-b", str(runtime.bundle), "--pid-file", str(pid_file), runtime.id), check=True
    )
    state = json.loads(runtime.ok("state", runtime.id))
    assert (state["status"], state["pid"], state["bundle"]) == (
        "created",
        int(pid_file.read_text()),
        str(runtime.bundle),
    )
    runtime.ok("start", runtime.id)
    assert runtime("exec", runtime.id, "sh", "-c", "exit 9").returncode == 9
    options = ["-e", "A=b", "--cwd", "/tmp", "-u", "guest"]
    assert runtime.ok("exec", *options, runtime.id, "sh", "-c", "echo $A $PWD $(id -un)") == "b /tmp guest\n"
    assert runtime.ok("list").splitlines()[1].split() == [runtime.id, str(state["pid"]), "running", str(runtime.bundle)]
    refused = runtime("delete", runtime.id)
    assert refused.returncode == 1 and "is not stopped" in refused.stderr
    pidfd = os.pidfd_open(state["pid"])
    runtime.ok("kill", runtime.id, "KILL")
    select.select([pidfd], [], [], 10)
    os.close(pidfd)
    assert json.loads(runtime.ok("state", runtime.id))["status"] == "stopped"
    runtime.ok("delete", runtime.id)
    missing = runtime("state", runtime.id)
    assert missing.returncode == 1 and runtime.id in missing.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "../x"], 125, "invalid container id '../x'"),
        (["run"], 125, "an id is missing"),
        (["fly"], 125, "unknown command 'fly'"),
        (["run", "--wings", "x"], 125, "unknown option --wings"),
        (["run", "-b"], 125, "option -b needs a value"),
        (["run", "-b", "/nosuch", "x"], 125, "/nosuch/config.json: No such file or directory"),
        (["kill", "x", "NOSUCH"], 125, "unknown signal 'NOSUCH'"),
        (["start", "x"], 1, "No such container: x"),
        (["exec", "x", "true"], 1, "No such container: x"),
    ],
)
def test_errors_are_one_line(runtime: Runtime, words: list[str], code: int, message: str) -> None:
    """What goes wrong is said in one line, never with a traceback."""
    done = runtime(*words)
    assert done.returncode == code
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_a_missing_program_is_127_and_goes_to_the_log(runtime: Runtime) -> None:
    """Docker's exit codes, and runc's log format for whoever starts us."""
    runtime.write("nosuch")
    log = runtime.directory / "log"
    done = subprocess.run(
        [*COMMAND, "--root", str(runtime.root), "--log", str(log), "run", "-b", str(runtime.bundle), "x"]
    )
    assert done.returncode == 127
    line = json.loads(log.read_text())
    assert (line["level"], line["msg"]) == ("error", 'exec: "nosuch": executable file not found in $PATH')


def test_signals_reach_the_program(runtime: Runtime) -> None:
    """SIGTERM to the runtime in the foreground is the program's to handle."""
    runtime.write("sh", "-c", "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    with subprocess.Popen(
        runtime.line("run", runtime.id), stdout=subprocess.PIPE, text=True, cwd=runtime.bundle
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "got it\n"
        assert process.wait() == 3


def test_a_terminal_in_the_foreground(runtime: Runtime) -> None:
    """The caller's terminal becomes raw and is joined with the container's: size, echo and ^C are the container's."""
    # Process 1 gets no signal that it does not handle: it needs a trap.
    script = "trap 'exit 42' INT; stty size; read x; echo got $x; while :; do sleep 0.05; done"
    runtime.write("sh", "-c", script, terminal=True)
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (33, 99))
    with subprocess.Popen(
        runtime.line("run", runtime.id), stdin=terminal, stdout=terminal, stderr=terminal, cwd=runtime.bundle
    ) as process:
        try:
            assert read_line(controller) == b"33 99\r\n"
            os.write(controller, b"word\r")
            assert [read_line(controller) for _ in range(2)] == [b"word\r\n", b"got word\r\n"]
            os.write(controller, b"\x03")
            assert process.wait(10) == 42
        finally:
            process.kill()
    assert termios.tcgetattr(terminal)[3] & termios.ECHO, "the terminal is as it was"
    os.close(controller)
    os.close(terminal)


def test_a_console_socket(runtime: Runtime) -> None:
    """Detached with a terminal: its controlling side goes to whoever listens on the console socket."""
    runtime.write("sh", "-c", "tty", terminal=True)
    path = f"/tmp/{runtime.id}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        try:
            runtime.ok("create", "--console-socket", path, runtime.id)
            connection, _ = listener.accept()
            _, descriptors, _, _ = socket.recv_fds(connection, 100, 1)
            connection.close()
        finally:
            Path(path).unlink()
    runtime.ok("start", runtime.id)
    assert read_line(descriptors[0]) == b"/dev/pts/0\r\n"
    os.close(descriptors[0])


def test_a_terminal_without_anybody_to_take_it(runtime: Runtime) -> None:
    """create with a terminal needs a console socket, and leaves nothing behind without one."""
    runtime.write("true", terminal=True)
    done = runtime("create", runtime.id)
    assert done.returncode == 125 and "--console-socket" in done.stderr
    assert not list(runtime.root.glob("*"))


def test_the_example_runs_here_and_in_runc(runtime: Runtime) -> None:
    """The config.json that ``spec`` writes is one that runc understands as we do."""
    (runtime.bundle / "config.json").unlink(missing_ok=True)
    runtime.ok("spec")
    config = json.loads((runtime.bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["sh", "-c", "hostname; id -u; touch /x; echo $?"]}
    bundles.write(runtime.bundle, config)
    ours = runtime("run", runtime.id)
    assert ours.stdout == "minidock\n0\n1\n"
    if not shutil.which("runc"):
        pytest.skip("runc is missing: apt-get install runc")
    line = ["runc", "--root", str(runtime.directory / "runc"), "run", f"{runtime.id}-runc"]
    theirs = subprocess.run(line, capture_output=True, text=True, cwd=runtime.bundle)
    assert (theirs.returncode, theirs.stdout, theirs.stderr) == (ours.returncode, ours.stdout, ours.stderr)


def test_features(runtime: Runtime) -> None:
    """What this runtime can do, as the runtime-spec's features document."""
    features = json.loads(runtime.ok("features"))
    assert "rro" in features["mountOptions"] and "CAP_CHOWN" in features["linux"]["capabilities"]
    assert features["hooks"][0] == "prestart"


def test_explain(runtime: Runtime) -> None:
    """``--explain`` tells the story on standard error; ``explain`` tells it again, in full."""
    runtime.write("sleep", "100")
    story = runtime.directory / "story"
    with story.open("w") as errors:
        line = runtime.line("run", "-d", "--explain", runtime.id)
        subprocess.run(line, stdout=errors, stderr=errors, check=True, cwd=runtime.bundle)
    assert "Swap the root" in story.read_text()
    full = runtime.ok("explain", "--full", runtime.id)
    assert "pivot_root" in full and "$ mount -t proc" in full
