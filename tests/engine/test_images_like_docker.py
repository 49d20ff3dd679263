"""Images, made and looked at by Docker's command line: to our daemon and to dockerd: the same answers."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engine.harness import Daemon, running_daemon, tiny_archive
from tests.peers import Dockerd, dockerd

pytestmark = pytest.mark.root


class Both:
    """Two daemons that are told the same."""

    def __init__(self, ours: Daemon, theirs: Dockerd) -> None:
        self.ours = ours
        self.theirs = theirs

    def say(self, *words: str, stdin: bytes = b"") -> tuple[str, str]:
        """The output of a command that both carry out."""
        theirs = self.theirs.docker(*words, stdin=stdin)
        assert theirs.returncode == 0, theirs.stderr
        return self.ours.ok(*words, input=stdin), theirs.stdout.decode().rstrip("\n")

    def refuse(self, *words: str) -> tuple[str, str]:
        """The errors of a command that both refuse."""
        ours, theirs = self.ours.docker(*words), self.theirs.docker(*words, stdin=b"")
        assert ours.returncode == theirs.returncode != 0
        return ours.stderr.strip(), theirs.stderr.decode().strip()

    def inspect(self, name: str) -> tuple[Any, Any]:
        """What both say of an image."""
        ours, theirs = self.say("image", "inspect", name)
        return json.loads(ours)[0], json.loads(theirs)[0]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Ours and theirs, with the image ``tiny`` and a container ``made`` that changed some files."""
    with running_daemon(image=False) as ours, dockerd("--bridge=none", "--iptables=false") as theirs:
        found = Both(ours, theirs)
        words = ["-c", "ENV PATH=/bin A=1", "-c", "LABEL a=b", "-c", "VOLUME /data"]
        found.say("import", *words, "-m", "by hand", "-", "tiny", stdin=tiny_archive())
        script = "echo new > /etc/new; rm /etc/group; mkdir /d; ln -s new /etc/link; chmod 700 /root"
        run = ["run", "--network", "none", "--name", "made", "-e", "B=2", "-w", "/d", "-l", "x=y"]
        found.say(*run, "tiny", "sh", "-c", script)
        yield found
        theirs.docker("rm", "-f", "made")


def config(image: Any) -> dict[str, Any]:
    """An image's configuration: what was said, without names of containers and without fields that are empty."""
    said = {name: value for name, value in image["Config"].items() if value}
    # dockerd 20.10 also keeps how the container was attached; the image-spec knows nothing of that.
    return {name: said[name] for name in said if name not in ("Hostname", "AttachStdout", "AttachStderr", "Image")}


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["CMD echo hi"],
        ['ENTRYPOINT ["/bin/echo", "a b"]'],
        ["ENTRYPOINT []"],
        ['ENTRYPOINT ["/bin/echo"]', 'CMD ["x"]'],
        ["ENV B=3 C='two words'", "ENV D four five", "LABEL x=z l='1 2'"],
        ["EXPOSE 80 53/udp", "USER 1:2", "WORKDIR /tmp", "VOLUME /a /b", 'VOLUME ["/c d"]'],
        ["HEALTHCHECK --interval=5s --retries=2 CMD true", "ONBUILD RUN echo x"],
        ['HEALTHCHECK CMD ["true", "x"]', "LABEL x=z"],
        ["HEALTHCHECK NONE"],
    ],
    ids=lambda changes: " ".join(changes)[:30] or "nothing",
)
def test_commit_configures_as_dockerd(both: Both, changes: list[str]) -> None:
    """The container's configuration, changed by instructions, is the image's."""
    flags = [word for change in changes for word in ("-c", change)]
    both.say("commit", "-a", "me", "-m", "why", *flags, "made", "committed:1")
    ours, theirs = both.inspect("committed:1")
    assert config(ours) == config(theirs)
    assert [ours[name] for name in ("Author", "Comment", "RepoTags", "Os")] == ["me", "why", ["committed:1"], "linux"]


def test_a_commit_holds_what_was_changed(both: Both) -> None:
    """Files, modes, links and what is gone: a container of the new image sees the same on both; and so says history."""
    both.say("commit", "made", "files")
    look = "cat /etc/new; ls /etc; readlink /etc/link; ls -ld /root /d | cut -c1-10"
    ours, theirs = both.say("run", "--rm", "--network", "none", "files", "sh", "-c", look)
    assert ours == theirs
    history = ["history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", "files"]
    ours, theirs = both.say(*history)
    assert ours == theirs
    sizes = [both.say("history", "--human=false", "--format", "{{.Size}}", "files")[0].splitlines()[0]]
    assert sizes == ["4"]


