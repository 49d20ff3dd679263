"""Volumes, binds and tmpfs, through Docker's own command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minidock.kernel import mounts
from tests.engine.harness import Daemon, running_daemon, wait_for
from tests.peers import words_of_docker_28

pytestmark = pytest.mark.root


@pytest.fixture
def volumes(daemon: Daemon) -> Iterator[Daemon]:
    """The shared daemon, without containers and volumes afterwards."""
    yield daemon
    for container in daemon.json("GET", "/containers/json?all=1"):
        daemon.json("DELETE", f"/containers/{container['Id']}?force=1&v=1")
    for volume in daemon.json("GET", "/volumes")["Volumes"]:
        daemon.json("DELETE", f"/volumes/{volume['Name']}")


def names(daemon: Daemon, *filters: str) -> list[str]:
    """The volumes that there are."""
    words = [word for text in filters for word in ("-f", text)]
    return daemon.ok("volume", "ls", "-q", *words).split()


def mounted(daemon: Daemon, name: str, pid: int | str = "self") -> bool:
    """Is something mounted on this volume's directory?"""
    path = f"{daemon.root}/data/volumes/{name}/_data"
    return any(mount.mount_point == path for mount in mounts.mounts(pid))


def point(daemon: Daemon, container: str, destination: str) -> Any:
    """What inspect says of a mount."""
    return next(item for item in daemon.inspect(container)["Mounts"] if item["Destination"] == destination)


def test_a_named_volume_outlives_its_containers(volumes: Daemon) -> None:
    """What one container writes the next one reads; ``rm -v`` leaves what has a name."""
    volumes.ok("run", "--rm", "-v", "data:/d", "tiny", "sh", "-c", "echo kept > /d/f")
    volumes.ok("run", "--name", "two", "-v", "data:/d:ro", "tiny", "cat", "/d/f")
    assert volumes.ok("logs", "two") == "kept"
    assert point(volumes, "two", "/d")["RW"] is False
    volumes.ok("rm", "-v", "two")
    assert "data" in names(volumes)
    assert (volumes.root / "data/volumes/data/_data/f").read_text() == "kept\n"


def test_a_new_volume_begins_with_the_image_s_files(volumes: Daemon) -> None:
    """Owner, modes, links and hard links too; a volume that has something already, and one with nocopy, does not."""
    archive = volumes.root / "image.tar"
    source = volumes.root / "image"
    (source / "v/deep").mkdir(parents=True)
    (source / "v/deep/f").write_text("from the image")
    os.link(source / "v/deep/f", source / "v/hard")
    (source / "v/link").symlink_to("/etc/passwd")
    (source / "v").chmod(0o2750)
    os.chown(source / "v", 12, 34)
    subprocess.run(["tar", "-C", source, "-cf", archive, "."], check=True)
    volumes.ok("import", "-c", "VOLUME /v", "-c", "CMD x", str(archive), "hasvolume")
    volumes.ok("create", "-v", "first:/v", "hasvolume")
    files = volumes.root / "data/volumes/first/_data"
    status = files.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o2750, 12, 34)
    assert (files / "link").readlink() == Path("/etc/passwd")
    assert (files / "hard").samefile(files / "deep/f")
    (files / "hard").unlink()
    volumes.ok("create", "-v", "first:/v", "hasvolume")
    assert not (files / "hard").exists()
    volumes.ok("create", "--mount", "type=volume,src=second,dst=/v,volume-nocopy", "hasvolume")
    assert not [*(volumes.root / "data/volumes/second/_data").iterdir()]
    volumes.ok("create", "--name", "own", "hasvolume")
    assert Path(point(volumes, "own", "/v")["Source"], "deep/f").read_text() == "from the image"
    volumes.ok("rmi", "-f", "hasvolume")


