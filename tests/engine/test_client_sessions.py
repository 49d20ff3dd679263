"""``minidock`` and our own daemon: terminals, pipes, signals, detaching, a daemon that starts by itself."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon, Terminal, wait_for
from tests.peers import words_of_docker_28

pytestmark = pytest.mark.root

DOCKER_28 = pytest.param(["docker"], marks=words_of_docker_28)
MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]
PROMPT = r"[#$] "
Start = Callable[..., Terminal]


def minidock(daemon: Daemon, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run ``minidock WORDS`` to its end."""
    done = subprocess.run(
        [*MINIDOCK, *words], input=stdin, capture_output=True, timeout=60, env=daemon.environment, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def terminal(daemon: Daemon) -> Iterator[Start]:
    """Start a minidock command in front of a terminal: ``terminal("run", "-it", …)``."""
    opened: list[Terminal] = []

    def start(*words: str, command: list[str] | None = None) -> Terminal:
        opened.append(Terminal(command or [*MINIDOCK, *words], daemon.environment, 33, 101))
        return opened[-1]

    yield start
    for item in opened:
        item.close()


def test_a_shell_in_a_terminal(daemon: Daemon, terminal: Start) -> None:
    """The size at the start and after a resize, ^C for the program inside, and its exit code."""
    shell = terminal("run", "--rm", "-it", "tiny", "sh", "-c", "trap 'stty size' WINCH; exec sh -i")
    shell.expect(PROMPT)
    shell.type("stty size; tty\n")
    shell.expect("33 101")
    shell.resize(44, 55)
    wait_for(lambda: _says(shell, "stty size\n", "44 55"), "the new size")
    shell.type("trap 'echo interrupted; exit 6' INT; echo read''y; while :; do sleep 0.1; done\n")
    shell.expect("ready")
    shell.type("\x03")
    shell.expect("interrupted")
    assert shell.wait() == 6


def _says(shell: Terminal, command: str, text: str) -> bool:
    shell.type(command)
    return text in shell.expect(r"\d+ \d+\r\n")


def test_detaching_and_coming_back(daemon: Daemon, terminal: Start) -> None:
    """ctrl-p ctrl-q leaves a running container; ``attach`` says that one has left, as Docker's does, with code 1."""
    shell = terminal("run", "-it", "--name", "left", "tiny", "sh")
    shell.expect(PROMPT)
    shell.type("\x10\x11")
    assert shell.wait() == 0
    again = terminal("attach", "--detach-keys", "ctrl-a,x", "left")
    again.type("echo back $((40+2))\n")
    again.expect("back 42")
    again.type("\x01x")
    assert again.wait() == 1
    assert "read escape sequence" in again.seen
    assert daemon.inspect("left")["State"]["Running"]
    last = terminal("attach", "left")
    last.type("exit 3\n")
    assert last.wait() == 3


@pytest.mark.parametrize(
    "words",
    [["run", "--rm", "-it", "tiny", "sh"], ["exec", "-it", "box", "sh"], ["run", "--rm", "-it", "tiny", "nosuch"]],
    ids=["run", "exec", "a program that is not there"],
)
def test_the_terminal_is_left_as_it_was(daemon: Daemon, terminal: Start, tmp_path: Path, words: list[str]) -> None:
    """Whether the program ends or never begins: ``stty`` says afterwards what it said before."""
    daemon.ok("run", "-d", "--name", "box", "tiny", "sleep", "1000")
    script = f'stty -g >{tmp_path}/before; "$@"; stty -g >{tmp_path}/after'
    outer = terminal(command=["sh", "-c", script, "sh", *MINIDOCK, *words])
    if words[-1] == "sh":
        outer.expect(PROMPT)
        outer.type("exit\n")
    assert outer.wait() == 0
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text() != ""


def test_exec_ended_from_outside_leaves_the_terminal_as_it_was(daemon: Daemon, terminal: Start) -> None:
    """SIGTERM to the client while the terminal is raw: it is put right before the client goes."""
    daemon.ok("run", "-d", "--name", "box", "tiny", "sleep", "1000")
    outer = terminal(command=["sh", "-c", '"$@"; echo "code $?"; stty -a | grep -o " .echo "', "sh", *MINIDOCK, *_EXEC])
    outer.expect(PROMPT)
    client = int(Path(f"/proc/{outer.process.pid}/task/{outer.process.pid}/children").read_text().split()[0])
    os.kill(client, signal.SIGTERM)
    outer.expect("code 143")
    assert outer.wait() == 1  # grep finds no "-echo"


_EXEC = ["exec", "-it", "box", "sh"]


def test_signals_are_passed_on(daemon: Daemon) -> None:
    """Without a terminal a signal for the client is a signal for the container; its exit code comes back."""
    program = "trap 'echo hup' HUP; trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*MINIDOCK, "run", "--rm", "tiny", "sh", "-c", program], stdout=subprocess.PIPE, env=daemon.environment
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGHUP)
        assert client.stdout.readline() == b"hup\n"
        client.send_signal(signal.SIGTERM)
        assert client.stdout.readline() == b"term\n"
    assert client.returncode == 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exec_ends_on_a_signal(daemon: Daemon, number: signal.Signals) -> None:
    """There is nobody to pass it on to: the client ends, also without a terminal."""
    daemon.ok("run", "-d", "--name", "box", "tiny", "sleep", "1000")
    words = ["exec", "box", "sh", "-c", "echo ready; exec sleep 1000"]
    with subprocess.Popen([*MINIDOCK, *words], stdout=subprocess.PIPE, env=daemon.environment) as client:
        try:
            assert client.stdout is not None and client.stdout.readline() == b"ready\n"
            client.send_signal(number)
            assert client.wait(timeout=20) in (128 + number, -number)  # a shell calls both 128 + number
        finally:
            client.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_dial_stdio_ends_on_a_signal(daemon: Daemon, number: signal.Signals) -> None:
    """In the middle of a conversation, with its input open: whoever called it over ssh does not leave it behind."""
    # Under nohup, SIGHUP is ignored by all that is started.
    words = ["env", "--default-signal", *MINIDOCK, "system", "dial-stdio"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=daemon.environment) as client:
        try:
            assert client.stdin is not None and client.stdout is not None
            client.stdin.write(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"HTTP/1.1 200 OK\r\n"
            client.send_signal(number)
            assert client.wait(timeout=20) in (-number, 128 + number)
        finally:
            client.kill()


@pytest.mark.parametrize("client", [DOCKER_28, MINIDOCK], ids=["docker", "minidock"])
@pytest.mark.parametrize("verb", ["run", "attach"])
def test_signals_that_are_not_passed_on(daemon: Daemon, client: list[str], verb: str) -> None:
    """With --sig-proxy=false neither the container nor the client heeds an interrupt: the client stays to the end."""
    waiting = "trap 'echo heard; exit 9' INT TERM; until [ -e /go ]; do echo ready; sleep 0.05; done; echo end; exit 5"
    with _not_passing_on(daemon, client, verb, waiting) as process:
        assert process.stdout is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        daemon.docker("exec", "box", "touch", "/go")  # whose exit code is lost when the container ends first
        assert process.stdout.read().splitlines()[-1] == b"end"
    assert process.returncode == 5


@pytest.mark.parametrize("client", [DOCKER_28, MINIDOCK], ids=["docker", "minidock"])
@pytest.mark.parametrize("verb", ["run", "attach"])
def test_three_interrupts_mean_the_client(daemon: Daemon, client: list[str], verb: str) -> None:
    """Whoever insists gets away, with a word about it; the container stays as it is."""
    with _not_passing_on(daemon, client, verb, "while :; do echo ready; sleep 0.05; done") as process:
        assert process.stderr is not None
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            wait_for(lambda: _has_taken_its_signals(process.pid), "the signal to arrive: two that wait are one")
        # Docker's client does not hear one that comes while it makes ready for the next two.
        while client == ["docker"] and process.poll() is None:
            process.send_signal(signal.SIGINT)
            select.select([process.stderr], [], [], 0.1)
        assert process.stderr.read() == b"\ngot 3 SIGTERM/SIGINTs, forcefully exiting\n"
    assert process.returncode == 1
    assert daemon.inspect("box")["State"]["Running"]


def _has_taken_its_signals(pid: int) -> bool:
    try:
        return re.search(r"(?m)^ShdPnd:\t0+$", Path(f"/proc/{pid}/status").read_text()) is not None
    except FileNotFoundError:
        return True  # it has ended


def _not_passing_on(daemon: Daemon, client: list[str], verb: str, program: str) -> subprocess.Popen[bytes]:
    """A client of the container ``box``, of which it has seen a line."""
    words = ["tiny", "sh", "-c", program]
    if verb == "attach":
        daemon.ok("run", "-d", "--name", "box", *words)
    words = [verb, "--sig-proxy=false", *(["box"] if verb == "attach" else ["--name", "box", *words])]
    process = subprocess.Popen(
        [*client, *words], env=daemon.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return process


def test_no_terminal_to_give(daemon: Daemon) -> None:
    """-it with a pipe in front: refused before anything runs; -t alone is fine."""
    done = minidock(daemon, "run", "--rm", "-it", "tiny", "cat", stdin=b"x")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the input device is not a TTY\n")
    assert minidock(daemon, "run", "--rm", "-t", "tiny", "echo", "here").stdout == "here\r\n"


def test_a_part_of_the_keys_to_leave_is_typed(daemon: Daemon, terminal: Start) -> None:
    """ctrl-p and then another key reach the program, both of them."""
    script = "stty raw -echo; echo go; dd bs=1 count=3 2>/dev/null | cat -v"
    shell = terminal("run", "--rm", "-it", "tiny", "sh", "-c", script)
    shell.expect("go")
    shell.type("\x10a\x11")
    assert shell.wait() == 0 and "^Pa^Q" in shell.seen


def test_interrupting_a_stream_is_quiet(daemon: Daemon) -> None:
    """^C on ``logs -f``: exit code 130, and not a word."""
    daemon.ok("run", "-d", "--name", "box", "tiny", "sh", "-c", "echo ready; exec sleep 1000")
    with subprocess.Popen(
        [*MINIDOCK, "logs", "-f", "box"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=daemon.environment
    ) as client:
        assert client.stdout is not None and client.stderr is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGINT)
        assert client.stderr.read() == b""
    assert client.returncode == 130


def test_a_pipe_in_and_a_pipe_out(daemon: Daemon) -> None:
    """Megabytes through ``run -i cat``, both ways at once: nothing is lost, nothing waits for ever."""
    data = os.urandom(8 << 20)
    done = subprocess.run(
        [*MINIDOCK, "run", "--rm", "-i", "tiny", "cat"],
        input=data,
        capture_output=True,
        timeout=60,
        env=daemon.environment,
    )
    assert done.stdout == data
    assert (done.stderr, done.returncode) == (b"", 0)


def test_input_may_outlive_the_program(daemon: Daemon) -> None:
    """``yes | minidock run -i tiny head -1`` ends."""
    script = 'yes | "$@"'
    command = ["sh", "-c", script, "sh", *MINIDOCK, "run", "--rm", "-i", "tiny", "head", "-n", "1"]
    done = subprocess.run(command, capture_output=True, timeout=60, env=daemon.environment)
    assert (done.stdout, done.returncode) == (b"y\n", 0)


def test_a_reader_may_go_away(daemon: Daemon) -> None:
    """``minidock logs | head -1`` says nothing more than the first line."""
    daemon.ok("run", "--name", "box", "tiny", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
    command = ["sh", "-c", '"$@" | head -n 1', "sh", *MINIDOCK, "logs", "box"]
    done = subprocess.run(command, capture_output=True, timeout=60, env=daemon.environment)
    assert (done.stdout, done.stderr) == (b"0\n", b"")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "--rm", "tiny", "sh", "-c", "exit 42"], 42, ""),
        (["run", "--rm", "tiny", "nosuch"], 127, "executable file not found"),
        (["run", "--rm", "tiny", "/etc"], 126, "is a directory"),
        (["run", "--rm", "tiny", "/etc/passwd"], 126, "permission denied"),
        (["run", "--rm", "-m", "3m", "tiny", "true"], 125, "Minimum memory limit"),
        (["run", "--rm", "127.0.0.1:1/nobody/there", "true"], 125, "127.0.0.1:1"),
        (["exec", "nobody", "true"], 1, "No such container: nobody"),
    ],
)
def test_exit_codes(daemon: Daemon, words: list[str], code: int, message: str) -> None:
    """The program's own; 125 for the daemon, 126 and 127 for a program that did not start. One line each."""
    done = minidock(daemon, *words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("Unable to find image")]) <= 1
    assert daemon.ok("ps", "-aq") == ""