def test_nothing_changed_is_no_layer(both: Both) -> None:
    """A container that wrote nothing adds a line of history, and no layer."""
    both.say("import", "-", "bare", stdin=tiny_archive())
    both.say("run", "--network", "none", "--name", "idle", "bare", "true")
    both.say("commit", "idle", "same")
    both.say("rm", "idle")
    for image in both.inspect("same"):
        assert len(image["RootFS"]["Layers"]) == 1
    assert [len(text.splitlines()) for text in both.say("history", "-q", "same")] == [2, 2]


def test_what_commit_refuses(both: Both) -> None:
    """In dockerd's words: a container that is not there, an instruction that is none, a name that is none."""
    for words in (
        ["commit", "nobody"],
        ["commit", "-c", "FROM x", "made"],
        ["commit", "made", "UPPER"],
        ["commit", "made", "x@sha256:" + "0" * 64],
    ):
        ours, theirs = both.refuse(*words)
        assert ours.lower() == theirs.lower()


def test_a_running_container_stands_still(both: Both) -> None:
    """It is paused while its files are read, and goes on; with --pause=false it is left alone."""
    daemon = both.ours
    daemon.ok("run", "-d", "--name", "busy", "--network", "none", "tiny", "sh", "-c", "while :; do :; done")
    for flags in ([], ["--pause=false"]):
        daemon.ok("rmi", daemon.ok("commit", *flags, "busy"))
        assert daemon.inspect("busy")["State"]["Status"] == "running"
    actions = [event["Action"] for event in events(daemon) if event["Actor"]["Attributes"].get("name") == "busy"]
    assert actions[-5:] == ["start", "pause", "unpause", "commit", "commit"]
    daemon.ok("rm", "-f", "busy")


def events(daemon: Daemon) -> list[dict[str, Any]]:
    """All that happened."""
    status, body = daemon.request("GET", f"/events?since=1&until={time.time()}")
    assert status == 200
    return [json.loads(line) for line in body.splitlines()]


def test_filters(both: Both) -> None:
    """reference, label, dangling, before, since as dockerd understands them; until is newer."""
    both.say("tag", "tiny", "localhost:5000/a/b:1")
    both.say("commit", "-c", "LABEL only=here", "made", "later")
    both.say("commit", "-c", "LABEL dangling=yes", "made")
    for condition in (
        "reference=tiny", "reference=t*", "reference=*:1", "reference=*/*/*:1", "reference=*", "reference=[a-t]iny",
        "label=only", "label=only=here", "label=only=there", "dangling=true", "dangling=false",
        "before=later", "since=tiny",
    ):  # fmt: skip
        shown = ["images", "--filter", condition, "--format", "{{.Repository}}:{{.Tag}}"]
        ours, theirs = both.say(*shown)
        assert sorted(ours.splitlines()) == sorted(theirs.splitlines()), condition
    assert both.ours.ok("images", "-q", "--filter", "until=1h") == ""


def test_prune(both: Both) -> None:
    """Dangling ones; with -a all that no container uses; never those with a label that is excepted."""
    for label in ("keep=1", "go=1"):
        both.say("commit", "-c", f"LABEL {label}", "made", "for-prune")
    for words in (
        ["--filter", "label=nothing"],
        ["--filter", "label!=keep"],
        [],
        ["-a", "--filter", "until=1h"],
        ["-a", "--filter", "label=go"],
    ):
        ours, theirs = both.say("image", "prune", "-f", *words)
        assert shape(ours) == shape(theirs), words
    left = [sorted(text.splitlines()) for text in both.say("images", "--format", "{{.Repository}}:{{.Tag}}")]
    assert left[0] == left[1]


def shape(text: str) -> list[str]:
    """Which kinds of lines, however many layers have gone: ids differ, and sizes are measured differently."""
    return sorted({re.sub(r"sha256:[0-9a-f]{64}|[\d.]+ ?k?M?B", "…", line) for line in text.splitlines()})


