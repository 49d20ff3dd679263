"""The runtime on the real kernel: create, start, execute, kill, state, delete, and that nothing is left behind."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from minidock.containers import runtime
from minidock.errors import (
    Conflict,
    InvalidInput,
    InvalidSpec,
    MinidockError,
    NoSuchContainer,
    ProgramNotExecutable,
    ProgramNotFound,
    SystemCallFailed,
)
from minidock.kernel import cgroups, pty, syscalls
from minidock.kernel.syscalls.seam import number
from minidock.oci import runtime as oci
from tests.kernel.inside import inside
from tests.runtimes import Container, Outcome, children, read_line

pytestmark = pytest.mark.root


def open_files() -> list[str]:
    """This process's descriptors (one of them is this look itself)."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def namespaces(pid: int | str, *names: str) -> list[str]:
    """The namespaces that a process is in."""
    return [str(Path(f"/proc/{pid}/ns/{name}").readlink()) for name in names]


def left_behind(container: Container) -> list[str]:
    """What a container that is gone must not have left: a state directory, a cgroup, a mount, a child."""
    left = [str(path) for path in container.state_dir.parent.glob("*")]
    left += [f"cgroup {container.id}"] if cgroups.at(f"/minidock-{container.id}").exists else []
    mountinfo = Path("/proc/self/mountinfo").read_text()
    left += [line for line in mountinfo.splitlines() if str(container.directory) in line]
    left += [f"child {pid}" for pid in children() - container.children_before]
    return left


def test_a_program_runs_and_its_output_and_exit_code_come_back(tmp_path: Path) -> None:
    """The main thing: a bundle becomes a process, and nothing is left when it has ended."""
    container = Container(tmp_path, "sh", "-c", "echo hello from $(hostname) as $$; exit 3")
    assert container.run() == (3, "hello from testhost as 1\n")
    assert left_behind(container) == []


def test_the_states_of_a_life(tmp_path: Path) -> None:
    """created, running, stopped, gone; start only from created, kill and exec only while it lives."""
    with Container(tmp_path, "sleep", "100") as container:
        directory = container.create().state_dir
        assert runtime.state(directory).status == "created"
        assert runtime.state(directory).pid == container.pid
        with pytest.raises(Conflict, match="not running"):
            container.execute("true")
        container.start()
        assert runtime.state(directory).status == "running"
        with pytest.raises(Conflict, match="cannot start"):
            runtime.start(directory)
        with pytest.raises(Conflict, match="not stopped"):
            runtime.delete(directory)
        with pytest.raises(Conflict, match="taken"):
            runtime.create(container.bundle, directory, container.id)
        assert container.stop() == 137
        assert runtime.state(directory).status == "stopped"
        assert runtime.state(directory).pid == 0
        for refused in (lambda: runtime.kill(directory, 9), lambda: container.execute("true")):
            with pytest.raises(Conflict, match="not running"):
                refused()
        runtime.delete(directory)
        with pytest.raises(NoSuchContainer):
            runtime.state(directory)
        assert left_behind(container) == []


def test_the_program_does_not_run_before_start(tmp_path: Path) -> None:
    """create takes every step but the last, and later edits of config.json have no effect."""
    with Container(tmp_path, "touch", "/ran") as container:
        container.create()
        container.spec["process"]["args"] = ["touch", "/other"]
        (container.bundle / "config.json").write_text(json.dumps(container.spec))
        assert not (container.rootfs / "ran").exists()
        container.start()
        syscalls.wait_for(container.pid)
        assert (container.rootfs / "ran").exists()
        assert not (container.rootfs / "other").exists()


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        ("nosuch", ProgramNotFound, 'exec: "nosuch": executable file not found in $PATH'),
        ("/no/such", ProgramNotFound, 'exec: "/no/such": no such file or directory'),
        ("/etc", ProgramNotExecutable, 'exec: "/etc": is a directory'),
        ("/etc/passwd", ProgramNotExecutable, 'exec: "/etc/passwd": permission denied'),
        ("/etc/script", ProgramNotFound, 'exec: "/etc/script": no such file or directory'),
        ("/etc/rubbish", ProgramNotExecutable, 'exec: "/etc/rubbish": exec format error'),
    ],
)
def test_a_program_that_cannot_be_run(tmp_path: Path, program: str, kind: type[MinidockError], message: str) -> None:
    """Docker's client makes 127 and 126 of these words; and nothing is left behind."""
    container = Container(tmp_path, program)
    for name, text in (("script", "#!/no/interpreter\n"), ("rubbish", "\x7fnot a program")):
        (container.rootfs / "etc" / name).write_text(text)
        (container.rootfs / "etc" / name).chmod(0o755)
    with pytest.raises(kind) as caught:
        container.run()
    assert str(caught.value) == message
    assert left_behind(container) == []


