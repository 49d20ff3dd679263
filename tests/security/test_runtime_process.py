"""What a program inside a container holds and can do: files of the runtime, rights, and the kernel's surface."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from minidock.errors import InvalidInput, MinidockError, ProgramNotExecutable
from tests.runtimes import Container

pytestmark = pytest.mark.root


@pytest.mark.parametrize("number", range(3, 24))
def test_no_descriptor_leads_out_as_working_directory(tmp_path: Path, number: int) -> None:
    """CVE-2024-21626: a working directory that is an open file of the runtime is refused."""
    with pytest.raises(MinidockError, match="cwd"):
        Container(tmp_path, "true", cwd=f"/proc/self/fd/{number}").run()


def test_exec_with_a_leaked_directory(tmp_path: Path) -> None:
    """The same by exec, also when the path only leads to such a file through a link of the image."""
    with Container(tmp_path, "sleep", "100") as container:
        (container.rootfs / "link").symlink_to("/proc/self/fd/7")
        container.create().start()
        for cwd in ("/proc/self/fd/5", "/link", "/proc/self/cwd"):
            with pytest.raises(MinidockError, match="cwd"):
                container.execute("true", cwd=cwd)
        container.stop()


def test_only_three_files_are_open(tmp_path: Path) -> None:
    """Nothing that the runtime, or whoever called it, has open is open in init or exec."""
    leaked = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        with Container(tmp_path, "sleep", "100") as container:
            container.create().start()
            assert sorted(path.name for path in Path(f"/proc/{container.pid}/fd").iterdir()) == ["0", "1", "2"]
            code, output = container.execute("ls", "/proc/self/fd")
            assert (code, output) == (0, "0\n1\n2\n3\n"), "the 3 is the directory that ls reads"
            container.stop()
    finally:
        os.close(leaked)


def test_init_of_ours_holds_no_files_either(tmp_path: Path) -> None:
    """With --init, our own process stays: it must have closed what exec would have closed, and be out of reach."""
    with Container(tmp_path, "sh", "-c", "echo ready; exec sleep 100") as container:
        container.spec["annotations"] = {"org.minidock.init": "true"}
        container.create().start()
        assert os.read(container.reading, 10) == b"ready\n"
        assert {path.name for path in Path(f"/proc/{container.pid}/fd").iterdir()} <= {"1", "2"}
        script = "cat /proc/1/environ; ls /proc/1/exe /proc/1/root/ /proc/1/map_files; readlink /proc/1/exe"
        code, output = container.execute("sh", "-c", script, capabilities=container.spec["process"]["capabilities"])
        assert code != 0
        assert "Permission denied" in output or "Operation not permitted" in output
        assert sys.prefix not in output and "PATH=" not in output
        container.stop()


def runtime_files() -> list[Path]:
    """The interpreter, every library that it has mapped, and our own modules: what an attacker would overwrite."""
    mapped = {
        line.split(maxsplit=5)[5].strip() for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line
    }
    modules = {module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
    names = {sys.executable, *mapped, *(name for name in modules if name and "minidock" in name)}
    return [Path(name).resolve() for name in names if Path(name).is_file()]


def fingerprint(paths: list[Path]) -> str:
    """One hash over all of them."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.read_bytes())
    return whole.hexdigest()


@pytest.mark.parametrize("program", ["/proc/self/exe", "/link", "/script", "/twice"])
def test_the_interpreter_cannot_be_executed(tmp_path: Path, program: str) -> None:
    """CVE-2019-5736: entrypoints and scripts that lead to /proc/self/exe are refused, by run and by exec."""
    container = Container(tmp_path, program)
    (container.rootfs / "link").symlink_to("/proc/self/exe")
    for name, text in (("script", "#!/proc/self/exe\n"), ("twice", "#!/script\n"), ("linked", "#!/link -x\n")):
        (container.rootfs / name).write_text(text)
        (container.rootfs / name).chmod(0o755)
    files = runtime_files()
    before = fingerprint(files)
    with pytest.raises(ProgramNotExecutable, match="magic link"):
        container.run()
    with Container(tmp_path, "sleep", "100") as running:
        running.create().start()
        for name in (program, "/linked"):
            with pytest.raises(ProgramNotExecutable, match="magic link"):
                running.execute(name)
        running.stop()
    assert fingerprint(files) == before


def test_exec_cannot_be_overwritten_from_inside(tmp_path: Path) -> None:
    """CVE-2016-9962, CVE-2019-5736: a loop inside opens every /proc/N/exe for writing while execs come in."""
    script = """while :; do for p in /proc/[0-9]*; do
        case $p in /proc/1|/proc/$$) continue;; esac
        readlink $p/exe | grep -v busybox && echo reached
        (echo attacked >> $p/exe) 2>/dev/null && echo written; done; done"""
    files = runtime_files()
    before = fingerprint(files)
    with Container(tmp_path, "sh", "-c", script) as container:
        # The canary: busybox is the container's own, and may be written; the interpreter is not.
        container.create().start()
        for _ in range(15):
            try:
                container.execute("true")
            except MinidockError:
                continue
        container.stop()
        output = container.output()
    assert "reached" not in output
    assert fingerprint(files) == before