def test_explain_names_both_ends_of_a_bind_mount(daemon: Daemon) -> None:
    """The commands are ones that would do the same: what is mounted, and where, by path."""
    story = minidock(daemon, "run", "--rm", "--explain=full", "tiny", "true").stderr
    found = re.findall(r"\$ mount --bind (\S+)/(resolv.conf|hostname|hosts) (\S+)", story)
    assert len(found) == 3
    assert all(target == f"{bundle}/rootfs/etc/{name}" for bundle, name, target in found), found


def test_explain_tells_the_story(daemon: Daemon) -> None:
    """``--explain`` prints the steps on standard error; the program's output is its own."""
    done = minidock(daemon, "run", "--rm", "--explain", "tiny", "echo", "hi")
    assert done.stdout == "hi\n"
    assert "pivot_root(2)" in done.stderr and "Execute echo hi" in done.stderr
    document = minidock(daemon, "run", "--rm", "--explain=json", "tiny", "true").stderr
    assert all(json.loads(line) for line in document.splitlines())


@pytest.mark.parametrize("tty", [[], ["-t"]])
def test_a_walk_through_the_story(daemon: Daemon, tty: list[str]) -> None:
    """``--step`` waits for Enter before each step; the program's output comes after the last; q is the rest at once."""
    command = [*MINIDOCK, "run", "--rm", *tty, "--step", "tiny", "echo", "hi there"]
    terminal = Terminal(command, daemon.environment)
    terminal.expect(r"steps, .*\n")
    for number in range(1, 4):
        time.sleep(0.2)
        assert not re.search(r"\d  (runtime|child)  ", terminal.seen), "it does not wait for Enter"
        terminal.type("\r")
        terminal.expect(rf" {number}  (runtime|child)  ")
    terminal.type("q\r")
    terminal.expect(r"(?s) 4  .*Execute echo.*\nhi there")
    assert terminal.wait() == 0
    terminal.close()