def test_import_from_a_url(both: Both) -> None:
    """fromSrc may be a URL, which the daemon fetches in its own network; what is not there is an error."""
    daemon = both.ours
    (daemon.root / "served").mkdir()
    (daemon.root / "served" / "root.tar").write_bytes(tiny_archive())
    serve = ["python3", "-u", "-m", "http.server", "-b", "127.0.0.1", "-d", f"{daemon.root}/served", "8999"]
    server = subprocess.Popen([*daemon.inside(), *serve], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        image = daemon.ok("import", "http://127.0.0.1:8999/root.tar", "fetched:1").splitlines()[-1]
        assert daemon.json("GET", "/images/fetched:1/json")["Id"] == image
        missing = daemon.docker("import", "http://127.0.0.1:8999/nothing", "x")
        assert "404" in missing.stderr
        assert missing.returncode == 1
    finally:
        server.kill()
        server.wait()


def archives(both: Both, *names: str) -> list[bytes]:
    """What each of them saves."""
    found = []
    for host in (both.ours.host, both.theirs.host):
        done = subprocess.run(["docker", "-H", host, "save", *names], capture_output=True, check=True)
        found.append(done.stdout)
    return found


def test_each_loads_what_the_other_saved(both: Both) -> None:
    """Names, ids, and what a container of the image sees; the lines that scripts read are the same."""
    both.say("commit", "-c", "LABEL saved=1", "made", "saved:1")
    both.say("tag", "saved:1", "localhost:5000/saved:2")
    ours, theirs = archives(both, "saved:1", "localhost:5000/saved:2", "tiny")
    ids = [both.say("images", "-q", "--no-trunc", name) for name in ("saved:1", "tiny")]
    told = both.theirs.docker("load", stdin=ours).stdout.decode(), both.ours.ok("load", input=theirs)
    lines = [sorted(line for line in text.splitlines() if line.startswith("Loaded")) for text in told]
    assert (
        lines[0]
        == lines[1]
        == [f"Loaded image: {name}" for name in ("localhost:5000/saved:2", "saved:1", "tiny:latest")]
    )
    moved = [line for line in told[1].splitlines() if "already exists" in line]
    assert f"The image saved:1 already exists, renaming the old one with ID {ids[0][0]} to empty string" in moved
    swapped = [both.say("images", "-q", "--no-trunc", name) for name in ("saved:1", "tiny")]
    assert swapped == [(theirs_, ours_) for ours_, theirs_ in ids]
    look = [
        "run",
        "--rm",
        "--network",
        "none",
        "saved:1",
        "sh",
        "-c",
        "cat /etc/new; ls -l /etc | wc -l; readlink /etc/link",
    ]
    assert len(set(both.say(*look))) == 1
    # And back, as it was for the other tests.
    both.theirs.docker("load", stdin=theirs)
    both.ours.ok("load", "-q", input=ours)


def test_load_and_save_by_id(both: Both) -> None:
    """Without a name the id is told; quiet or not; an archive that is none is refused in one line."""
    image = both.ours.ok("commit", "-c", "LABEL nameless=1", "made")
    data = subprocess.run(["docker", "-H", both.ours.host, "save", image], capture_output=True, check=True).stdout
    both.ours.ok("rmi", image)
    for quiet in ([], ["-q"]):
        assert both.ours.ok("load", *quiet, input=data).splitlines()[-1] == f"Loaded image ID: {image}"
    assert both.theirs.docker("load", "-q", stdin=data).stdout.decode() == f"Loaded image ID: {image}\n"
    both.ours.ok("rmi", image)
    both.theirs.docker("rmi", image)
    refused = both.ours.docker("load", input=b"this is no archive" * 100)
    assert refused.returncode == 1
    assert "archive header" in refused.stderr
    assert both.refuse("save", "nothing")[0] == both.refuse("save", "nothing")[1]


def test_events_of_images(both: Both) -> None:
    """The same actions in the same order; import and commit with a name are also a tag."""
    since = str(time.time())
    both.say("import", "-", "told", stdin=tiny_archive())
    both.say("tag", "told", "told:2")
    both.say("commit", "made", "told:3")
    ours, theirs = archives(both, "told:3")
    both.say("rmi", "told:3")
    both.ours.ok("load", "-q", input=ours)
    both.theirs.docker("load", "-q", stdin=theirs)
    both.say("rmi", "told:2", "told:3")
    shown = ["events", "--since", since, "--until", str(time.time()), "--format", "{{.Type}} {{.Action}} {{.Actor.ID}}"]
    seen = [re.sub("[0-9a-f]{64}", "ID", text).splitlines() for text in both.say(*shown)]
    # Two events of one moment have no order.
    assert [sorted(seen[0]), seen[0][-1:]] == [sorted(seen[1]), seen[1][-1:]]


def test_import_for_another_platform(both: Both) -> None:
    """The image says what it was said to be for. (dockerd has done so since 23.)"""
    both.ours.ok("import", "--platform", "linux/arm64", "-", "foreign", input=tiny_archive())
    assert both.ours.json("GET", "/images/foreign/json")["Architecture"] == "arm64"
    both.ours.ok("rmi", "foreign")


@pytest.mark.parametrize(
    ("names", "container", "words"),
    [
        ("r:1", "", "r:1"),
        ("r:1 r:2", "", "r:1"),
        ("r:1 r:2", "", "ID"),
        ("r:1 s:1", "", "ID"),
        ("r:1 s:1", "", "-f ID"),
        ("r:1", "", "SHORT"),
        ("", "", "ID"),
        ("r:1", "true", "r:1"),
        ("r:1", "true", "ID"),
        ("r:1", "true", "-f r:1"),
        ("r:1", "true", "-f ID"),
        ("", "true", "ID"),
        ("r:1 s:1", "true", "r:1"),
        ("r:1 r:2", "true", "ID"),
        ("r:1", "sleep 100", "r:1"),
        ("r:1", "sleep 100", "-f r:1"),
        ("r:1", "sleep 100", "-f ID"),
        ("r:1 s:1", "sleep 100", "-f ID"),
        ("r:1 s:1", "", "r:1 nobody s:1"),
        ("r:1", "", "-f nobody r:1"),
        ("", "", "-f nobody"),
        ("r:1", "", "r:2"),
    ],
)
def test_what_rmi_takes(both: Both, names: str, container: str, words: str) -> None:
    """By name and by id, in use or not: the same lines and exit code, and the same names and images left."""
    answers = []
    images = both.say("commit", "-c", f"LABEL rmi='{names} {container} {words}'", "made")
    daemons: tuple[Callable[..., Any], ...] = (both.ours.docker, both.theirs.docker)
    for daemon, image in zip(daemons, images, strict=True):
        for name in names.split():
            daemon("tag", image, name)
        if container:
            daemon("run", "-d", "--name", "user", "--network", "none", image, "sh", "-c", container)
        if container == "true":
            daemon("wait", "user")
        asked = [{"ID": image, "SHORT": image.removeprefix("sha256:")[:6]}.get(word, word) for word in words.split()]
        done = daemon("rmi", *asked)
        left = daemon("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")
        told = [plain(text, image) for text in (done.stdout, done.stderr, left.stdout)]
        answers.append([done.returncode, *told[:2], [line for line in told[2] if "OWN" in line]])
        daemon("rm", "-f", "user")
        daemon("rmi", "-f", image)
    assert answers[0] == answers[1]


def plain(text: str | bytes, image: str) -> list[str]:
    """The lines in any order, without other ids than the image's own: how many layers go is each one's affair."""
    lines = (text.decode() if isinstance(text, bytes) else text).splitlines()
    own = image.removeprefix("sha256:")
    named = (line.replace(own, "OWN").replace(own[:12], "OWN").replace(own[:6], "OWN") for line in lines)
    return sorted({re.sub(r"\b[0-9a-f]{12,64}\b", "OTHER", line) for line in named})


def test_an_image_that_others_stand_on(both: Both) -> None:
    """dockerd keeps it without a name, and refuses its id; ours lets it go. In both the others keep its layers."""
    both.say("commit", "-c", "LABEL is=parent", "made", "parent")
    both.say("run", "--name", "grown", "--network", "none", "parent", "sh", "-c", "echo grown > /grown")
    both.say("commit", "grown", "child")
    both.say("rm", "grown")
    ids = both.say("images", "-q", "--no-trunc", "parent")
    ours, theirs = both.say("rmi", "parent")
    assert ours == f"{theirs}\nDeleted: {ids[0]}"
    assert b"image has dependent child images" in both.theirs.docker("rmi", "-f", ids[1]).stderr
    for told in both.say("run", "--rm", "--network", "none", "child", "cat", "/etc/new", "/grown"):
        assert told == "new\ngrown"
