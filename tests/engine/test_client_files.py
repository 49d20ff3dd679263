"""``cp`` and ``build``, where files are on both sides: the same tree, or the same image, as with Docker's client."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.harness import tiny_archive
from tests.peers import Dockerd, dockerd, words_of_docker_28

pytestmark = [pytest.mark.root, words_of_docker_28]

MINIDOCK = [sys.executable, "-c", "from minidock.client.main import main; main()"]


@pytest.fixture(scope="module")
def peer() -> Iterator[Dockerd]:
    """dockerd with a container that has directories, links and modes."""
    with dockerd() as daemon:
        assert daemon.docker("import", "-c", "ENV PATH=/bin", "-", "tiny", stdin=tiny_archive()).returncode == 0
        made = "mkdir -p /d/e && echo f > /d/f && chmod 4751 /d/f && ln -s f /d/l && ln -s /d /dl && ln /d/f /d/hard"
        assert daemon.docker("run", "--network", "none", "--name", "box", "tiny", "sh", "-c", made).returncode == 0
        yield daemon


def ran(command: list[str], peer: Dockerd, words: list[str], directory: Path, stdin: bytes = b"") -> tuple[int, str]:
    """Exit code and the last line of errors."""
    done = subprocess.run(
        [*command, "-H", peer.host, *words], input=stdin, capture_output=True, cwd=directory, timeout=60
    )
    return done.returncode, (done.stderr.decode().strip().splitlines() or [""])[-1]


def tree(directory: Path) -> dict[str, tuple[str, int, bytes]]:
    """Every path below a directory: its kind, its mode, its content or target."""
    found = {}
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        if path.is_symlink():
            found[str(path.relative_to(directory))] = ("link", 0, str(path.readlink()).encode())
        else:
            content = b"" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(directory))] = ("directory" if path.is_dir() else "file", mode, content)
    return found


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("/d", "there"),
        ("/d", "new"),
        ("/d/", "new"),
        ("/d/.", "there"),
        ("/d/.", "new"),
        ("/d/f", "there"),
        ("/d/f", "there/"),
        ("/d/f", "new"),
        ("/d/f", "new/"),
        ("/d/f", "file"),
        ("/d", "file"),
        ("/d/l", "new"),
        ("/dl", "new"),
        ("/dl/", "new"),
        ("/dl/.", "new"),
        ("-L /dl", "new"),
        ("-L /d/l", "there"),
        ("-L /d/l", "file"),
        ("/d/f", "link"),
        ("/d/e", "."),
        ("/", "new"),
        ("/nothing", "new"),
    ],
)
def test_copies_out_arrive_as_dockers_do(peer: Dockerd, tmp_path: Path, source: str, target: str) -> None:
    """Into what is there, over it, under a new name; the content only; links as such or followed."""
    results = []
    *flags, path = source.split()
    if path == "/":
        path = "/d/../d"
    for name, command in (("docker", ["docker"]), ("ours", MINIDOCK)):
        here = tmp_path / name
        (here / "there").mkdir(parents=True)
        (here / "file").write_text("old")
        (here / "link").symlink_to("file")
        code, error = ran(command, peer, ["cp", *flags, f"box:{path}", target], here)
        results.append((code, error.replace(str(here), ""), tree(here)))
    assert results[1] == results[0]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("dir", "/d/e"),
        ("dir", "/new"),
        ("dir/", "/new"),
        ("dir/.", "/new"),
        ("dir/.", "/d/e"),
        ("dir/file", "/d/e"),
        ("dir/file", "/new"),
        ("dir/file", "/new/"),
        ("dir/file", "/d/f"),
        ("dir/file", "/dl"),
        ("dir/file", "/d/l"),
        ("dir/file", "relative"),
        ("dir/link", "/new"),
        ("-L dir/link", "/new"),
        ("-a dir", "/new"),
        ("dir", "/d/f"),
        ("dir/nothing", "/new"),
        ("-", "/d/e"),
        ("-", "/d/f"),
    ],
)
def test_copies_in_arrive_as_dockers_do(peer: Dockerd, tmp_path: Path, source: str, target: str) -> None:
    """The container's own files are compared, in what it exports."""
    here = tmp_path / "here"
    (here / "dir" / "sub").mkdir(parents=True)
    (here / "dir" / "file").write_text("new")
    (here / "dir" / "link").symlink_to("file")
    (here / "dir" / "sub" / "deep").write_text("deep")
    os.chown(here / "dir" / "file", 1234, 5678)
    stdin = io.BytesIO()
    with tarfile.open(fileobj=stdin, mode="w") as archive:
        archive.add(here / "dir", "packed")
    results = []
    *flags, path = source.split()
    for command in (["docker"], MINIDOCK):
        peer.docker("rm", "-f", "copy")
        setup = "mkdir -p /d/e && echo f > /d/f && ln -s f /d/l && ln -s /d /dl"
        assert peer.docker("run", "--network", "none", "--name", "copy", "tiny", "sh", "-c", setup).returncode == 0
        code, error = ran(command, peer, ["cp", *flags, path, f"copy:{target}"], here, stdin.getvalue())
        with tarfile.open(fileobj=io.BytesIO(peer.docker("export", "copy").stdout)) as exported:
            files = {
                member.name: (member.type, member.mode, member.uid, member.linkname, member.size)
                for member in exported
                if not member.name.startswith(("etc", "dev", "proc", "sys", "bin"))
            }
        results.append((code, error.replace("//", "/"), files))
    peer.docker("rm", "-f", "copy")
    assert results[1] == results[0]


