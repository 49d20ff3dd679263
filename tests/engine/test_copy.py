"""``docker cp`` both ways, and ``export``: into and out of containers that run and that do not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.harness import Daemon, tiny_archive, wait_for
from tests.peers import Dockerd, dockerd

pytestmark = pytest.mark.root

Docker = Callable[..., "subprocess.CompletedProcess[bytes]"]
TREE = """
mkdir -p /d/sub/deep; echo hi > /d/f; chmod 4751 /d/f; ln -s f /d/l; ln /d/f /d/h; mkfifo /d/fifo; chown 12:34 /d/sub
ln -s /d /dl; ln -s /nowhere /broken; echo made; exec sleep 1000
"""
READY = [
    ["volume", "create", "data"],
    ["run", "-d", "--name", "box", "-v", "data:/data", "-v", "data:/ro:ro", "tiny", "sh", "-c", TREE],
    ["run", "-d", "--name", "locked", "--read-only", "-u", "5", "-v", "data:/data", "tiny", "sleep", "1000"],
]


def prepare(docker: Docker) -> None:
    """The containers that the comparison looks at."""
    assert docker("import", "-", "tiny", stdin=tiny_archive()).returncode == 0
    for words in READY:
        done = docker(*words)
        assert done.returncode == 0, done.stderr
    wait_for(lambda: docker("logs", "box").stdout == b"made\n", "the tree to be there")


@pytest.fixture(scope="module")
def peer() -> Iterator[Docker]:
    """Debian's dockerd with the same containers."""
    with dockerd() as daemon:

        def docker(*words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
            return daemon.docker(*words, stdin=stdin)

        prepare(docker)
        yield docker
        remove(daemon)


def remove(daemon: Dockerd) -> None:
    """Its containers go before it does."""
    daemon.docker("rm", "-f", "-v", "box", "locked")


@pytest.fixture(scope="module")
def ours(shared_daemon: Daemon) -> Iterator[Docker]:
    """Ours."""

    def docker(*words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", *words], input=stdin or b"", capture_output=True, timeout=60, env=shared_daemon.environment
        )

    prepare(docker)
    yield docker
    docker("rm", "-f", "-v", "box", "locked")
    docker("volume", "rm", "data")


def entries(archive: bytes) -> list[tuple[object, ...]]:
    """What an archive says, but for times."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return sorted(
            (item.name, item.type, item.mode & 0o7777, item.uid, item.gid, item.linkname, item.size) for item in opened
        )


def archive(*items: tuple[str, bytes, bytes], link: str = "") -> bytes:
    """An archive of (name, type, data)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as opened:
        for name, kind, data in items:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.uid, info.gid, info.linkname = kind, len(data), 77, 78, link
            opened.addfile(info, io.BytesIO(data))
    return made.getvalue()


PATHS = "/d /d/ /d/. d /d/../d/sub /d/f /d/h /d/l /dl /dl/ /broken /d/fifo /proc /data"


@pytest.mark.parametrize("path", PATHS.split())
@pytest.mark.parametrize("flags", [(), ("-L",)])
def test_what_comes_out_is_what_docker_sends(ours: Docker, peer: Docker, flags: tuple[str, ...], path: str) -> None:
    """Names, types, modes, owners, links and sizes, for files, directories, links to both and to nothing."""
    mine, theirs = (docker("cp", *flags, f"box:{path}", "-") for docker in (ours, peer))
    assert mine.returncode == theirs.returncode, (mine.stderr, theirs.stderr)
    if theirs.returncode == 0:
        assert entries(mine.stdout) == entries(theirs.stdout)
    else:
        assert mine.stderr == theirs.stderr


REGULAR, DIRECTORY = tarfile.REGTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("box:/nope -", b""),
        ("nope:/d -", b""),
        ("- box:/d", archive(("new", REGULAR, b"x"), (".wh.foo", REGULAR, b""), ("made/below", REGULAR, b"y"))),
        ("- box:/dl", archive(("/absolute", REGULAR, b"x"))),
        ("- box:/d/f", archive(("new", REGULAR, b"x"))),
        ("- box:/nope", archive(("new", REGULAR, b"x"))),
        ("- box:/broken", archive(("new", REGULAR, b"x"))),
        ("- box:/d", archive(("f", DIRECTORY, b""))),
        ("- box:/d", archive(("sub", REGULAR, b"x"))),
        ("- box:/d", archive(("../x", REGULAR, b""))),
        ("- box:/ro", archive(("x", REGULAR, b""))),
        ("- locked:/", archive(("x", REGULAR, b""))),
        ("- locked:/data", archive(("in-locked", REGULAR, b""))),
    ],
)
def test_what_goes_in_is_answered_as_docker_answers(ours: Docker, peer: Docker, words: str, body: bytes) -> None:
    """The same exit code, the same words, the same files afterwards."""
    mine, theirs = (docker("cp", *words.split(), stdin=body) for docker in (ours, peer))
    told = theirs.stderr.decode().replace("Error processing tar file(exit status 1): ", "")
    assert (mine.returncode, mine.stderr.decode()) == (theirs.returncode, told)
    trees = [docker("exec", "box", "sh", "-c", "find /d /data | sort | xargs ls -dln | awk '{print $1,$3,$4,$9}'")
             for docker in (ours, peer)]  # fmt: skip
    assert trees[0].stdout == trees[1].stdout