def test_volumes_without_a_name_go_with_their_container(volumes: Daemon) -> None:
    """With ``rm -v`` and ``--rm``; without, they stay and dangle, and one that another container has stays too."""
    volumes.ok("run", "--rm", "-v", "/a", "--mount", "type=volume,dst=/b", "tiny", "true")
    assert names(volumes) == []
    volumes.ok("create", "--name", "one", "-v", "/a", "tiny", "true")
    volumes.ok("create", "--name", "two", "--volumes-from", "one", "tiny", "true")
    (name,) = names(volumes)
    assert len(name) == 64 and names(volumes, "dangling=true") == []
    volumes.ok("rm", "-v", "one")
    assert names(volumes) == [name]
    volumes.ok("rm", "two")
    assert names(volumes, "dangling=true") == [name]
    assert name in volumes.ok("volume", "prune", "-f")


def test_volumes_from_another_container(volumes: Daemon) -> None:
    """Its volumes and binds, read-only if asked; what the container mounts itself at the same place wins."""
    bound = volumes.root / "bound"
    bound.mkdir()
    volumes.ok("create", "--name", "giver", "-v", "data:/d", "-v", f"{bound}:/b", "--tmpfs", "/t", "tiny", "true")
    script = "touch /b/x; touch /d/x; ls /t"
    taken = ["--volumes-from", "giver:ro", "-v", "other:/d"]
    done = volumes.docker("run", "--name", "taker", *taken, "tiny", "sh", "-c", script)
    assert "/b/x: Read-only file system" in done.stderr and "/t: No such file" in done.stderr
    assert point(volumes, "taker", "/d")["Name"] == "other"
    for words, text in ((("nope",), "No such container: nope"), (("giver:rslave",), "invalid mode: rslave")):
        refused = volumes.docker("create", "--volumes-from", *words, "tiny", "true")
        assert text in refused.stderr and refused.returncode == 1


def test_a_volume_in_use_is_not_removed(volumes: Daemon) -> None:
    """409 in Docker's words, whether the container runs or not; afterwards it goes, and its files with it."""
    container = volumes.ok("create", "-v", "data:/d", "tiny", "true")
    refused = volumes.docker("volume", "rm", "data")
    assert refused.stderr.strip() == f"Error response from daemon: remove data: volume is in use - [{container}]"
    assert volumes.request("DELETE", "/volumes/data?force=1")[0] == 409
    volumes.ok("rm", container)
    assert volumes.ok("volume", "rm", "data") == "data"
    assert not (volumes.root / "data/volumes/data").exists()
    assert volumes.request("DELETE", "/volumes/data")[0] == 404
    assert volumes.request("DELETE", "/volumes/data?force=1")[0] == 204


BAD_NAME = (
    'create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
    "allowed. If you intended to pass a host directory, use absolute path"
)
VOLUME, BIND = 'invalid mount config for type "volume": ', 'invalid mount config for type "bind": '
REFUSED = {
    "volume create x": "create x: volume name is too short, names should be at least two alphanumeric characters",
    "volume create a/b": BAD_NAME,
    "volume create -d foo bar": 'create bar: error looking up volume plugin foo: plugin "foo" not found',
    "volume create -o foo=bar opt": 'create opt: invalid option: "foo"',
    "volume create -o type=tmpfs opt": 'create opt: missing required option: "device"',
    "volume inspect nope": "get nope: no such volume",
    "create -v /x:ro tiny true": "invalid volume specification: '/x:ro'",
    "create -v aa:/x:foo tiny true": "invalid mode: foo",
    "create -v aa:/x -v bb:/x tiny true": "Duplicate mount point: /x",
    "create -v a/b:/x tiny true": BAD_NAME,
    "create -v aa:/ tiny true": f"invalid volume specification: 'aa:/': {VOLUME}"
    "invalid specification: destination can't be '/'",
    "create -v aa:x tiny true": f"invalid volume specification: 'aa:x': {VOLUME}"
    "invalid mount path: 'x' mount path must be absolute",
    "create -v /tmp:/x:nocopy tiny true": f"invalid volume specification: '/tmp:/x:nocopy': {BIND}"
    "field VolumeOptions must not be specified",
    "create -v aa:/x:rslave tiny true": f"invalid volume specification: 'aa:/x:rslave': {VOLUME}"
    "field BindOptions must not be specified",
    "create --mount type=bind,src=/nope,dst=/x tiny true": f"{BIND}bind source path does not exist: /nope",
    "create --mount type=volume,dst=/x,readonly tiny true": f"{VOLUME}"
    "must not set ReadOnly mode when using anonymous volumes",
    "create --mount type=volume,src=aa,dst=/x,volume-subpath=../x tiny true": f"{VOLUME}"
    "subpath must be a relative path within the volume",
}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param(words, text, marks=words_of_docker_28 if "inspect" in words or "subpath" in words else ())
        for words, text in REFUSED.items()
    ],
)
def test_what_cannot_be_meant_is_refused_in_dockers_words(volumes: Daemon, words: str, text: str) -> None:
    """The text is what Debian's dockerd says; nothing is left behind."""
    refused = volumes.docker(*words.split())
    assert refused.stderr.strip().splitlines()[-1] == f"Error response from daemon: {text}"
    assert refused.returncode == 1 and names(volumes) == []