@pytest.mark.parametrize("evil", ["../out", "link/out", "hard"])
def test_a_container_cannot_write_outside_of_the_target(tmp_path: Path, evil: str) -> None:
    """An archive with a path that leaves, a link that leads out, a hard link to what is outside."""
    from minidock.client import tarring
    from minidock.errors import InvalidInput

    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        entry = tarfile.TarInfo(evil)
        if evil == "hard":
            entry.type, entry.linkname = tarfile.LNKTYPE, "link/secret"
        archive.addfile(entry, io.BytesIO())
    packed.seek(0)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(InvalidInput, match="would be unpacked outside"):
        tarring.extract(packed, str(target))
    assert sorted(outside.iterdir()) == [outside / "secret"]
    assert sorted(tmp_path.iterdir()) == [outside, target]


def test_a_build_of_ours_uses_the_cache_of_dockers(peer: Dockerd, tmp_path: Path) -> None:
    """So our archive says of every file what docker's says: content, mode, owner; and leaves out the same ones."""
    for path in ("a", "x.log", "keep.log", "skip/s", "sub/.hidden", "sub/deep/d", "mode", "un ö"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "mode").chmod(0o4711)
    (tmp_path / "sub" / "link").symlink_to("../a")
    os.chown(tmp_path / "a", 1234, 5678)
    (tmp_path / ".dockerignore").write_text("# no\n*.log\n!keep.log\nskip\n**/d\n.dockerignore\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM tiny\nARG A=1\nCOPY . /ctx\nRUN find /ctx | sort; echo $A\nLABEL from=$A\n"
    )
    words = ["build", "--build-arg", "A=2", "-t", "built:1", "--label", "x=y", "--iidfile", "id", "."]
    assert ran(["docker"], peer, words, tmp_path)[0] == 0
    theirs = (tmp_path / "id").read_text()
    assert ran(MINIDOCK, peer, words, tmp_path) == (0, "")
    assert (tmp_path / "id").read_text() == theirs


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["-"], b"FROM tiny\nRUN echo of stdin\n"),
        (["-f", "-", "."], b"FROM tiny\nCOPY file /\n"),
        (["-f", "../Outside", "."], b""),
        (["-f", "sub/Dockerfile", "sub"], b""),
        (["-"], None),
        (["-f", "Nothing", "."], b""),
        (["-f", "-", "-"], b""),
        (["nothing"], b""),
        (["--target", "none", "."], b""),
        (["."], b""),
        (["-f", "Fails", "."], b""),
    ],
    ids=str,
)
def test_contexts_of_every_kind(peer: Dockerd, tmp_path: Path, words: list[str], stdin: bytes | None) -> None:
    """From a directory, standard input and an archive; with the Dockerfile elsewhere; and what is refused."""
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    (here / "file").write_text("file")
    (tmp_path / "Outside").write_text("FROM tiny\nCOPY file /outside\n")
    (here / "sub" / "Dockerfile").write_text("FROM tiny\nCOPY Dockerfile /\n")
    (here / "Dockerfile").write_text("FROM tiny\nCOPY file /f\n")
    (here / "Fails").write_text("FROM tiny\nRUN exit 3\n")
    if stdin is None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(here, ".")
        stdin = packed.getvalue()
    results = []
    for command in (["docker"], MINIDOCK):
        peer.docker("tag", "made", "kept")  # with its last name an image, and so the cache, would go
        peer.docker("rmi", "made")
        code, error = ran(command, peer, ["build", "-t", "made", *words], here, stdin)
        image = peer.docker("inspect", "-f", "{{.Id}}", "made").stdout
        results.append((code, error if code else "", image))
    assert results[1] == results[0]


def test_a_repository_that_is_not_there(peer: Dockerd, tmp_path: Path) -> None:
    """git's own words. (What a repository is good for, test_client_git_context knows.)"""
    done = ran(MINIDOCK, peer, ["build", "git://127.0.0.1:1/x.git"], tmp_path)
    assert done[0] == 1 and done[1].startswith("unable to prepare context: git fetch: "), done
