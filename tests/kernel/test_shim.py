"""The shim and the daemon's handle on it, with real containers: streams, execs, signals, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import minidock
from minidock.containers.control import Launcher, Shim, ShimGone, Streams, read_exit
from minidock.containers.shim import GRACE
from minidock.containers.streams import STDERR, STDOUT
from minidock.errors import CannotRun, Conflict, MinidockError, NoSuchExec, ProgramNotFound
from tests.shims import Containers, Watched, containers, frames, logged, parent_of, process

pytestmark = pytest.mark.root

BOTH = Streams(stdout=True, stderr=True)
ALL = Streams(stdin=True, stdout=True, stderr=True)
NONE = Streams()


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Containers]:
    """A launcher, and containers that are gone after the test."""
    async with containers(tmp_path) as made:
        yield made


def is_gone(path: str | Path) -> bool:
    """Is nothing there?"""
    return not Path(path).exists()


def garbage(path: Path) -> None:
    """An executable file that is no program."""
    path.write_bytes(b"\x01\x02\x03")
    path.chmod(0o755)


def descriptors(pid: int) -> int:
    """How many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


# --- a life -----------------------------------------------------------------------------------------------------------


async def test_a_life(made: Containers) -> None:
    """Created, started, ended: output in the log, the code on disk, and nothing left but the bundle."""
    shim = await made.create("sh", "-c", "echo out; echo err >&2; exit 3")
    watched = Watched(parent_of(shim.init_pid))
    assert logged(shim) == b""
    await shim.start()
    how = await shim.wait()
    assert (how.code, how.oom_killed, how.error) == (3, False, "")
    assert 0 < how.started_ns < how.finished_ns
    assert read_exit(shim.bundle) == how
    assert sorted(logged(shim).splitlines()) == [b"err", b"out"]
    assert watched.has_ended() and not shim.state_dir.exists()


async def test_init_waits_for_start(made: Containers) -> None:
    """Before start the container is there, but its program has not run."""
    shim = await made.create("sh", "-c", "echo ran")
    assert not shim.started and not (await Shim.reconnect(shim.state_dir)).started
    assert logged(shim) == b"" and read_exit(shim.bundle) is None
    await shim.start()
    assert (await shim.wait()).code == 0 and logged(shim) == b"ran\n"


async def test_a_missing_program(made: Containers) -> None:
    """The runtime's error comes back with its class, and the container has never been."""
    with pytest.raises(ProgramNotFound, match="no-such-program"):
        await made.create("no-such-program")
    assert is_gone(made.requests[0].state_dir) and read_exit(Path(made.requests[0].bundle)) is None


async def test_a_program_that_the_kernel_refuses(made: Containers) -> None:
    """When exec itself fails, start says why, and so does the exit status on disk."""
    request = made.request("/bin/garbage")
    garbage(Path(request.bundle) / "rootfs/bin/garbage")
    shim = await made.launcher.launch(request)
    with pytest.raises(CannotRun, match="exec format error") as caught:
        await shim.start()
    how = await shim.wait()
    assert (how.code, how.started_ns, how.error) == (caught.value.exit_code, 0, str(caught.value))


async def test_a_container_that_cannot_be_created(made: Containers) -> None:
    """The runtime's error comes back with its class; nothing is left, and the same name can be used at once."""

    def change(spec: dict[str, Any]) -> None:
        spec["mounts"].append({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]})

    request = made.request("true", change=change)
    with pytest.raises(MinidockError, match="/no/such"):
        await made.launcher.launch(request)
    assert is_gone(request.state_dir)


async def test_a_name_that_is_taken(made: Containers) -> None:
    """A second container in the same state directory is refused, and the first one goes on."""
    shim = await made.start("sleep", "1000")
    with pytest.raises(Conflict):
        await made.launcher.launch(made.requests[0])
    await shim.kill(signal.SIGKILL)
    assert (await shim.wait()).code == 137


async def test_start_twice(made: Containers) -> None:
    """A second start is refused, and does no harm."""
    shim = await made.start("sleep", "1000")
    with pytest.raises(Conflict):
        await shim.start()
    await shim.kill(signal.SIGKILL)
    assert (await shim.wait()).error == ""


