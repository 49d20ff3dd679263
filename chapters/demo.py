"""The main job in one minute: an image from nothing but this host's shell becomes a running container.

``make demo`` runs it, as root. It types the commands that a user would type, shows what they print, and removes
everything that it made: the daemon, its files, its bridge.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent
BRIDGE = "minidock-demo"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code: str, text: str) -> str:
    """``text`` in an ANSI colour, when somebody looks at a terminal."""
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def say(text: str) -> None:
    """A paragraph of the story."""
    print(textwrap.fill(" ".join(text.split()), width=100, initial_indent="  ", subsequent_indent="  "), flush=True)


def act(number: int, title: str) -> None:
    """The heading of an act."""
    print(f"\n{paint('1;36', f'{number}. {title}')}\n", flush=True)


class Stage:
    """A daemon on directories of its own, and a shell that talks to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "MINIDOCK_HOST": f"unix://{root}/minidock.sock",
        }

    def type(self, command: str, check: bool = True) -> None:
        """Show a command as a person would type it, run it, and show what it prints."""
        print(f"  {paint('1', '$ ' + command)}", flush=True)
        run = subprocess.Popen(
            ["sh", "-c", command], cwd=self.root, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert run.stdout is not None
        for line in run.stdout:
            print(f"    {line}", end="", flush=True)
        if run.wait() != 0 and check:
            raise SystemExit(f"\nthe demo stops: `{command}` ended with exit code {run.returncode}")
        print(flush=True)

    def ask(self, command: str) -> str:
        """What a command prints, without showing it."""
        return subprocess.run(
            ["sh", "-c", command], env=self.environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """A running minidockd; stopped, with everything it holds, at the end."""
        options = f"--data-root {self.root}/data --exec-root {self.root}/run --bridge {BRIDGE}"
        command = f"minidockd -H unix://{self.root}/minidock.sock {options}"
        print(f"  {paint('1', '$ ' + command + ' &')}\n", flush=True)
        log = self.root / "minidockd.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                shlex.split(command), env=self.environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            self._wait_for_socket(process, log)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def _wait_for_socket(self, process: subprocess.Popen[bytes], log: Path) -> None:
        for _ in range(200):
            if process.poll() is not None:
                raise SystemExit(f"minidockd did not start:\n{log.read_text()}")
            if subprocess.run(["minidock", "version"], env=self.environment, capture_output=True).returncode == 0:
                return
            time.sleep(0.05)
        raise SystemExit(f"minidockd does not answer:\n{log.read_text()}")


def an_image(stage: Stage) -> None:
    """Act 1: an image is a directory tree in an archive."""
    act(1, "An image is a directory tree in an archive")
    say("""Nothing is downloaded. `minidock-tiny` takes this host's own shell and the libraries that it needs, and
        writes them as a tar archive: a root file system.""")
    print()
    stage.type("minidock-tiny > tiny.tar")
    stage.type("tar -tvf tiny.tar | grep -v -- '->' | head -12")
    say("The daemon is a server like Docker's; the client talks to it over a socket. They speak Docker's own language.")
    print()


def an_import(stage: Stage) -> None:
    """Act 2: the archive becomes an image."""
    act(2, "The archive becomes an image")
    stage.type("minidock import tiny.tar tiny")
    stage.type("minidock images")


def a_container(stage: Stage) -> None:
    """Act 3: what the kernel is asked to do before the program starts."""
    act(3, "A container is the list of steps taken before exec")
    say("""There is no container in the Linux kernel: only a process that was given its own view of things before it
        became the program you asked for. Five things are arranged: what it may use, what it sees, its files, what it
        may do, and the program. Here is every step; below each, why, and shell commands that would do the same.""")
    print()
    program = "echo I am process $$ on host $(hostname), and this is my root: $(echo /*)"
    stage.type(f"minidock run --rm --explain -m 64m --pids-limit 32 --hostname box tiny sh -c {shlex.quote(program)}")


def two_views(stage: Stage) -> None:
    """Act 4: the same process from inside and from outside."""
    act(4, "The same process, seen from inside and from outside")
    stage.type("minidock run -d --name sleeper -m 64m tiny sleep 1000")
    stage.type("minidock ps")
    stage.type("minidock exec sleeper sh -c 'echo inside, my process ids are: $(cd /proc; echo [0-9]*)'")
    pid = stage.ask("minidock inspect --format '{{.State.Pid}}' sleeper")
    say("On the host it is a process like any other. The last number of NSpid is what it is called inside.")
    print()
    stage.type(f"grep -E '^(Name|Uid|NSpid|CapEff|Seccomp):' /proc/{pid}/status")
    stage.type(f"cat /proc/{pid}/cgroup | head -3")
    stage.type("minidock stop -t 1 sleeper && minidock inspect --format '{{.State.ExitCode}}' sleeper")
    say("137 is 128 + 9: process 1 of a container ignores signals that it has no handler for, so stop had to kill it.")


def walls(stage: Stage) -> None:
    """Act 5: each thing that was arranged, felt from inside."""
    act(5, "What holds it")
    say("""It is root in there, yet not the machine's: the right to rename a host was taken from it before its
        program began.""")
    print()
    stage.type("minidock run --rm tiny sh -c 'id -u; hostname other'", check=False)
    say("It may use 16 MB of memory. A shell that wants more is killed by the kernel, and nobody else notices.")
    print()
    stage.type("minidock run --name greedy -m 16m tiny sh -c 'all=x; while :; do all=$all$all; done'", check=False)
    stage.type("minidock inspect --format '{{.State.ExitCode}}, out of memory: {{.State.OOMKilled}}' greedy")
    say("""What it writes, or removes, is in a directory of its own on top of the image, which stays as it was: the
        next one starts anew.""")
    print()
    stage.type("minidock run --rm tiny sh -c 'rm -r /bin; echo /*'")
    stage.type("minidock run --rm tiny sh -c 'echo /*'")


def main() -> None:
    """Tell the story, and leave the host as it was."""
    if os.geteuid() != 0:
        raise SystemExit("the demo makes a container, and that needs root: run `sudo make demo`")
    root = Path(tempfile.mkdtemp(prefix="minidock-demo-"))
    stage = Stage(root)
    started = time.monotonic()
    try:
        an_image(stage)
        with stage.daemon():
            an_import(stage)
            a_container(stage)
            two_views(stage)
            walls(stage)
            stage.type("minidock rm sleeper greedy && minidock rmi tiny")
    except KeyboardInterrupt:
        print("\ninterrupted")
    finally:
        shutil.rmtree(root)
    act(6, "Nothing is left")
    say(f"""The daemon is stopped, its bridge {BRIDGE} and its directories are gone. All of it took
        {time.monotonic() - started:.0f} seconds. Read on: README.md says which file to open first.""")


if __name__ == "__main__":
    main()