def test_a_walk_needs_somebody_who_walks(daemon: Daemon) -> None:
    """Without a terminal there is nobody to press a key."""
    done = minidock(daemon, "run", "--step", "tiny", "true")
    assert (done.returncode, done.stdout) == (125, "") and "standard input is not a terminal" in done.stderr
    assert daemon.ok("ps", "-aq") == ""


def test_a_container_s_id_is_printed_and_kept(daemon: Daemon, tmp_path: Path) -> None:
    """``-d`` prints it, ``--cidfile`` writes it, and a file that is there already is an error."""
    file = tmp_path / "id"
    done = minidock(daemon, "run", "-d", "--cidfile", str(file), "tiny", "true")
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
    assert file.read_text() == done.stdout.strip()
    again = minidock(daemon, "run", "-d", "--cidfile", str(file), "tiny", "true")
    assert again.returncode == 125 and "container ID file found" in again.stderr


def test_importing_reads_a_file_or_standard_input(daemon: Daemon, tmp_path: Path) -> None:
    """And a file that is not there is one line."""
    from tests.engine.harness import tiny_archive

    file = tmp_path / "root.tar"
    file.write_bytes(tiny_archive())
    assert minidock(daemon, "import", "-c", "CMD echo hi", str(file), "seed:1").returncode == 0
    assert minidock(daemon, "run", "--rm", "seed:1").stdout == "hi\n"
    assert minidock(daemon, "import", "-", "seed:2", stdin=tiny_archive()).returncode == 0
    assert minidock(daemon, "rmi", "seed:1", "seed:2").stdout.startswith("Untagged: seed:1\n")
    missing = minidock(daemon, "import", f"{file}.not", "seed:3")
    assert (missing.returncode, missing.stderr) == (1, f"open {file}.not: no such file or directory\n")


