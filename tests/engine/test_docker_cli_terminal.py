"""Docker's own command line in front of a terminal: -it, window sizes, ^C, detaching."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.harness import Daemon, Terminal, wait_for

pytestmark = pytest.mark.root

Start = Callable[..., Terminal]
PROMPT = r"[#$] "
# Older clients say the size a moment after the start; until then there is none, which stty does not count as a failure.
SAY_THE_SIZE = "until stty size | grep ' '; do sleep 0.1; done\n"


def test_a_shell_in_a_terminal(daemon: Daemon, terminal: Start) -> None:
    """``run --rm -it``: a prompt, an echo, a controlling terminal, and the shell's own exit code."""
    shell = terminal("run", "--rm", "-it", "tiny", "sh")
    shell.expect(PROMPT)
    shell.type("tty; echo $TERM; exit 4\n")
    shell.expect(r"/dev/(console|pts/0)")
    shell.expect("xterm")
    assert shell.wait() == 4
    assert daemon.ok("ps", "-aq") == ""


def test_the_window_s_size_follows(daemon: Daemon, terminal: Start) -> None:
    """The size at the start, and every change after it."""
    shell = terminal("run", "--rm", "-it", "tiny", "sh", rows=33, columns=101)
    shell.expect(PROMPT)
    shell.type(SAY_THE_SIZE)
    shell.expect("33 101")
    wait_for(lambda: _follows(shell), "the new size")
    shell.type("exit\n")
    assert shell.wait() == 0


def _follows(shell: Terminal) -> bool:
    """Whether a change arrives; older clients listen for changes only a moment after they have said the first size."""
    shell.resize(44, 54)
    shell.resize(44, 55)
    shell.type("stty size\n")
    return "44 55" in shell.expect(r"\d+ \d+\r\n")


def test_interrupt_reaches_the_program(daemon: Daemon, terminal: Start) -> None:
    """^C in a terminal is the program's; the shell goes on."""
    shell = terminal(
        "run",
        "--rm",
        "-it",
        "tiny",
        "sh",
        "-c",
        "trap 'echo got it; exit 6' INT; echo ready; while :; do sleep 0.1; done",
    )
    shell.expect("ready")
    shell.type("\x03")
    shell.expect("got it")
    assert shell.wait() == 6


def test_detaching_leaves_it_running(daemon: Daemon, terminal: Start) -> None:
    """ctrl-p ctrl-q leaves; attach comes back; other keys can be chosen."""
    shell = terminal("run", "-it", "--name", "left", "tiny", "sh")
    shell.expect(PROMPT)
    shell.type("\x10\x11")
    shell.wait()
    assert daemon.inspect("left")["State"]["Running"]
    again = terminal("attach", "--detach-keys", "ctrl-a,x", "left")
    again.type("echo back $((40+2))\n")
    again.expect("back 42")
    again.type("\x01x")
    again.wait()
    assert daemon.inspect("left")["State"]["Running"]
    last = terminal("attach", "left")
    last.type("exit 3\n")
    assert last.wait() == 3


def test_exec_in_a_terminal(daemon: Daemon, terminal: Start) -> None:
    """``exec -it``: a terminal of its own, with its size and its exit code."""
    container = daemon.ok("run", "-d", "tiny", "sleep", "1000")
    shell = terminal("exec", "-it", container, "sh", rows=21, columns=71)
    shell.expect(PROMPT)
    shell.type(SAY_THE_SIZE)
    shell.expect("21 71")
    shell.type("exit 9\n")
    assert shell.wait() == 9


def test_interrupt_without_a_terminal_is_passed_on(daemon: Daemon, terminal: Start) -> None:
    """``run`` without -t: the client catches ^C and sends the signal to the container."""
    shell = terminal(
        "run", "--rm", "tiny", "sh", "-c", "trap 'echo caught; exit 8' INT; echo ready; while :; do sleep 0.1; done"
    )
    shell.expect("ready")
    shell.type("\x03")
    shell.expect("caught")
    assert shell.wait() == 8