def test_list_filters_and_labels(volumes: Daemon) -> None:
    """By name, label, driver and whether anybody has it; all filters must hold."""
    volumes.ok("volume", "create", "--label", "a=b", "--label", "c", "one")
    volumes.ok("volume", "create", "two")
    assert names(volumes, "label=a") == names(volumes, "label=a=b", "name=on") == ["one"]
    assert names(volumes, "label=a=c") == names(volumes, "driver=nfs") == []
    assert names(volumes, "name=o", "dangling=true") == ["one", "two"]
    refused = volumes.docker("volume", "ls", "-f", "foo=x")
    assert refused.stderr.strip() == "Error response from daemon: invalid filter 'foo'"
    again = volumes.json("POST", "/volumes/create", {"Name": "one", "Labels": {"x": "y"}})
    assert again["Labels"] == {"a": "b", "c": ""}
    assert volumes.json("GET", "/volumes/one") | {"CreatedAt": "", "Mountpoint": ""} == {
        "CreatedAt": "", "Driver": "local", "Labels": {"a": "b", "c": ""}, "Mountpoint": "", "Name": "one",
        "Options": None, "Scope": "local",
    }  # fmt: skip


def test_prune_takes_what_nobody_uses(volumes: Daemon) -> None:
    """Only volumes without a name, unless all are asked for; labels choose; how many bytes that gave."""
    volumes.ok("volume", "create", "named")
    volumes.ok("volume", "create", "--label", "keep", "kept")
    (volumes.root / "data/volumes/named/_data/f").write_bytes(bytes(1000))
    nameless = volumes.ok("volume", "create")
    volumes.ok("create", "-v", "used:/u", "tiny", "true")
    assert volumes.json("POST", "/volumes/prune")["VolumesDeleted"] == [nameless]
    done = volumes.json("POST", '/volumes/prune?filters={"all":["true"],"label!":["keep"]}')
    assert done == {"VolumesDeleted": ["named"], "SpaceReclaimed": 1000}
    assert names(volumes) == ["kept", "used"]
    assert volumes.json("POST", "/volumes/prune") == {"VolumesDeleted": None, "SpaceReclaimed": 0}


def test_the_local_driver_mounts_from_first_use_to_last(volumes: Daemon) -> None:
    """A tmpfs that two containers share while one of them runs, and that is gone when none does."""
    volumes.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=1770", "ram")
    volumes.ok("run", "-d", "--name", "one", "-v", "ram:/d", "tiny", "sh", "-c", "echo shared > /d/f; sleep 1000")
    wait_for(lambda: volumes.docker("exec", "one", "cat", "/d/f").stdout == "shared\n", "the file")
    seen = volumes.ok("run", "--rm", "-v", "ram:/d", "tiny", "sh", "-c", "cat /d/f; df /d | tail -1")
    assert seen.startswith("shared\ntmpfs") and mounted(volumes, "ram")
    volumes.ok("rm", "-f", "one")
    wait_for(lambda: not mounted(volumes, "ram"), "the volume to be unmounted")
    assert volumes.ok("run", "--rm", "-v", "ram:/d", "tiny", "ls", "/d") == ""