def test_a_local_directory_goes_in_and_comes_out(ours: Docker, tmp_path: Path) -> None:
    """Into a new name, into an existing directory, and its content alone; times, modes and owners are kept."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "f").write_text("content")
    (source / "sub/link").symlink_to("../f")
    os.chown(source / "f", 55, 66)
    os.utime(source / "f", (0, 1_600_000_000))
    for destination, found in (("/tmp/new", "/tmp/new"), ("/tmp", "/tmp/source"), ("/data", "/data/source")):
        assert ours("cp", str(source), f"box:{destination}").returncode == 0
        status = ours("exec", "box", "stat", "-c", "%u %g %Y", f"{found}/f").stdout
        assert status == b"55 66 1600000000\n"
        back = tmp_path / f"back{destination.replace('/', '-')}"
        assert ours("cp", f"box:{found}", str(back)).returncode == 0
        assert (back / "f").read_text() == "content" and (back / "sub/link").readlink() == Path("../f")
        assert (back / "f").stat().st_mtime == 1_600_000_000
    assert ours("cp", f"{source}/.", "box:/tmp/only").returncode == 0
    assert ours("exec", "box", "ls", "/tmp/only").stdout == b"f\nsub\n"


def test_a_container_that_stands_still(ours: Docker, tmp_path: Path) -> None:
    """Its root, its volumes and /etc/hosts can be read and written; what was copied in is there when it runs."""
    assert (
        ours("run", "--name", "still", "-v", "data:/data", "-v", f"{tmp_path}:/bound", "tiny", "true").returncode == 0
    )
    try:
        for place in ("/", "/data", "/bound", "/etc"):
            assert ours("cp", "-", f"still:{place}", stdin=archive(("copied", REGULAR, b"in"))).returncode == 0
        assert (tmp_path / "copied").read_text() == "in"
        assert ours("exec", "box", "cat", "/data/copied").stdout == b"in"
        hosts = ours("cp", "still:/etc/hosts", "-").stdout
        assert b"localhost" in hosts
        assert entries(ours("cp", "still:/bound/copied", "-").stdout)[0][0] == "copied"
        assert ours("start", "still").returncode == 0
        assert [entry[0] for entry in entries(ours("export", "still").stdout) if "copied" in str(entry[0])] == [
            "copied",
            "etc/copied",
        ]
    finally:
        ours("rm", "-f", "still")


def test_as_the_container_s_user(ours: Docker, tmp_path: Path) -> None:
    """``cp -a`` gives all to the user that the container runs as, by its own passwd."""
    (tmp_path / "f").write_text("x")
    assert ours("cp", "-a", str(tmp_path / "f"), "locked:/data/owned").returncode == 0
    assert ours("exec", "box", "stat", "-c", "%u", "/data/owned").stdout == b"5\n"


def test_a_packed_archive_goes_in(ours: Docker) -> None:
    """gzip, bzip2, xz: as the API says."""
    for command in ("gzip", "bzip2", "xz"):
        packed = subprocess.run([command], input=archive((command, REGULAR, b"x")), capture_output=True).stdout
        assert ours("cp", "-", "box:/tmp", stdin=packed).returncode == 0
        assert ours("exec", "box", "cat", f"/tmp/{command}").stdout == b"x"


def test_hostile_and_broken_archives(shared_daemon: Daemon, ours: Docker) -> None:
    """No traceback, a clear error; a whole directory is replaced only without noOverwriteDirNonDir."""
    for body in (
        b"garbage" * 300,
        archive(("x", REGULAR, b"y" * 5000))[:3000],
        archive(("h", tarfile.LNKTYPE, b""), link="/nope"),
    ):
        status, answer = shared_daemon.request("PUT", "/containers/box/archive?path=/tmp", body)
        assert status == 400 and b"message" in answer, answer
    replace = archive(("gone", REGULAR, b"file"))
    assert ours("exec", "box", "sh", "-c", "mkdir -p /tmp/gone/a/b; touch /tmp/gone/a/b/c").returncode == 0
    assert shared_daemon.request("PUT", "/containers/box/archive?path=/tmp&noOverwriteDirNonDir=1", replace)[0] == 400
    assert shared_daemon.request("PUT", "/containers/box/archive?path=/tmp", replace)[0] == 200
    assert ours("exec", "box", "cat", "/tmp/gone").stdout == b"file"
    for path in ("", "?path=", "?path=%00"):
        assert shared_daemon.request("GET", f"/containers/box/archive{path}")[0] == 400
    assert shared_daemon.request("GET", "/containers/box/archive?path=/d/f/x")[0] == 500


def test_export_has_the_root_without_what_is_mounted(ours: Docker, peer: Docker) -> None:
    """As Docker's: volumes, /proc and /sys are empty directories."""
    mine, theirs = (
        {
            entry
            for entry in entries(docker("export", "box").stdout)
            if not str(entry[0]).startswith(("dev", "etc", "tmp/"))
        }
        for docker in (ours, peer)
    )
    assert mine == theirs
    assert {entry[0] for entry in mine if str(entry[0]).startswith(("proc", "data"))} == {"proc", "data"}