def broken_mount(spec: dict[str, Any]) -> None:
    spec["mounts"].append({"destination": "/x", "type": "nosuchfs", "source": "x"})


def broken_bind(spec: dict[str, Any]) -> None:
    spec["mounts"].append({"destination": "/x", "type": "bind", "source": "/no/such/file"})


def broken_namespace(spec: dict[str, Any]) -> None:
    spec["linux"]["namespaces"][4] = {"type": "network", "path": "/proc/self/ns/uts"}


def broken_sysctl(spec: dict[str, Any]) -> None:
    spec["linux"]["sysctl"] = {"net.no.such": "1"}


def broken_user(spec: dict[str, Any]) -> None:
    spec["process"]["user"] = {"uid": 0, "gid": 0, "username": "nobody"}


def broken_directory(spec: dict[str, Any]) -> None:
    spec["process"]["cwd"] = "/etc/passwd"


def broken_capability(spec: dict[str, Any]) -> None:
    spec["process"]["capabilities"] = {"bounding": ["CAP_FLY"]}


def broken_root(spec: dict[str, Any]) -> None:
    spec["root"]["path"] = "nosuch"


def broken_hook(spec: dict[str, Any]) -> None:
    spec["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (broken_mount, SystemCallFailed, "No such device"),
        (broken_bind, InvalidSpec, "bind source path does not exist: /no/such/file"),
        (broken_namespace, InvalidSpec, "network is wanted"),
        (broken_sysctl, SystemCallFailed, "net/no/such"),
        (broken_user, InvalidInput, "unable to find user nobody"),
        (broken_directory, InvalidSpec, "not a directory"),
        (broken_capability, InvalidSpec, "unknown capability CAP_FLY"),
        (broken_root, InvalidSpec, "no such directory"),
        (broken_hook, MinidockError, "createRuntime hook /bin/false: exit code 1"),
    ],
)
def test_an_error_in_create_leaves_nothing(tmp_path: Path, spoil: Any, kind: type[MinidockError], message: str) -> None:
    """runtime-spec: after an error everything is as if nothing had been tried."""
    container = Container(tmp_path, "true")
    spoil(container.spec)
    descriptors = open_files()
    with pytest.raises(kind, match=message), container:
        container.create()
    assert left_behind(container) == []
    assert open_files() == descriptors


def test_no_descriptor_is_lost(tmp_path: Path) -> None:
    """After a whole life, with an exec in it, the runtime has as many files open as before."""
    before = len(open_files())
    with Container(tmp_path, "sleep", "100") as container:
        container.create().start()
        container.execute("true")
        with pytest.raises(ProgramNotFound):
            container.execute("nosuch")
        container.stop()
    assert len(open_files()) == before


def test_a_program_sees_only_its_own_world(tmp_path: Path) -> None:
    """Its processes, its root, its network devices, its name; three open files and no more."""
    script = "echo /proc/[0-9]*; ls /; ip link | grep -c '^[0-9]'; hostname; ls /proc/self/fd"
    _, output = Container(tmp_path, "sh", "-c", script).run()
    # ls itself holds a fourth file: the directory that it lists.
    expected = "/proc/1\nbin\ndev\netc\nhome\nproc\nroot\nsys\ntmp\nvar\n1\ntesthost\n0\n1\n2\n3\n"
    assert output == expected


def test_loopback_is_up(tmp_path: Path) -> None:
    """127.0.0.1 answers in a new network namespace."""
    _, output = Container(tmp_path, "ip", "addr", "show", "lo").run()
    assert "127.0.0.1/8" in output and "UP" in output


def test_exec_joins_everything(tmp_path: Path) -> None:
    """Another program shares namespaces, cgroup and root with init, and has its own user, rights and directory."""
    with Container(tmp_path, "sleep", "100") as container:
        container.create().start()
        script = (
            "for n in mnt uts ipc pid net cgroup; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup; pwd; id -u"
        )
        code, output = container.execute("sh", "-c", script, cwd="/home/guest", user={"uid": 1000, "gid": 1000})
        lines = output.splitlines()
        assert code == 0
        assert lines[:6] == namespaces(container.pid, "mnt", "uts", "ipc", "pid", "net", "cgroup")
        assert lines[6:-2] == Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()
        assert lines[-2:] == ["/home/guest", "1000"]