async def test_a_container_again(made: Containers) -> None:
    """A container that has ended can be launched again at once: its old status is gone, its log goes on."""
    first = await made.start("sh", "-c", "echo once; exit 1")
    assert (await first.wait()).code == 1
    again = await made.launcher.launch(made.requests[0])
    assert read_exit(again.bundle) is None
    await again.start()
    assert (await again.wait()).code == 1
    assert logged(again) == b"once\nonce\n"


async def test_a_container_that_nobody_started_ends_with_its_daemon(made: Containers) -> None:
    """Created, and then the last control connection is closed: init, state and shim go away by themselves."""
    shim = await made.create("sleep", "1000")
    init, keeper = Watched(shim.init_pid), Watched(parent_of(shim.init_pid))
    await shim.close()
    assert init.has_ended() and keeper.has_ended()
    assert not shim.state_dir.exists() and read_exit(shim.bundle) is None


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_signals(made: Containers) -> None:
    """A program that handles a signal says its own code; one that is killed has 128 plus the signal."""
    shim = await made.create("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    reader, _ = await shim.attach(False, True, True)
    await shim.start()
    await reader.readuntil(b"ready\n")
    await shim.kill(signal.SIGTERM)
    assert (await shim.wait()).code == 5
    killed = await made.start("sleep", "1000")
    await killed.kill(signal.SIGKILL, everyone=True)
    assert (await killed.wait()).code == 137
    with pytest.raises(MinidockError):
        await killed.kill(signal.SIGKILL)


async def test_out_of_memory_is_noticed(made: Containers) -> None:
    """When the kernel kills the program for want of memory, the exit status says so."""

    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}

    shim = await made.start("dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1", change=change)
    how = await shim.wait()
    assert (how.code, how.oom_killed) == (137, True)


async def test_everybody_who_waits_is_told(made: Containers) -> None:
    """Several waiters, on several connections, in any order, all get the same answer."""
    shim = await made.start("sleep", "1000")
    other = await Shim.reconnect(shim.state_dir)
    assert other.started and other.init_pid == shim.init_pid
    waiters = [asyncio.create_task(one.wait()) for one in (shim, other, shim, other)]
    await shim.kill(signal.SIGKILL)
    assert len({await waiter for waiter in waiters}) == 1
    assert await other.wait() == await shim.wait()


async def test_without_a_pid_namespace_the_rest_ends_with_init(made: Containers) -> None:
    """No pid namespace to end with init: what it left behind is killed, so its output ends and nobody waits long."""

    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["namespaces"] = [it for it in spec["linux"]["namespaces"] if it["type"] != "pid"]

    shim = await made.create("sh", "-c", "sleep 1000 & echo $!; read x", change=change, open_stdin=True)
    reader, writer = await shim.attach(True, True, False)
    await shim.start()
    left = Watched(int((await reader.readuntil(b"\n"))[8:]))
    writer.write(b"\n")
    assert (await asyncio.wait_for(shim.wait(), GRACE)).code == 0
    assert left.has_ended()


async def test_a_client_that_does_not_read_cannot_hold_the_end(made: Containers) -> None:
    """The log is complete and the status known, while an attached client has still its megabytes to read."""
    shim = await made.create("sh", "-c", "head -c 1100000 /dev/zero; echo; echo end; exit 4")
    reader, writer = await shim.attach(False, True, True)
    await shim.start()
    assert (await shim.wait()).code == 4
    assert logged(shim).endswith(b"\nend\n")
    assert sum(len(data) for _, data in await frames(reader)) == 1100005
    writer.close()


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_attached_before_start_nothing_is_missed(made: Containers) -> None:
    """Who attaches before the start gets the first byte, and the end."""
    shim = await made.create("sh", "-c", "echo one; echo two >&2")
    reader, _ = await shim.attach(False, True, True)
    await shim.start()
    assert sorted(await frames(reader)) == [(STDOUT, b"one\n"), (STDERR, b"two\n")]


async def test_input_to_its_end(made: Containers) -> None:
    """What is written arrives; write_eof ends the program's input, and its output still comes."""
    shim = await made.create("cat", open_stdin=True, stdin_once=True)
    reader, writer = await shim.attach(True, True, True)
    await shim.start()
    writer.write(b"hello\n")
    writer.write_eof()
    assert await frames(reader) == [(STDOUT, b"hello\n")]
    assert (await shim.wait()).code == 0