def test_completion_knows_commands_flags_and_names(daemon: Daemon) -> None:
    """What the shell would offer."""
    daemon.ok("create", "--name", "unmistakable", "tiny", "true")
    assert "start" in minidock(daemon, "__complete", "st").stdout.split()
    assert "--memory" in minidock(daemon, "__complete", "run", "--mem").stdout.split()
    assert minidock(daemon, "__complete", "start", "unm").stdout == "unmistakable\n"
    assert minidock(daemon, "__complete", "run", "ti").stdout == "tiny:latest\n"
    daemon.ok("network", "create", "somewhere")
    daemon.ok("volume", "create", "something")
    for words, expected in (
        (["network", "connect", "som"], "somewhere"),
        (["network", "connect", "somewhere", "unm"], "unmistakable"),
        (["run", "--network", "some"], "somewhere"),
        (["-H", daemon.host, "volume", "rm", "-f", "some"], "something"),
        (["tag", "tiny:"], "tiny:latest"),
        (["inspect", "some"], "something\nsomewhere"),
        (["run", "tiny", ""], ""),
        (["context", "use", "def"], "default"),
    ):
        assert minidock(daemon, "__complete", *words).stdout.rstrip("\n") == expected
    daemon.ok("network", "rm", "somewhere")


def test_bash_completes_with_the_script(daemon: Daemon, tmp_path: Path) -> None:
    """What the person at the shell gets for a Tab, with an image's colon in the word."""
    program = tmp_path / "minidock"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from minidock.client.main import main; main()" "$@"\n')
    program.chmod(0o755)
    script = minidock(daemon, "completion", "bash").stdout
    tab = 'COMP_WORDS=(minidock rmi tiny:); COMP_CWORD=2; _minidock; echo "${COMPREPLY[@]}"'
    environment = daemon.environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script + "\n" + tab], capture_output=True, env=environment, text=True)
    assert (done.stdout, done.stderr) == ("tiny:latest\n", "")


