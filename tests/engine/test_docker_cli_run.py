"""Docker's own command line against minidockd: run, and what follows from it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests import cgroup_tree
from tests.engine.harness import Daemon, wait_for
from tests.peers import CLIENT_VERSION

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("sh", "-c", "exit 42"), 42, ""),
        (("nosuchprogram",), 127, "executable file not found"),
        (("/etc",), 126, "is a directory"),
        (("/etc/passwd",), 126, "permission denied"),
        (("/no/such/program",), 127, "no such file or directory"),
        (("sh", "-c", "sh -c 'kill -9 $$'; exit $?"), 137, ""),
    ],
)
def test_run_ends_with_the_program_s_code(daemon: Daemon, arguments: tuple[str, ...], code: int, text: str) -> None:
    """The program's own code, or 126 and 127 as a shell would; and with --rm nothing stays, whatever happened."""
    if text == "is a directory" and CLIENT_VERSION < 23:
        code = 125  # the client derives the code from the message, and did not know this one then
    done = daemon.docker("run", "--rm", "tiny", *arguments)
    assert (done.returncode, text in done.stderr) == (code, True), done
    assert daemon.ok("ps", "-aq") == ""


def test_what_the_engine_refuses_is_125(daemon: Daemon) -> None:
    """An error before the program is the engine's: 125."""
    assert daemon.docker("run", "--rm", "-m", "1m", "tiny", "true").returncode == 125
    assert daemon.docker("run", "--pull=never", "nosuchimage").returncode == 125