def test_rights_are_docker_s(tmp_path: Path) -> None:
    """CVE-2022-27650: nothing inheritable; effective is Docker's set, in init and in exec; nothing for other users."""
    with Container(tmp_path, "sleep", "100") as container:
        container.create().start()
        for output in (
            Path(f"/proc/{container.pid}/status").read_text(),
            container.execute(
                "cat", "/proc/self/status", capabilities=container.spec["process"]["capabilities"]
            ).output,
        ):
            sets = dict(line.split(":\t") for line in output.splitlines() if line.startswith("Cap"))
            zero, docker = "0" * 16, "00000000a80425fb"
            assert sets == {"CapInh": zero, "CapPrm": docker, "CapEff": docker, "CapBnd": docker, "CapAmb": zero}
        container.stop()
    container = Container(tmp_path, "grep", "Cap", "/proc/self/status", user={"uid": 1000, "gid": 1000})
    sets = dict(line.split(":\t") for line in container.run().output.splitlines())
    assert (sets["CapPrm"], sets["CapEff"], sets["CapAmb"]) == ("0" * 16,) * 3


def test_ambient_rights_reach_an_ordinary_user(tmp_path: Path) -> None:
    """The one way for a user other than root to keep a right over exec."""
    container = Container(tmp_path, "grep", "Cap", "/proc/self/status", user={"uid": 1000, "gid": 1000})
    rights = ["CAP_NET_BIND_SERVICE"]
    kinds = ("bounding", "effective", "permitted", "inheritable", "ambient")
    container.spec["process"]["capabilities"] = dict.fromkeys(kinds, rights)
    sets = dict(line.split(":\t") for line in container.run().output.splitlines())
    assert set(sets.values()) == {f"{1 << 10:016x}"}


@pytest.mark.parametrize("who", ["2147483648", "4294967296", "4294967295", "-1", "0:4294967296"])
def test_a_user_never_wraps_round_to_root(tmp_path: Path, who: str) -> None:
    """CVE-2024-40635: ids that do not fit are errors."""
    with pytest.raises(InvalidInput, match="range 0-2147483647"):
        Container(tmp_path, "id", user={"uid": 0, "gid": 0, "username": who}).run()


def test_hostile_user_files(tmp_path: Path) -> None:
    """CVE-2026-47262: /etc/passwd is a FIFO, /etc/group a link to an endless device: an error, at once."""
    container = Container(tmp_path, "id", user={"uid": 0, "gid": 0, "username": "guest"})
    (container.rootfs / "etc/group").unlink()
    (container.rootfs / "etc/group").symlink_to("/dev/zero")
    with pytest.raises(InvalidInput, match="/etc/group is not a regular file"):
        container.run()
    (container.rootfs / "etc/passwd").unlink()
    os.mkfifo(container.rootfs / "etc/passwd")
    with pytest.raises(InvalidInput, match="/etc/passwd is not a regular file"):
        container.run()


def test_no_file_of_the_container_is_loaded(tmp_path: Path) -> None:
    """CVE-2019-14271: libraries, encodings, start-up files: what Python or the C library looks for stays unread."""
    container = Container(tmp_path, "true", user={"uid": 0, "gid": 0, "username": "guest"}, cwd="/")
    names = [
        *(
            "lib/x86_64-linux-gnu/libnss_files.so.2",
            "lib64/libnss_files.so.2",
            "etc/ld.so.preload",
            "etc/nsswitch.conf",
        ),
        *("sitecustomize.py", "usr/lib/locale/locale-archive", f"{sys.prefix.lstrip('/')}/lib/x", "etc/localtime"),
        f"{Path(os.__file__).parent.as_posix().lstrip('/')}/encodings/idna.py",
    ]
    for name in names:
        path = container.rootfs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)  # whoever opened it for reading would hang
    assert container.run().code == 0


SURFACE = [
    ("dmesg", "dmesg"),
    ("mount -t tmpfs tmpfs /tmp", "mount"),
    ("unshare -m true", "unshare"),
    ("unshare -U true && unshare -Um mount -t cgroup -o memory cgroup /tmp", "release_agent"),
    ("hostname other", "hostname"),
    ("echo 1 > /proc/sys/kernel/panic", "sysctl"),
    ("echo b > /proc/sysrq-trigger", "sysrq"),
    ("mkdir /sys/fs/cgroup/memory/x", "cgroup"),
    ("chroot /proc/1/root/../.. test -e /work", "root"),
    ("head -c 1 /proc/kcore | grep -q .", "kcore"),
    ("grep -q . /proc/keys", "keys"),
    ("grep -q . /proc/timer_list", "timer_list"),
    ("grep -q . /proc/interrupts", "interrupts"),
    ("ls /sys/firmware | grep -q .", "firmware"),
    ("mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk", "disk"),
    ("mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem", "mem"),
]


@pytest.mark.parametrize("attack", [attack for attack, _ in SURFACE], ids=[name for _, name in SURFACE])
def test_the_kernel_is_out_of_reach(tmp_path: Path, attack: str) -> None:
    """With Docker's rights, masks and device rules, each of these fails, even as root and without seccomp."""
    assert Container(tmp_path, "sh", "-c", attack).run().code != 0


def test_a_fork_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    """pids.max holds for everything that the container ever starts."""
    container = Container(tmp_path, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done")
    container.linux["resources"]["pids"] = {"limit": 4}
    code, output = container.run()
    assert code != 0 and "fork" in output


def test_keys_of_the_caller_are_not_inherited(tmp_path: Path) -> None:
    """The session keyring is one of the container's own, with its name."""
    container = Container(tmp_path, "sh", "-c", "cat /proc/keys")
    container.linux["maskedPaths"] = []
    assert f"_ses.{container.id}" in container.run().output
