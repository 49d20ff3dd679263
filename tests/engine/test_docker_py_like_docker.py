"""docker-py's object interface, told the same story on our daemon and on dockerd: the same answers."""

from __future__ import annotations

import io
import re
import tarfile
import time
from typing import Any

import docker
import docker.errors
import pytest

from tests.archives import archive, file
from tests.engine.harness import PATIENCE, running_daemon, tiny_archive
from tests.peers import dockerd

FILES = [file("first", b"1", mode=0o640, uid=7), file("second", b"22", mode=0o640, uid=7)]

pytestmark = [pytest.mark.root, pytest.mark.timeout(200)]


def members(pieces: Any) -> list[tuple[str, int, int, int]]:
    """What an archive has: names, modes (old daemons add the type's bits), owners, sizes."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as opened:
        return [(item.name, item.mode & 0o7777, item.uid, item.size) for item in opened]


def shape(document: Any) -> Any:
    """Keys and types."""
    if isinstance(document, dict):
        return {key: shape(value) for key, value in sorted(document.items())}
    return type(document).__name__


def failure(call: Any) -> tuple[str, int, str]:
    """The class, the status and the words of an error, in so far as they are those of newer daemons than 20.10, too."""
    with pytest.raises(docker.errors.APIError) as caught:
        call()
    text = re.sub("[0-9a-f]{64}", "ID", str(caught.value.explanation))
    text = re.sub(": No such image: .*", "", text).replace("Container ID", "Container one")
    return type(caught.value).__name__, caught.value.status_code, text[:1].lower() + text[1:]


def output(client: Any, image: str, command: Any = None, **options: Any) -> bytes:
    """What a container wrote by its end. Asked for after the end: dockerd 20.10, asked while a container ends as
    ``containers.run`` asks, now and then says nothing.
    """
    container = client.containers.run(image, command, detach=True, network_mode="none", **options)
    container.wait()
    written = container.logs()
    container.remove()
    return bytes(written)


def containers(client: Any) -> dict[str, Any]:
    """A container's life."""
    told: dict[str, Any] = {}
    program = "trap 'echo bye; exit 4' TERM; echo out; echo err >&2; while true; do sleep 0.1; done"
    one = client.containers.run(
        "tiny", ["sh", "-c", program], name="one", detach=True, network_mode="none", labels={"a": "b"}, mem_limit="64m"
    )
    lines = one.logs(stream=True, follow=True)
    told["logs"] = sorted([next(lines), next(lines)])
    lines.close()
    told["top"] = one.top()["Titles"], len(one.top()["Processes"]) > 0
    told["exec"] = one.exec_run(["sh", "-c", "echo o; echo e >&2; exit 3"], demux=True)
    told["exec as"] = one.exec_run("id -u", user="7", workdir="/tmp", environment={"X": "1"})
    told["exec missing"] = one.exec_run("nosuch")[0] in (126, 127)
    told["stream"] = b"".join(one.exec_run("sh -c 'echo 1; echo 2'", stream=True).output)
    told["put"] = one.put_archive("/tmp", archive(FILES))
    told["get"] = members(one.get_archive("/tmp/first")[0]), one.get_archive("/tmp/first")[1]["size"]
    told["get missing"] = failure(lambda: one.get_archive("/nosuch"))
    told["diff"] = sorted((item["Path"], item["Kind"]) for item in one.diff())
    stats = one.stats(stream=True, decode=True)
    first, second = next(stats), next(stats)
    stats.close()
    told["stats"] = second["memory_stats"]["limit"], set(second["precpu_stats"]) == set(first["cpu_stats"])
    one.pause()
    one.reload()
    told["paused"] = one.status, failure(lambda: one.exec_run("true"))
    one.unpause()
    one.rename("uno")
    told["update"] = one.update(mem_limit="32m", memswap_limit="64m")
    one.reload()
    told["renamed"] = one.name, one.attrs["HostConfig"]["Memory"], one.labels
    told["filters"] = [item.name for item in client.containers.list(filters={"label": "a=b", "status": "running"})]
    image = one.commit("made", tag="1", changes=['CMD ["cat", "/tmp/second"]'], author="me")
    told["committed"] = image.tags, image.attrs["Config"]["Cmd"], image.attrs["Author"]
    told["made"] = output(client, "made:1")
    one.stop(timeout=5)
    told["exit"] = one.wait()["StatusCode"], one.logs(stdout=True, stderr=False), one.logs(tail=1)
    told["twice"] = failure(lambda: client.containers.create("tiny", name="uno"))
    told["export"] = ("tmp/second", 0o640, 7, 2) in members(one.export())
    one.remove()
    told["gone"] = failure(lambda: client.containers.get("uno"))
    return told