def test_the_local_driver_binds(volumes: Daemon) -> None:
    """``type=none,o=bind``: another directory of the host under a volume's name; read-only if it says so."""
    there = volumes.root / "there"
    there.mkdir()
    (there / "f").write_text("there")
    for name, options in (("bound", "bind"), ("readable", "bind,ro")):
        volumes.ok("volume", "create", "-o", "type=none", "-o", f"device={there}", "-o", f"o={options}", name)
    assert volumes.ok("run", "--rm", "-v", "bound:/d", "tiny", "sh", "-c", "cat /d/f; echo x > /d/g") == "there"
    assert "Read-only" in volumes.docker("run", "--rm", "-v", "readable:/d", "tiny", "touch", "/d/f").stderr
    assert (there / "g").read_text() == "x\n"
    volumes.ok("volume", "rm", "bound", "readable")
    assert (there / "f").exists()


def test_what_cannot_be_mounted_is_said_and_leaves_nothing(volumes: Daemon) -> None:
    """Docker's words, with the kernel's reason; NFS goes to the kernel with its address resolved."""
    volumes.ok("volume", "create", "-o", "type=none", "-o", "device=/nope", "-o", "o=bind", "bad")
    path = volumes.json("GET", "/volumes/bad")["Mountpoint"]
    refused = volumes.docker("run", "--rm", "-v", "bad:/x", "tiny", "true")
    text = f"error while mounting volume '{path}': failed to mount local volume: mount /nope:{path}, flags: 0x1000: "
    assert text + "no such file or directory" in refused.stderr
    volumes.ok("volume", "create", "-o", "type=nfs", "-o", "device=:/x", "-o", "o=addr=localhost,soft", "nfs")
    refused = volumes.docker("run", "--rm", "-v", "nfs:/x", "tiny", "true")
    assert "data: addr=127.0.0.1,soft" in refused.stderr or "data: addr=::1,soft" in refused.stderr
    volumes.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=bogus", "ram")
    path = volumes.json("GET", "/volumes/ram")["Mountpoint"]
    refused = volumes.docker("run", "--rm", "-v", "ram:/x", "tiny", "true")
    assert f"failed to mount local volume: mount tmpfs:{path}, data: bogus: invalid argument" in refused.stderr
    assert volumes.ok("ps", "-aq") == "" and names(volumes) == ["bad", "nfs", "ram"]


@words_of_docker_28
def test_a_subpath_stays_in_its_volume(volumes: Daemon) -> None:
    """A directory of a volume; links in it lead to places in it, and what does not exist is an error."""
    script = "mkdir -p /d/in/side; ln -s /in /d/link; ln -s ../.. /d/up"
    volumes.ok("run", "--rm", "-v", "data:/d", "tiny", "sh", "-c", script)
    for subpath, seen in (("in", "side"), ("link/side", ""), ("up", "in\nlink\nup")):
        mount = f"type=volume,src=data,dst=/x,volume-subpath={subpath}"
        assert volumes.ok("run", "--rm", "--mount", mount, "tiny", "ls", "/x") == seen
    refused = volumes.docker("run", "--rm", "--mount", "type=volume,src=data,dst=/x,volume-subpath=no", "tiny", "true")
    assert "bind source path does not exist" in refused.stderr