def test_large_files_go_through_in_pieces(ours: Docker) -> None:
    """Sixty megabytes out and in again: the same bytes, also with holes."""
    assert (
        ours(
            "exec", "box", "sh", "-c", "head -c 60000000 /dev/urandom > /tmp/big; truncate -s 90000000 /tmp/big"
        ).returncode
        == 0
    )
    out = ours("cp", "box:/tmp/big", "-").stdout
    assert ours("cp", "-", "box:/data", stdin=out).returncode == 0
    sums = ours("exec", "box", "md5sum", "/tmp/big", "/data/big").stdout.split()
    assert sums[0] == sums[2]


def count(pid: int, what: str) -> int:
    """How many threads (``task``) or descriptors (``fd``) a process has."""
    return len([*Path(f"/proc/{pid}/{what}").iterdir()])


def test_a_client_that_leaves_ends_the_work(shared_daemon: Daemon, ours: Docker) -> None:
    """Half an export and half an upload are dropped: no thread, no descriptor stays."""
    before = {what: count(shared_daemon.pid, what) for what in ("fd", "task")}
    for _ in range(5):
        with shared_daemon.connection() as connection:
            connection.sendall(b"GET /containers/box/export HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1000)
        with shared_daemon.connection() as connection:
            head = b"PUT /containers/box/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
            connection.sendall(head + archive(("half", REGULAR, b"x" * 50000))[:20000])
    # The pool of asyncio.to_thread may have grown by a thread or two meanwhile; ten copies would be ten.
    for what, number in before.items():
        wait_for(lambda what=what, number=number: count(shared_daemon.pid, what) <= number + 4, f"each {what} to go")
    assert ours("exec", "box", "true").returncode == 0


CHANGES = """
touch -d @1 /etc/passwd; chmod 700 /root; rm /etc/group; mkdir -p /made/deep; echo x > /made/deep/f; ln -s x /tmp/link
rm -r /var; mkdir /var; chmod 644 /etc/nsswitch.conf; touch /made/gone; rm /made/gone
"""


def test_diff_is_what_docker_says(ours: Docker, peer: Docker) -> None:
    """Changed, added and deleted, with volumes, links, a directory that was made anew; nothing for what is the same."""
    told = []
    for docker in (ours, peer):
        mounts = ["-v", "/vol", "--tmpfs", "/ram"]
        assert docker("run", "--name", "changed", *mounts, "tiny", "sh", "-c", CHANGES).returncode == 0
        told.append(sorted(docker("diff", "changed").stdout.splitlines()))
        assert docker("create", "--name", "fresh", "tiny", "true").returncode == 0
        assert docker("diff", "fresh").stdout == b""
        docker("rm", "-v", "changed", "fresh")
    assert told[0] == told[1] and b"D /etc/group" in told[0]


def test_sizes_are_dockers(ours: Docker, peer: Docker) -> None:
    """ps -s, inspect -s and system df count the same bytes, of what a container wrote and of its volumes."""
    told = []
    for docker in (ours, peer):
        script = "head -c 5000 /dev/zero > /a; ln /a /b; ln -s a /c; head -c 700 /dev/zero > /sized/f"
        assert docker("run", "--name", "sized", "-v", "sized:/sized", "tiny", "sh", "-c", script).returncode == 0
        lines = docker("system", "df", "-v", "--format", "{{json .}}").stdout
        listed = docker("ps", "-as", "--filter", "name=sized", "--format", "{{.Size}}").stdout
        inspected = docker("inspect", "-s", "-f", "{{.SizeRw}}", "sized").stdout
        usage = json.loads(lines)
        told.append(
            {
                "listed": listed.split(b" (")[0],
                "inspected": inspected,
                "containers": [item["Size"] for item in usage["Containers"] if item["Names"] == "sized"],
                "volumes": [(item["Size"], item["Links"]) for item in usage["Volumes"] if item["Name"] == "sized"],
            }
        )
        docker("rm", "sized")
        docker("volume", "rm", "sized")
    assert told[0] == told[1]


def test_an_image_may_be_gone_when_sizes_are_asked_for(shared_daemon: Daemon) -> None:
    """A container outlives its image's name, and still has a size."""
    shared_daemon.ok("tag", "tiny", "fleeting")
    container = shared_daemon.ok("create", "fleeting", "true")
    shared_daemon.ok("rmi", "-f", "fleeting")
    shown = shared_daemon.json("GET", f"/containers/{container}/json?size=1")
    assert (shown["SizeRw"], shown["SizeRootFs"]) == (0, shared_daemon.json("GET", "/images/tiny/json")["Size"])
    shared_daemon.ok("rm", container)


def test_disk_usage_by_type(shared_daemon: Daemon) -> None:
    """Only what is asked for; an unknown type is an error."""
    asked = shared_daemon.json("GET", "/system/df?type=volume&type=build-cache")
    assert asked["Volumes"] is not None and asked["BuildCache"] is not None
    assert asked["Images"] is asked["Containers"] is None
    everything = shared_daemon.json("GET", "/system/df")
    assert everything["LayersSize"] > 1_000_000 and everything["Images"][0]["SharedSize"] >= 0
    assert shared_daemon.request("GET", "/system/df?type=planet")[0] == 400


def test_containers_are_pruned(shared_daemon: Daemon) -> None:
    """Those that do not run, as labels and age allow; how many bytes that gave."""
    write = ["sh", "-c", "head -c 1000 /dev/zero > /f"]
    keeper, goner = (
        shared_daemon.ok("create", "--label", label, "tiny", "true") for label in ("prune=no", "prune=yes")
    )
    shared_daemon.ok("run", "--label", "prune=yes", "--name", "wrote", "tiny", *write)
    runner = shared_daemon.ok("run", "-d", "--label", "prune=yes", "tiny", "sleep", "1000")
    wrote = shared_daemon.inspect("wrote")["Id"]
    nothing = shared_daemon.json("POST", '/containers/prune?filters={"until":["1h"]}')
    assert nothing == {"ContainersDeleted": None, "SpaceReclaimed": 0}
    done = shared_daemon.json("POST", '/containers/prune?filters={"label":["prune"],"label!":["prune=no"]}')
    assert set(done["ContainersDeleted"]) == {goner, wrote} and done["SpaceReclaimed"] == 1000
    assert shared_daemon.request("POST", '/containers/prune?filters={"foo":["x"]}')[0] == 400
    shared_daemon.ok("rm", "-f", keeper, runner)