def test_exec_does_not_change_the_caller(tmp_path: Path) -> None:
    """Whoever executes stays in its own namespaces, and so do the children that it makes afterwards."""
    own = namespaces("self", "pid", "pid_for_children", "mnt")
    with Container(tmp_path, "sleep", "100") as container:
        container.create().start()
        container.execute("true")
        assert namespaces("self", "pid", "pid_for_children", "mnt") == own


def test_exec_after_the_end_of_init(tmp_path: Path) -> None:
    """Nothing can join a container whose init has ended, even while its zombie is there."""
    with Container(tmp_path, "true") as container:
        container.create().start()
        os.waitid(os.P_PID, container.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(Conflict, match="not running"):
            container.execute("true")
        syscalls.wait_for(container.pid)


def test_a_recycled_pid_is_not_ours(tmp_path: Path) -> None:
    """The record names init by pid and start time: another process with that pid is never taken for it."""
    with Container(tmp_path, "sleep", "100") as container:
        container.create().start()
        container.stop()
        record = container.state_dir / "state.json"
        document = json.loads(record.read_text())
        document["pid"] = os.getpid()
        record.write_text(json.dumps(document))
        assert runtime.state(container.state_dir).status == "stopped"
        with pytest.raises(Conflict, match="not running"):
            runtime.kill(container.state_dir, signal.SIGKILL)


def test_kill_everyone(tmp_path: Path) -> None:
    """A signal to all reaches a child of init too; force deletes what still runs."""
    with Container(tmp_path, "sh", "-c", "sleep 100 & sleep 100") as container:
        container.linux["namespaces"] = [{"type": "mount"}, {"type": "uts"}]  # no pid namespace to die with
        container.create().start()
        cgroup = cgroups.at(f"/minidock-{container.id}")
        runtime.kill(container.state_dir, signal.SIGKILL, everyone=True)
        assert syscalls.wait_for(container.pid).code == 137
        runtime.delete(container.state_dir)
        assert not cgroup.exists


def test_several_start_at_once(tmp_path: Path) -> None:
    """Of eight who start a container, one does and seven hear a conflict."""
    with Container(tmp_path, "sleep", "100") as container:
        container.create()
        starters = []
        for _ in range(8):
            pid = os.fork()
            if pid == 0:
                try:
                    runtime.start(container.state_dir)
                    os._exit(0)
                except Conflict:
                    os._exit(1)
                finally:
                    os._exit(2)
            starters.append(pid)
        codes = sorted(syscalls.wait_for(pid).code for pid in starters)
        assert codes == [0] + [1] * 7
        container.stop()


def test_overlay_root(tmp_path: Path) -> None:
    """An overlay mount on / is the root: what is written lands in upper, and the host sees no mount."""
    container = Container(tmp_path, "sh", "-c", "echo new > /file; rm /etc/group; cat /lower; ls /etc")
    lower = tmp_path / "lower"
    container.rootfs.rename(lower)
    (lower / "lower").write_text("from below\n")
    for name in ("bundle/upper", "bundle/work", "bundle/rootfs"):
        (tmp_path / name).mkdir()
    upper, work = container.bundle / "upper", container.bundle / "work"
    options = [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"]
    root = {"destination": "/", "type": "overlay", "source": "overlay", "options": options}
    container.spec["mounts"].insert(0, root)
    assert container.run() == (0, "from below\npasswd\n")
    assert (upper / "file").read_text() == "new\n"
    assert stat.S_ISCHR((upper / "etc/group").stat().st_mode), "a whiteout"
    assert list(container.rootfs.iterdir()) == []
    assert left_behind(container) == []


def test_binds_and_their_options(tmp_path: Path) -> None:
    """Files and directories are bound, read-only where asked; missing places are made."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("data\n")
    script = "cat /a/b/file /c/d; touch /a/b/no; touch /rw/yes; grep -c ' /a/b .*ro,nosuid' /proc/mounts"
    container = Container(tmp_path, "sh", "-c", script)
    container.spec["mounts"] += [
        {"destination": "/a/b", "type": "bind", "source": str(tmp_path / "data"), "options": ["rbind", "ro", "nosuid"]},
        {"destination": "c/d", "type": "none", "source": str(tmp_path / "data/file"), "options": ["bind"]},
        {"destination": "/rw", "type": "bind", "source": str(tmp_path / "data"), "options": ["rbind"]},
    ]
    assert container.run() == (0, "data\ndata\ntouch: /a/b/no: Read-only file system\n1\n")
    assert (tmp_path / "data/yes").exists()


def test_a_read_only_root_with_a_writable_tmpfs(tmp_path: Path) -> None:
    """Docker's --read-only and --tmpfs together."""
    container = Container(tmp_path, "sh", "-c", "touch /x; touch /tmp/y && echo fine")
    container.spec["root"]["readonly"] = True
    options = ["nosuid", "nodev", "noexec", "size=1m"]
    container.spec["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})
    assert container.run() == (0, "touch: /x: Read-only file system\nfine\n")


@pytest.mark.parametrize("propagation", ["shared", "rslave", "private"])
def test_root_propagation(tmp_path: Path, propagation: str) -> None:
    """The root mount has the propagation that was asked for, and the host's mounts stay as they are."""
    container = Container(
        tmp_path, "sh", "-c", "grep ' / / \\| /bundle/rootfs / ' /proc/self/mountinfo; cat /proc/self/mountinfo"
    )
    container.linux["rootfsPropagation"] = propagation
    code, output = container.run()
    root = next(line for line in output.splitlines() if line.split()[4] == "/")
    assert code == 0
    assert ("shared:" in root) == (propagation == "shared")
    assert left_behind(container) == []


def test_a_terminal(tmp_path: Path) -> None:
    """The program has a terminal in the container's own /dev/pts, with the size that was asked, on /dev/console too."""
    script = "tty; stty size; echo to console > /dev/console; ls /dev/pts | cat"
    container = Container(tmp_path, "sh", "-c", script, terminal=True, consoleSize={"height": 24, "width": 77})
    code, output = container.run()
    assert (code, output) == (0, "/dev/pts/0\r\n24 77\r\nto console\r\n0\r\nptmx\r\n")


def test_a_terminal_for_exec(tmp_path: Path) -> None:
    """An exec'd program gets a terminal of its own, which follows a new size and knows ^C."""

    def execute(program: str) -> runtime.Running:
        return runtime.execute(container.state_dir, oci.Process("/", [program], ["PATH=/bin"], terminal=True))

    with Container(tmp_path, "sleep", "100") as container:
        container.create().start()
        running = execute("tty")
        assert running.console is not None
        assert read_line(running.console) == b"/dev/pts/0\r\n"
        assert syscalls.wait_for(running.pid).code == 0
        os.close(running.console)
        running = execute("cat")  # not a shell: busybox's catches ^C, and at some moments forgets it
        assert running.console is not None
        os.write(running.console, b"hello\n")
        said = b""
        while said.count(b"hello") < 2:  # the terminal's echo, and cat's own
            said += os.read(running.console, 100)
        pty.set_size(running.console, 11, 22)
        assert pty.get_size(running.console) == (11, 22)
        os.write(running.console, b"\x03")
        assert syscalls.wait_for(running.pid).signal == signal.SIGINT
        os.close(running.console)


def test_the_user_and_their_groups(tmp_path: Path) -> None:
    """A name is looked up in the container's own files, its group is among its groups; a number is taken as it is."""
    user = {"uid": 0, "gid": 0, "username": "guest", "additionalGids": [50]}
    container = Container(tmp_path, "sh", "-c", "id; echo $HOME", user=user, env=["PATH=/bin"])
    code, output = container.run()
    assert code == 0
    assert output == "uid=1000(guest) gid=1000(guest) groups=1(bin),29(audio),50,1000(guest)\n/home/guest\n"


def test_limits_umask_oom_score_and_directory(tmp_path: Path) -> None:
    """rlimits, umask, oom_score_adj and the working directory are as asked; a missing directory is made."""
    container = Container(
        tmp_path,
        *("sh", "-c", "ulimit -n; ulimit -Hn; umask; cat /proc/self/oom_score_adj; pwd"),
        cwd="/made/for/me",
        oomScoreAdj=123,
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 20}],
        user={"uid": 1000, "gid": 1000, "umask": 0o027},
    )
    assert container.run().output.splitlines()[:2] == ["3", "20"]
    container.spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
    assert container.run().output == "64\n64\n0027\n123\n/made/for/me\n"


def test_a_tiny_address_space_still_gets_to_the_program(tmp_path: Path) -> None:
    """Limits are the last thing before exec: even one that our own Python could not live with."""
    rlimits = [{"type": "RLIMIT_AS", "soft": 8 << 20, "hard": 8 << 20}]
    assert Container(tmp_path, "sh", "-c", "ulimit -v", rlimits=rlimits).run() == (0, f"{8 << 10}\n")


def test_sysctls_of_the_container(tmp_path: Path) -> None:
    """Network and ipc parameters are set for the container alone."""
    host = Path("/proc/sys/kernel/msgmax").read_text()
    container = Container(tmp_path, "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/msgmax")
    container.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4242"}
    assert container.run() == (0, "1\n4242\n")
    assert Path("/proc/sys/kernel/msgmax").read_text() == host


def test_devices(tmp_path: Path) -> None:
    """The default devices are there and work; an extra one is made with its mode and owner."""
    script = "head -c 3 /dev/zero | wc -c; echo x > /dev/null && echo y > /dev/full; ls -ln /dev/mine"
    container = Container(tmp_path, "sh", "-c", script)
    device = {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8}
    container.linux["devices"] = [device]
    output = container.run().output.split("\n")
    assert output[0] == "3"
    assert "No space left" in output[1]
    assert output[2].startswith("crw-r-----") and output[2].split()[2:4] == ["7", "8"]


def test_a_device_that_is_another_is_an_error(tmp_path: Path) -> None:
    """An image whose /dev/null is something else is refused, when its /dev is not covered."""
    container = Container(tmp_path, "true")
    container.spec["mounts"] = [
        mount for mount in container.spec["mounts"] if not mount["destination"].startswith("/dev")
    ]
    (container.rootfs / "dev/null").write_text("mine")
    with pytest.raises(InvalidSpec, match="/dev/null is there already"):
        container.create()


def test_shared_namespaces(tmp_path: Path) -> None:
    """A container can join another's network and ipc: both are then in the same namespaces."""
    with Container(tmp_path / "one", "sleep", "100") as one:
        one.create().start()
        two = Container(tmp_path / "two", "sh", "-c", "readlink /proc/self/ns/net; readlink /proc/self/ns/pid")
        two.linux["namespaces"] = [
            *({"type": type} for type in ("mount", "uts", "ipc")),
            {"type": "network", "path": f"/proc/{one.pid}/ns/net"},
            {"type": "pid", "path": f"/proc/{one.pid}/ns/pid"},
        ]
        _, output = two.run()
        assert output.splitlines() == namespaces(one.pid, "net", "pid")


def test_a_user_namespace(tmp_path: Path) -> None:
    """Root inside is user 100000 outside, and has terminals, devices and mounts all the same."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    with Container(
        tmp_path, "sh", "-c", "id -u; cat /proc/self/uid_map; echo > /dev/null; exec sleep 100"
    ) as container:
        container.linux["namespaces"].append({"type": "user"})
        container.linux["uidMappings"] = container.linux["gidMappings"] = mapping
        container.create().start()
        assert container.execute("id", "-u") == (0, "0\n")
        assert Path(f"/proc/{container.pid}").stat().st_uid == 100000
        said = ""
        while "65536" not in said:
            said += os.read(container.reading, 100).decode()
        assert said.split() == ["0", "0", "100000", "65536"]
        container.stop()


def test_init_reaps_and_forwards(tmp_path: Path) -> None:
    """With our init as process 1: orphans are reaped, SIGTERM ends the program, and its status comes back."""
    with Container(tmp_path, "sh", "-c", "echo ready; exec sleep 100") as container:
        container.spec["annotations"] = {"org.minidock.init": "true"}
        container.create().start()
        assert os.read(container.reading, 100) == b"ready\n"
        container.execute("sh", "-c", "(sleep 0.01 &) ; true")
        container.execute("sh", "-c", "until ! grep -q Z /proc/[0-9]*/stat; do :; done")
        runtime.kill(container.state_dir, signal.SIGTERM)
        assert syscalls.wait_for(container.pid).code == 143


@pytest.mark.parametrize(("program", "code"), [(["sh", "-c", "exit 42"], 42), (["sh", "-c", "kill -9 $$"], 137)])
def test_init_ends_as_the_program_ends(tmp_path: Path, program: list[str], code: int) -> None:
    """Init's exit code is the program's, or 128 + the signal."""
    container = Container(tmp_path, *program)
    container.spec["annotations"] = {"org.minidock.init": "true"}
    assert container.run().code == code


@pytest.mark.parametrize("init", ["false", "true"])
def test_a_program_ignores_no_signal_that_the_runtime_was_made_to_ignore(tmp_path: Path, init: str) -> None:
    """Whoever starts us may ignore signals, make always glibc's own two (32, 33); programs, and exec, get them all."""

    def started_by_make() -> list[Outcome]:
        for heard in (signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN, signal.SIGRTMAX):
            signal.signal(heard, signal.SIG_IGN)
        ignore = (ctypes.c_ulong * 4)(signal.SIG_IGN)  # struct sigaction: the handler is its first word
        for glibcs in (32, 33):
            assert ctypes.CDLL(None).syscall(number("rt_sigaction"), glibcs, ignore, None, 8) == 0
        assert int(Path("/proc/self/status").read_text().split("SigIgn:")[1].split()[0], 16) >> 31 & 3 == 3
        with Container(tmp_path, "sh", "-c", "grep SigIgn /proc/self/status; exec sleep 100") as container:
            container.spec["annotations"] = {"org.minidock.init": init}
            container.create().start()
            first = os.read(container.reading, 100).decode()
            return [Outcome(0, first), container.execute("grep", "SigIgn", "/proc/self/status")]

    assert inside(started_by_make) == [Outcome(0, "SigIgn:\t0000000000000000\n")] * 2


def test_init_says_when_the_program_is_missing(tmp_path: Path) -> None:
    """A failing exec below init is reported by start as it is without."""
    container = Container(tmp_path, "/etc/rubbish")
    (container.rootfs / "etc/rubbish").write_bytes(b"\x7fnot a program")
    (container.rootfs / "etc/rubbish").chmod(0o755)
    container.spec["annotations"] = {"org.minidock.init": "true"}
    with pytest.raises(ProgramNotExecutable, match="exec format error"):
        container.run()


def test_hooks_run_in_order_with_the_state(tmp_path: Path) -> None:
    """All six kinds, each with the container's state on its standard input."""
    log = tmp_path / "log"
    log.touch()
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

    def hook(kind: str) -> dict[str, Any]:
        # startContainer alone runs inside the new root, where the same file is bound on /log.
        file = "/log" if kind == "startContainer" else log
        return {"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} >> {file}; /bin/cat >> {file}; echo >> {file}"]}

    with Container(tmp_path, "sleep", "100") as container:
        container.spec["hooks"] = {kind: [hook(kind)] for kind in kinds}
        container.spec["mounts"].append(
            {"destination": "/log", "type": "bind", "source": str(log), "options": ["bind"]}
        )
        container.create().start().stop()
        runtime.delete(container.state_dir)
    lines = log.read_text().splitlines()
    states = [json.loads(line) for line in lines[1::2]]
    assert lines[::2] == list(kinds)
    assert [state["status"] for state in states] == ["creating"] * 3 + ["created", "running", "stopped"]
    assert {state["id"] for state in states} == {container.id}


def test_a_hook_that_takes_too_long_stops_the_container(tmp_path: Path) -> None:
    """The timeout of a hook is in seconds, and its end is the container's."""
    container = Container(tmp_path, "true")
    container.spec["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}]}
    with pytest.raises(MinidockError, match="no end after 1 seconds"):
        container.create()
    assert left_behind(container) == []


@pytest.mark.parametrize("own", [[], [{"type": "cgroup"}]], ids=["host's namespace", "own namespace"])
def test_cgroup_limits_are_in_place_before_the_program(tmp_path: Path, own: list[dict[str, str]]) -> None:
    """The program finds its limits, read-only, in its own cgroup: below the host's tree on v2, where that is shared."""
    find = "read line < /proc/self/cgroup; file=/sys/fs/cgroup${line#0::}/pids.max"
    if Path("/sys/fs/cgroup/pids").exists():
        find = "file=/sys/fs/cgroup/pids/pids.max"
    container = Container(tmp_path, "sh", "-c", f"{find}; cat $file; echo 1 > $file")
    container.linux["namespaces"] += own
    container.linux["resources"]["pids"] = {"limit": 17}
    code, output = container.run()
    assert code == 1
    assert output.startswith("17\n") and "Read-only file system" in output