def test_binds_of_files_and_of_what_is_not_there(volumes: Daemon) -> None:
    """A file; a missing directory, made; deep destinations and one mount below another."""
    file, missing = volumes.root / "file", volumes.root / "missing/deep"
    file.write_text("bound")
    bound = ["-v", f"{file}:/a/b/c", "-v", f"{missing}:/a", "-v", f"{file}:/f:ro"]
    script = "cat /a/b/c; echo x > /a/new; echo y > /f"
    done = volumes.docker("run", "--rm", *bound, "tiny", "sh", "-c", script)
    assert done.stdout == "bound" and "/f: Read-only file system" in done.stderr
    assert (missing / "new").read_text() == "x\n" and file.read_text() == "bound"


@words_of_docker_28
def test_recursion_and_read_only_reach_the_mounts_below(volumes: Daemon) -> None:
    """A bind takes what is mounted below along, read-only too; bind-recursive says otherwise."""
    top = volumes.root / "top"
    (top / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", top / "below"], check=True)
    try:
        (top / "below/f").write_text("f")
        seen = {}
        for how in ("ro", "ro,bind-recursive=writable", "ro,bind-recursive=disabled"):
            mount = f"type=bind,src={top},dst=/x,{how}"
            script = "ls /x/below; touch /x/below/g 2>&1; touch /x/g 2>&1 | grep -c Read-only"
            seen[how] = volumes.docker("run", "--rm", "--mount", mount, "tiny", "sh", "-c", script).stdout.splitlines()
    finally:
        subprocess.run(["umount", top / "below"], check=True)
    assert seen["ro"] == ["f", "touch: /x/below/g: Read-only file system", "1"]
    assert seen["ro,bind-recursive=writable"] == ["f", "1"]
    assert seen["ro,bind-recursive=disabled"] == ["touch: /x/below/g: Read-only file system", "1"]


@pytest.mark.parametrize("propagation", ["rprivate", "rslave", "rshared"])
def test_mounts_travel_as_the_propagation_says(volumes: Daemon, propagation: str) -> None:
    """A later mount of the host is seen with slave and shared, one of the container's on the host with shared only."""
    top = volumes.root / propagation
    (top / "host").mkdir(parents=True)
    (top / "inside").mkdir()
    for words in (["--bind", top, top], ["--make-shared", top]):
        subprocess.run(["mount", *map(str, words)], check=True)
    try:
        privileged = ["--privileged", "--name", "watcher", "-v", f"{top}:/x:{propagation}"]
        volumes.ok("run", "-d", *privileged, "tiny", "sleep", "1000")
        subprocess.run(["mount", "-t", "tmpfs", "seen", top / "host"], check=True)
        volumes.ok("exec", "watcher", "mount", "-t", "tmpfs", "heard", "/x/inside")
        inside = "seen on /x/host" in volumes.ok("exec", "watcher", "mount")
        outside = any(mount.source == "heard" for mount in mounts.mounts())
        assert (inside, outside) == (propagation != "rprivate", propagation == "rshared")
        volumes.ok("rm", "-f", "watcher")
    finally:
        for path in (top / "inside", top / "host", top):
            subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL)


def test_a_propagation_that_cannot_be_is_refused(volumes: Daemon) -> None:
    """The mount that the source is on must pass mounts on itself."""
    top = volumes.root / "private"
    top.mkdir()
    for words in (["--bind", top, top], ["--make-private", top]):
        subprocess.run(["mount", *map(str, words)], check=True)
    try:
        refused = volumes.docker("run", "--rm", "-v", f"{top}:/x:rshared", "tiny", "true")
        assert f"path {top} is mounted on {top} but it is not a shared mount" in refused.stderr
    finally:
        subprocess.run(["umount", top], check=True)


def test_tmpfs_has_its_size_and_mode(volumes: Daemon) -> None:
    """Both spellings; nothing of it is on the disk."""
    mounted_ = ["--mount", "type=tmpfs,dst=/m,tmpfs-size=1m,tmpfs-mode=1770", "--tmpfs", "/t:size=2m,mode=700,exec"]
    script = "grep -E ' /[mt] ' /proc/mounts; ls -ld /m | cut -c-10"
    seen = volumes.ok("run", "--rm", *mounted_, "tiny", "sh", "-c", script)
    assert seen.splitlines() == [
        "tmpfs /m tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=1770 0 0",
        "tmpfs /t tmpfs rw,nosuid,nodev,relatime,size=2048k,mode=700 0 0",
        "drwxrwx--T",
    ]