async def test_without_open_stdin_there_is_none(made: Containers) -> None:
    """The program reads the end of /dev/null at once."""
    shim = await made.start("cat")
    assert (await shim.wait()).code == 0


async def test_open_stdin_outlives_its_clients(made: Containers) -> None:
    """Without stdin_once the input stays open, whatever clients do."""
    shim = await made.start("cat", open_stdin=True)
    for word in (b"one\n", b"two\n"):
        reader, writer = await shim.attach(True, True, True)
        writer.write(word)
        assert (await reader.readuntil(b"\n")).endswith(word)
        writer.write_eof()
        writer.close()
    assert read_exit(shim.bundle) is None
    assert logged(shim) == b"one\ntwo\n"


async def test_a_terminal(made: Containers) -> None:
    """Raw bytes, a size that can be changed, and ^C is a signal."""
    script = "trap 'exit 42' INT; tty; read x; stty size; while :; do sleep 0.05; done"
    shim = await made.create("sh", "-c", script, terminal=True, open_stdin=True)
    reader, writer = await shim.attach(True, True, True)
    await shim.start()
    assert await reader.readuntil(b"\r\n") == b"/dev/pts/0\r\n"
    await shim.resize(33, 77)
    writer.write(b"x\n")
    assert (await reader.readuntil(b"77\r\n")).endswith(b"33 77\r\n")
    writer.write(b"\x03")
    assert (await shim.wait()).code == 42
    assert b"33 77\r\n" in logged(shim)