def test_the_table_of_stats_follows_what_happens(daemon: Daemon, terminal: Start) -> None:
    """A container that starts gets a line, one that ends loses it; ^C ends it."""
    table = terminal("stats", "--format", "table {{.Name}}\t{{.PIDs}}\t{{.MemUsage}}")
    table.expect(r"\x1b\[HNAME +PIDS +MEM USAGE / LIMIT\x1b\[K\r\n")
    daemon.ok("run", "-d", "--name", "comes", "--network", "none", "tiny", "sleep", "1000")
    table.expect(r"comes +1 +[\d.]+[KM]?i?B / ")
    daemon.ok("rm", "-f", "comes")
    table.expect(r"\x1b\[HNAME[^\n]*\n(?![^\x1b]*comes)")
    table.type("\x03")
    assert table.wait() == 130


def test_a_build_is_shown_as_it_goes_on(daemon: Daemon, terminal: Start, tmp_path: Path) -> None:
    """What runs has the last lines of its output below it; in the end there is one line a step, and the image."""
    (tmp_path / "Dockerfile").write_text("FROM tiny\nRUN echo one; echo two\n")
    build = terminal("build", "-t", "shown", str(tmp_path))
    build.expect(r"\[stage-0 2/2\] RUN echo one")
    build.expect("   one\r\n")
    build.expect(r"\[stage-0 2/2\] RUN echo one; .*DONE")
    build.expect("named shown")
    assert build.wait() == 0


def test_nobody_is_there() -> None:
    """A socket that nobody serves: one line, and the exit code that Docker has for it."""
    for words, code in ((["ps"], 1), (["run", "tiny"], 125), (["version"], 1)):
        command = [*MINIDOCK, "-H", "unix:///nowhere/at/all.sock", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert "Cannot connect to the minidock daemon at unix:///nowhere/at/all.sock. Is the" in done.stderr
        assert len(done.stderr.splitlines()) == 1