def test_a_volume_over_etc_leaves_the_names(volumes: Daemon) -> None:
    """/etc/hosts, hostname and resolv.conf stay the container's own on top of a volume at /etc."""
    script = "cat /etc/hostname; head -1 /etc/passwd"
    seen = volumes.ok("run", "--rm", "-h", "box", "-v", "etc:/etc", "tiny", "sh", "-c", script)
    assert seen.startswith("box\nroot:")


def test_events_tell_a_volume_s_life(volumes: Daemon) -> None:
    """create, mount, unmount, destroy, with what Docker says of each."""
    start = volumes.json("GET", "/info")["SystemTime"]
    volumes.ok("volume", "create", "data")
    container = volumes.ok("create", "-v", "data:/d:ro", "tiny", "true")
    volumes.ok("start", "-a", container)
    volumes.ok("rm", container)
    volumes.ok("volume", "rm", "data")
    end = volumes.json("GET", "/info")["SystemTime"]
    lines = volumes.ok("events", "--since", start, "--until", end, "-f", "type=volume", "--format", "{{json .}}")
    events = [json.loads(line) for line in lines.splitlines()]
    assert [event["Action"] for event in events] == ["create", "mount", "unmount", "destroy"]
    assert {event["Actor"]["ID"] for event in events} == {"data"}
    assert events[1]["Actor"]["Attributes"] == {
        "container": container, "destination": "/d", "driver": "local", "propagation": "", "read/write": "false",
    }  # fmt: skip


def test_after_a_crash_volumes_are_what_the_records_say() -> None:
    """Killed while one container with a mounted volume runs and another ends: one stays mounted, one is released."""
    with running_daemon() as daemon:
        for name in ("stays", "goes"):
            daemon.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", name)
            daemon.ok("run", "-d", "--name", name, "-v", f"{name}:/d", "-v", "/anonymous", "tiny", "sleep", "1000")
        daemon.ok("volume", "create", "plain")
        goes = daemon.inspect("goes")["State"]["Pid"]
        daemon.kill()
        os.kill(goes, 9)
        wait_for(lambda: not Path(f"/proc/{goes}/root/d").exists(), "the container's end")
        (daemon.root / "data/volumes/lost/_data").mkdir(parents=True)
        (daemon.root / "data/volumes/lost/_data/f").write_text("somebody's")
        (daemon.root / "data/volumes/.rm-half/_data").mkdir(parents=True)
        daemon.start()
        assert mounted(daemon, "stays") and not mounted(daemon, "goes")
        assert {"lost", "plain", "stays"} <= set(names(daemon))
        assert not (daemon.root / "data/volumes/.rm-half").exists()
        assert daemon.request("DELETE", "/volumes/stays")[0] == 409
        assert daemon.ok("run", "--rm", "-v", "lost:/d", "tiny", "cat", "/d/f") == "somebody's"
        daemon.ok("rm", "-f", "-v", "stays", "goes")
        wait_for(lambda: not mounted(daemon, "stays"), "the volume to be unmounted")
        assert sorted(names(daemon)) == ["goes", "lost", "plain", "stays"]


def test_one_name_asked_for_by_many_is_one_volume(volumes: Daemon) -> None:
    """Ten containers created at once with one new volume; a removal meanwhile never takes it from under them."""
    started = [
        volumes.popen("create", "-v", "data:/d", "tiny", "true", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(10)
    ]
    while any(process.poll() is None for process in started):
        assert volumes.request("DELETE", "/volumes/data")[0] in (204, 404, 409)
    outcome = [(process.communicate()[1], process.returncode) for process in started]
    assert all(code == 0 for _, code in outcome), outcome
    assert names(volumes, "dangling=false") == ["data"]