def test_output_goes_where_the_program_sent_it(daemon: Daemon) -> None:
    """stdout and stderr arrive apart, in full."""
    done = daemon.docker("run", "--rm", "tiny", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_much_output_arrives_whole(daemon: Daemon) -> None:
    """Eight megabytes through run: not a byte is missing, neither here nor in the log."""
    script = "head -c 8000000 /dev/zero | tr '\\0' x"
    assert len(daemon.docker("run", "--name", "much", "tiny", "sh", "-c", script).stdout) == 8_000_000
    assert len(daemon.docker("logs", "much").stdout) == 8_000_000


def test_stdin_is_a_pipe_with_an_end(daemon: Daemon) -> None:
    """``-i`` passes what comes in, and its end."""
    data = bytes(range(97, 123)) * 40_000
    done = daemon.docker("run", "--rm", "-i", "tiny", "wc", "-c", input=data)
    assert done.stdout.strip() == str(len(data))


def test_without_i_there_is_no_input(daemon: Daemon) -> None:
    """The program reads the end of its input at once; the client's own input is not eaten."""
    assert daemon.docker("run", "--rm", "tiny", "cat", input=b"not for you").stdout == ""


def test_the_container_is_a_world_of_its_own(daemon: Daemon) -> None:
    """Its own pids, host name and root; no way to the host's."""
    script = "echo $$; hostname; ls /; id -u"
    lines = daemon.ok("run", "--rm", "--hostname", "box", "tiny", "sh", "-c", script).splitlines()
    assert lines[:2] == ["1", "box"] and lines[-1] == "0"
    assert "work" not in lines and "etc" in lines


def test_the_kernel_sees_dockers_defaults(daemon: Daemon) -> None:
    """14 capabilities, none inheritable, a seccomp filter, /proc/sys read-only, kcore masked."""
    status = daemon.ok("run", "--rm", "tiny", "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["CapEff"], fields["CapInh"], fields["Seccomp"]) == ("00000000a80425fb", "0" * 16, "2")
    script = "head -c 1 /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic; mount -t tmpfs x /mnt"
    done = daemon.docker("run", "--rm", "tiny", "sh", "-c", script)
    assert done.stdout.strip() == "0" and "Read-only" in done.stderr and done.returncode != 0


def test_options_reach_the_program(daemon: Daemon, tmp_path: Path) -> None:
    """Environment, working directory, user, groups, limits, entrypoint."""
    environment = tmp_path / "env"
    environment.write_text("FROM_FILE=yes\n")
    out = daemon.ok(
        "run", "--rm", "-e", "A=1", "--env-file", str(environment), "-w", "/tmp", "-u", "1234:5678", "--ulimit",
        "nofile=77:88", "tiny", "sh", "-c", "echo $A $FROM_FILE $PWD $(id -u):$(id -g) $(ulimit -n) $HOSTNAME $PATH",
    )  # fmt: skip
    words = out.split()
    assert words[:5] == ["1", "yes", "/tmp", "1234:5678", "77"] and len(words[5]) == 12
    assert words[6] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert daemon.ok("run", "--rm", "--entrypoint", "echo", "tiny", "a", "b") == "a b"


def test_binds_tmpfs_and_read_only(daemon: Daemon, tmp_path: Path) -> None:
    """Writable and read-only binds, a tmpfs with its options, a read-only root."""
    (tmp_path / "in").write_text("hello")
    script = "cat /rw/in; echo made > /rw/made; echo x > /ro/x; echo x > /x; grep ' /fast ' /proc/mounts; touch /fast/y"
    done = daemon.docker(
        "run", "--rm", "--read-only", "-v", f"{tmp_path}:/rw", "-v", f"{tmp_path}:/ro:ro", "--tmpfs",
        "/fast:size=1m,mode=1777", "tiny", "sh", "-c", script,
    )  # fmt: skip
    assert done.stdout.startswith("hello") and "size=1024k" in done.stdout and "noexec" in done.stdout
    assert (tmp_path / "made").read_text() == "made\n" and done.stderr.count("Read-only file system") == 2


def test_a_bind_source_is_made_by_v_and_missed_by_mount(daemon: Daemon, tmp_path: Path) -> None:
    """``-v`` makes the directory; ``--mount`` says that it is not there."""
    daemon.ok("run", "--rm", "-v", f"{tmp_path}/new:/x", "tiny", "touch", "/x/y")
    assert (tmp_path / "new/y").exists()
    done = daemon.docker("run", "--rm", "--mount", f"type=bind,source={tmp_path}/missing,target=/x", "tiny", "true")
    assert done.returncode == 125 and "bind source path does not exist" in done.stderr


def test_limits_are_the_kernel_s(daemon: Daemon) -> None:
    """Memory, processes: what the container may have is what its cgroup says; too much is killed, and told."""
    container = daemon.ok("run", "-d", "-m", "32m", "--pids-limit", "20", "--cpus", "0.5", "tiny", "sleep", "1000")
    assert daemon.inspect(container)["HostConfig"]["Memory"] == 32 * 1024 * 1024
    groups = [path for path in cgroup_tree.directories() if path.name == container]
    files = [group / name for group in groups for name in ("memory.limit_in_bytes", "memory.max")]
    limits = [file.read_text().strip() for file in files if file.exists()]
    assert limits == [str(32 * 1024 * 1024)]
    eaten = daemon.docker(
        "run", "--name", "eater", "-m", "16m", "tiny", "sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' x)"
    )
    assert eaten.returncode == 137 and daemon.inspect("eater")["State"]["OOMKilled"]


def test_capabilities_can_be_added_and_dropped(daemon: Daemon) -> None:
    """--cap-add and --cap-drop with and without CAP_, ALL, and --privileged."""

    def effective(*options: str) -> int:
        out = daemon.ok("run", "--rm", *options, "tiny", "grep", "CapEff", "/proc/self/status")
        return int(out.split()[1], 16)

    assert effective("--cap-drop", "ALL") == 0
    assert effective("--cap-drop", "ALL", "--cap-add", "NET_ADMIN") == 1 << 12
    assert effective("--cap-add", "CAP_SYS_TIME") == 0xA80425FB | 1 << 25
    assert effective("--privileged") > 0xFFFFFFFF


def test_networks(daemon: Daemon) -> None:
    """The bridge gives an address and a way out; none gives lo alone; host is the host's."""
    out = daemon.ok("run", "--rm", "tiny", "sh", "-c", "ip -o -4 addr show eth0; cat /etc/hosts; ip route")
    address = re.search(r"inet (10\.213\.\d+\.\d+)/16", out)
    assert address and f"{address[1]}\t" in out and "default via 10.213.0.1" in out
    assert daemon.ok("run", "--rm", "--network", "none", "tiny", "sh", "-c", "ls /sys/class/net") == "lo"
    assert "minidocktest0" in daemon.ok("run", "--rm", "--network", "host", "tiny", "cat", "/proc/net/dev")
    done = daemon.docker("run", "--rm", "--network", "nosuch", "tiny", "true")
    assert done.returncode == 125 and "network nosuch not found" in done.stderr


def test_two_containers_talk_over_the_bridge(daemon: Daemon) -> None:
    """One pings the other by its address."""
    container = daemon.ok("run", "-d", "tiny", "sleep", "1000")
    address = daemon.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", container)
    assert "1 packets received" in daemon.ok("run", "--rm", "tiny", "ping", "-c", "1", "-W", "5", address)


def test_detached_ps_logs_stop_wait_rm(daemon: Daemon) -> None:
    """The everyday commands, in the order of a day."""
    container = daemon.ok(
        "run",
        "-d",
        "--name",
        "day",
        "tiny",
        "sh",
        "-c",
        "trap 'echo bye; exit 5' TERM; echo hi; while :; do sleep 0.1; done",
    )
    assert len(container) == 64
    line = daemon.ok("ps", "--format", "{{.ID}} {{.Image}} {{.Command}} {{.Status}} {{.Names}}", "--no-trunc")
    assert line.startswith(f"{container} tiny ") and "Up " in line and line.endswith(" day")
    wait_for(lambda: "hi" in daemon.ok("logs", "day"), "its first line")
    before = time.monotonic()
    assert daemon.ok("stop", "day") == "day" and time.monotonic() - before < 5
    assert daemon.ok("wait", "day") == "5" and daemon.ok("logs", "day") == "hi\nbye"
    assert "Exited (5)" in daemon.ok("ps", "-a", "--format", "{{.Status}}")
    assert daemon.ok("rm", "day") == "day" and daemon.ok("ps", "-aq") == ""


def test_stop_kills_after_its_time(daemon: Daemon) -> None:
    """A program that ignores the signal is killed after -t seconds: 137."""
    daemon.ok("run", "-d", "--name", "deaf", "tiny", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    before = time.monotonic()
    daemon.ok("stop", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - before < 6
    assert daemon.inspect("deaf")["State"]["ExitCode"] == 137


def test_init_reaps_and_passes_signals_on(daemon: Daemon) -> None:
    """``--init``: stop is fast, the code is the signal's, and no zombies pile up."""
    container = daemon.ok("run", "-d", "--init", "tiny", "sleep", "1000")
    daemon.ok("exec", container, "sh", "-c", "(sleep 0 &) ; true")
    wait_for(lambda: " Z" not in daemon.ok("exec", container, "ps", "-o", "pid,stat"), "zombies to be reaped")
    before = time.monotonic()
    daemon.ok("stop", container)
    assert time.monotonic() - before < 2 and daemon.ok("wait", container) == "143"


def test_stop_signal_and_kill(daemon: Daemon) -> None:
    """--stop-signal is what stop sends; kill sends what it is told."""
    script = "trap 'echo usr1; exit 9' USR1; while :; do sleep 0.05; done"
    first = daemon.ok("run", "-d", "--stop-signal", "USR1", "tiny", "sh", "-c", f"echo up; {script}")
    wait_for(lambda: "up" in daemon.ok("logs", first), "the trap")
    daemon.ok("stop", first)
    assert daemon.ok("wait", first) == "9"
    second = daemon.ok("run", "-d", "tiny", "sleep", "1000")
    daemon.ok("kill", second)
    assert daemon.ok("wait", second) == "137"
    assert "is not running" in daemon.docker("kill", second).stderr


def test_start_restart_and_attach_again(daemon: Daemon) -> None:
    """A stopped container starts again, with its files and a longer log."""
    daemon.ok("run", "--name", "again", "tiny", "sh", "-c", "echo run >> /count; cat /count")
    assert daemon.ok("start", "-a", "again") == "run\nrun"
    assert daemon.ok("logs", "again") == "run\nrun\nrun"
    daemon.ok("run", "-d", "--name", "long", "tiny", "sleep", "1000")
    pid = daemon.inspect("long")["State"]["Pid"]
    daemon.ok("restart", "-t", "0", "long")
    assert daemon.inspect("long")["State"]["Running"] and daemon.inspect("long")["State"]["Pid"] != pid


def test_logs_follow_tail_since_and_times(daemon: Daemon) -> None:
    """-f ends with the container; --tail, -t and --since choose."""
    container = daemon.ok("run", "-d", "tiny", "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done")
    assert daemon.ok("logs", "-f", container) == "\n".join(f"line {i}" for i in range(1, 6))
    assert daemon.ok("logs", "--tail", "2", container) == "line 4\nline 5"
    stamped = daemon.ok("logs", "-t", "--tail", "1", container)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 5", stamped)
    assert daemon.ok("logs", "--since", stamped.split()[0], container) == "line 5"
    assert daemon.ok("logs", "--until", "2020-01-01", container) == ""


def test_exec(daemon: Daemon) -> None:
    """Another program in the container: its output, its code, its user and directory; and what is missing."""
    container = daemon.ok("run", "-d", "-e", "A=outer", "tiny", "sleep", "1000")
    assert (
        daemon.ok("exec", "-e", "B=inner", "-w", "/tmp", "-u", "7", container, "sh", "-c", "echo $A $B $PWD $(id -u)")
        == "outer inner /tmp 7"
    )
    assert daemon.docker("exec", container, "sh", "-c", "exit 3").returncode == 3
    assert daemon.docker("exec", "-i", container, "cat", input=b"through").stdout == "through"
    missing = daemon.docker("exec", container, "nosuchprogram")
    assert missing.returncode == 127 and "executable file not found" in missing.stdout + missing.stderr
    assert daemon.docker("exec", container, "/etc/passwd").returncode == 126
    daemon.ok("exec", "-d", container, "sh", "-c", "echo made > /made")
    wait_for(lambda: daemon.docker("exec", container, "cat", "/made").stdout == "made\n", "the detached exec")
    daemon.ok("kill", container)
    assert daemon.docker("exec", container, "true").returncode == 1


def test_pause_top_and_rename(daemon: Daemon) -> None:
    """A paused container stands still and shows it; top lists its processes; another name is another name."""
    container = daemon.ok("run", "-d", "--name", "first", "tiny", "sleep", "1000")
    daemon.ok("pause", "first")
    assert "(Paused)" in daemon.ok("ps", "--format", "{{.Status}}")
    daemon.ok("unpause", "first")
    assert "sleep 1000" in daemon.ok("top", "first")
    daemon.ok("rename", "first", "second")
    assert daemon.ok("inspect", "-f", "{{.Id}} {{.Name}}", "second") == f"{container} /second"


def test_an_image_s_volume_starts_with_the_image_s_files(daemon: Daemon) -> None:
    """An anonymous volume holds what the image has there, survives a restart, and goes with the container."""
    daemon.ok(
        "run",
        "--name",
        "vol",
        "-v",
        "/etc",
        "tiny",
        "sh",
        "-c",
        "cat /etc/passwd; echo x >> /etc/added; wc -l < /etc/added",
    )
    assert "root" in daemon.ok("logs", "vol")
    assert daemon.ok("start", "-a", "vol").endswith("2")


def test_inspect_info_version(daemon: Daemon) -> None:
    """The three that people put into bug reports."""
    container = daemon.ok("run", "-d", "tiny", "sleep", "1000")
    seen = json.loads(daemon.ok("inspect", container))[0]
    assert seen["State"]["Running"] and seen["Path"] == "sleep" and seen["HostConfig"]["NetworkMode"] == "bridge"
    assert seen["Image"] == json.loads(daemon.ok("inspect", "tiny"))[0]["Id"]
    assert "Running: 1" in daemon.ok("info") and "Server:" in daemon.ok("version")
    assert json.loads(daemon.ok("network", "inspect", "bridge"))[0]["Containers"][container]["IPv4Address"]


def test_images_tag_and_rmi(daemon: Daemon) -> None:
    """An image in use is not removed; with -f only its name goes, and the container goes on."""
    daemon.ok("tag", "tiny", "other:1")
    assert daemon.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "other") == "other:1"
    assert "Untagged: other:1" in daemon.ok("rmi", "other:1")
    identity = daemon.ok("run", "-d", "tiny", "sleep", "1000")
    done = daemon.docker("rmi", "tiny")
    assert done.returncode == 1 and "must force" in done.stderr and identity[:12] in done.stderr
    assert "No such image" in daemon.docker("rmi", "nosuch").stderr


def test_import_with_changes(daemon: Daemon) -> None:
    """``import --change`` gives the image its command and environment."""
    from tests.engine.harness import tiny_archive

    daemon.ok(
        "import",
        "-c",
        'CMD ["sh", "-c", "echo $GREETING"]',
        "-c",
        "ENV GREETING=hi",
        "-",
        "greeter:1",
        input=tiny_archive(),
    )
    assert daemon.ok("run", "--rm", "greeter:1") == "hi"
    assert daemon.docker("import", "-", "broken", input=b"this is no archive").returncode != 0
    daemon.ok("rmi", "greeter:1")