def images(client: Any) -> dict[str, Any]:
    """Images and archives of them."""
    told: dict[str, Any] = {}
    made = client.images.get("made:1")
    told["layers"] = len(made.attrs["RootFS"]["Layers"]), made.attrs["Os"], len(made.history())
    told["tag"] = made.tag("other/name", "2"), sorted(client.images.get("made:1").tags)
    data = b"".join(made.save(named="made:1"))
    client.images.remove("made:1")
    client.images.remove("other/name:2")
    told["missing"] = failure(lambda: client.images.get("made:1"))
    told["load"] = [image.tags for image in client.images.load(data)]
    told["again"] = output(client, "made:1")
    built, lines = client.images.build(fileobj=io.BytesIO(b"FROM tiny\nENV A=1\nCMD echo $A\n"), tag="built", rm=True)
    told["build"] = built.tags, [line["stream"].split(" : ")[0] for line in lines if "Step" in line.get("stream", "")]
    told["bad build"] = _fails(lambda: client.images.build(fileobj=io.BytesIO(b"FROM")))
    told["list"] = sorted(tag for image in client.images.list(filters={"reference": "ma*"}) for tag in image.tags)
    told["in use"] = _in_use(client)
    return told


def _fails(call: Any) -> bool:
    try:
        call()
    except (docker.errors.BuildError, docker.errors.APIError):
        return True
    return False


def _in_use(client: Any) -> tuple[str, int]:
    user = client.containers.create("built", network_mode="none")
    kind, status, _ = failure(lambda: client.images.remove("built"))
    user.remove()
    return kind, status


def volumes_and_events(client: Any) -> dict[str, Any]:
    """Volumes; and what was told about all of it."""
    told: dict[str, Any] = {}
    since = int(time.time())
    volume = client.volumes.create("data", labels={"x": "y"})
    told["volume"] = shape({key: volume.attrs[key] for key in ("Name", "Driver", "Labels", "Scope", "Options")})
    mount = {"data": {"bind": "/data", "mode": "rw"}}
    write = ["sh", "-c", "echo kept > /data/file"]
    client.containers.run("tiny", write, remove=True, network_mode="none", volumes=mount, name="writer")
    told["kept"] = output(client, "tiny", "cat /data/file", volumes=mount)
    told["listed"] = [item.name for item in client.volumes.list(filters={"label": "x=y"})]
    volume.remove()
    told["no volume"] = failure(lambda: client.volumes.get("data"))[:2]
    time.sleep(1.1)  # until= is in whole seconds
    events = client.events(since=since, until=int(time.time()), filters={"container": "writer"}, decode=True)
    told["events"] = [(event["Type"], event["Action"]) for event in events]
    found = client.events(since=since, until=int(time.time()), filters={"volume": "data"}, decode=True)
    # 20.10 says "create" again for each container.
    told["of the volume"] = [event["Action"] for event in found if event["Action"] != "create"]
    told["info"] = {"Containers", "Images", "Driver", "MemTotal", "NCPU", "ServerVersion"} <= set(client.info())
    told["df"] = set(client.df()) >= {"Images", "Containers", "Volumes", "LayersSize"}
    told["prune"] = client.containers.prune()["ContainersDeleted"]
    return told


@pytest.fixture(scope="module")
def stories() -> dict[str, list[dict[str, Any]]]:
    """What each of the stories was told, by dockerd and by us."""
    told: dict[str, list[dict[str, Any]]] = {}
    with running_daemon(image=False) as ours, dockerd("--bridge=none", "--iptables=false") as theirs:
        for host in (theirs.host, ours.host):
            client = docker.DockerClient(base_url=host, version="auto", timeout=int(PATIENCE))
            client.api.import_image_from_data(tiny_archive(), repository="tiny")
            for story in (containers, images, volumes_and_events):
                told.setdefault(story.__name__, []).append(story(client))
            for image in client.images.list():
                client.images.remove(image.id, force=True)
            client.close()
    return told


@pytest.mark.parametrize("story", ["containers", "images", "volumes_and_events"])
def test_the_same_story(stories: dict[str, list[dict[str, Any]]], story: str) -> None:
    """Answer by answer."""
    theirs, ours = stories[story]
    assert ours == theirs