async def test_a_program_gets_three_descriptors_and_no_signal_settings(made: Containers) -> None:
    """Python ignores SIGPIPE and opens much; a container's program, and an exec, see nothing of that."""
    shim = await made.start("sh", "-c", "ls /proc/1/fd; exec sleep 1000")
    execution = await shim.execute("e", process("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"), BOTH)
    assert await frames(execution.reader) == [(STDOUT, b"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")]
    execution = await shim.execute("f", process("ls", "/proc/self/fd"), BOTH)
    assert await frames(execution.reader) == [(STDOUT, b"0\n1\n2\n3\n")], "3 is the directory that ls reads"
    assert logged(shim) == b"0\n1\n2\n"
    direct = await made.start("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    await direct.wait()
    assert logged(direct) == b"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"


# --- execs ------------------------------------------------------------------------------------------------------------


async def test_execs_at_once(made: Containers) -> None:
    """Several programs join the container; each has its own streams and its own code."""
    shim = await made.start("sleep", "1000")

    async def one(number: int) -> None:
        script = f"read x; echo $x {number}; exit {number}"
        execution = await shim.execute(f"e{number}", process("sh", "-c", script), ALL)
        execution.writer.write(b"hello\n")
        assert await frames(execution.reader) == [(STDOUT, b"hello %d\n" % number)]
        assert await shim.wait_exec(f"e{number}") == number

    await asyncio.gather(*(one(number) for number in range(1, 7)))
    assert logged(shim) == b"", "what execs say is not in the container's log"


async def test_exec_of_a_missing_program(made: Containers) -> None:
    """The error comes back, no exec is left, and the container goes on."""
    shim = await made.start("sleep", "1000")
    with pytest.raises(ProgramNotFound):
        await shim.execute("e", process("no-such-program"), BOTH)
    with pytest.raises(NoSuchExec):
        await shim.wait_exec("e")
    assert (await shim.execute("e", process("true"), NONE)).pid > 0
    assert await shim.wait_exec("e") == 0


async def test_exec_with_a_terminal(made: Containers) -> None:
    """An exec may have a terminal of its own, with its own size."""
    shim = await made.start("sleep", "1000")
    execution = await shim.execute("e", process("sh", "-c", "read x; stty size", terminal=True), ALL)
    await shim.resize(11, 22, "e")
    execution.writer.write(b"\n")
    assert b"11 22\r\n" in await execution.reader.read()
    with pytest.raises(Conflict):
        await shim.resize(1, 1)


async def test_an_exec_that_leaves_somebody_behind_ends(made: Containers) -> None:
    """A child that holds the exec's output open delays its end by the grace period only, and is not harmed."""
    shim = await made.start("sleep", "1000")
    script = "(sleep 1000; echo) & echo $!"
    execution = await shim.execute("e", process("sh", "-c", script), BOTH)
    ((_, number),) = await asyncio.wait_for(frames(execution.reader), GRACE + 20)
    assert await shim.wait_exec("e") == 0
    assert await (await shim.execute("f", process("kill", "-0", number.decode().strip()), NONE)).reader.read() == b""
    assert await shim.wait_exec("f") == 0


async def test_execs_end_with_the_container(made: Containers) -> None:
    """When init ends, every exec has ended: with the signal that the kernel sent it."""
    shim = await made.start("sleep", "1000")
    execution = await shim.execute("e", process("sleep", "1000"), BOTH)
    waiting = asyncio.create_task(shim.wait_exec("e"))
    await asyncio.sleep(0)
    await shim.kill(signal.SIGKILL)
    assert await waiting == 137
    assert await execution.reader.read() == b""
    assert (await shim.wait()).code == 137


async def test_aborted_attaches_and_execs_leave_nothing(made: Containers) -> None:
    """Two hundred clients that go away at once: the shim has as many descriptors as before."""
    shim = await made.start("sleep", "1000", open_stdin=True)
    keeper = parent_of(shim.init_pid)
    await shim.execute("first", process("true"), ALL)
    await shim.wait_exec("first")
    before = descriptors(keeper)
    for number in range(180):
        _, writer = await shim.attach(number % 2 == 0, True, True)
        writer.close()
    for number in range(20):
        execution = await shim.execute(f"e{number}", process("cat", terminal=number % 4 == 0), ALL)
        execution.writer.close()
        if number % 4 == 0:  # a terminal does not end with its client: end the program
            os.kill(execution.pid, signal.SIGKILL)
        await shim.wait_exec(f"e{number}")
    assert descriptors(keeper) <= before


# --- the launcher -----------------------------------------------------------------------------------------------------


async def test_a_dead_launcher_is_replaced(made: Containers) -> None:
    """Somebody kills the launcher: its containers go on, and the next one comes from a new launcher."""
    first = await made.start("sleep", "1000")
    os.kill(made.launcher.pid, signal.SIGKILL)
    assert Watched(made.launcher.pid).has_ended()
    second = await made.start("true")
    assert (await second.wait()).code == 0
    await first.kill(signal.SIGKILL)
    assert (await first.wait()).code == 137


async def test_the_launcher_ends_and_shims_live_on(made: Containers) -> None:
    """Closing the launcher ends it, leaves no zombie, and stops no container."""
    shim = await made.start("sleep", "1000")
    launcher = await Launcher.spawn()
    pid = launcher.pid
    await launcher.close()
    assert is_gone(f"/proc/{pid}")
    await made.launcher.close()
    assert await shim.execute("e", process("true"), NONE)
    await shim.kill(signal.SIGKILL)
    assert (await shim.wait()).code == 137


async def test_a_container_loads_nothing(made: Containers, tmp_path: Path) -> None:
    """Module or table: the launcher has it, and so has every fork of it. strace sees none of our files opened."""
    assert (await (await made.start("true")).wait()).code == 0  # a launcher that forks has loaded what it will
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,execve", "-o", str(trace)]
    tracer = await asyncio.create_subprocess_exec(*strace, "-p", str(made.launcher.pid))
    while not traced_by(tracer.pid, made.launcher.pid):  # noqa: ASYNC110  # strace tells nobody
        await asyncio.sleep(0.01)
    shim = await made.start("true", change=with_a_filter)
    assert (await shim.wait()).code == 0
    tracer.terminate()
    await tracer.wait()
    calls = trace.read_text().splitlines()
    assert any("execve" in call for call in calls)
    assert [call for call in calls if str(Path(minidock.__file__).parent) in call] == []


def traced_by(tracer: int, pid: int) -> bool:
    """Is the one already looking at the other?"""
    return f"TracerPid:\t{tracer}\n" in Path(f"/proc/{pid}/status").read_text()


def with_a_filter(spec: dict[str, Any]) -> None:
    """A seccomp filter, which needs the numbers of system calls."""
    spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }


async def test_a_shim_that_is_not_there(tmp_path: Path) -> None:
    """Reconnecting to nobody says so."""
    with pytest.raises(ShimGone):
        await Shim.reconnect(tmp_path)
