"""The same contexts through dockerd's classic builder and through ours: the same files, modes, owners, settings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minidock.images.archive import HARDLINK, Entry
from tests.archives import Item, archive, directory, file, symlink
from tests.engine.harness import Daemon, tiny_archive
from tests.peers import Dockerd, dockerd

pytestmark = pytest.mark.root

Docker = Callable[..., bytes]


@pytest.fixture(scope="module")
def peer() -> Iterator[Dockerd]:
    """One dockerd for all, with the same ``tiny``."""
    with dockerd() as running:
        running.docker("import", "-", "tiny", stdin=tiny_archive())
        yield running


def docker_of(host: str) -> Docker:
    """Docker's command line against one daemon."""

    def run(*arguments: str, stdin: bytes = b"") -> bytes:
        environment = os.environ | {"DOCKER_BUILDKIT": "0", "DOCKER_HOST": host}
        done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, timeout=60, env=environment)
        assert done.returncode == 0, f"{arguments}: {done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout

    return run


#: Every file: name, type and mode, owner, what a link says; then the sums of what is in files.
LIST = """
cd /
find . -xdev \\( -path ./proc -o -path ./sys -o -path ./dev \\) -prune -o -exec stat -c '%N %f %u:%g' {} + | sort
find . -xdev \\( -path ./proc -o -path ./sys -o -path ./dev \\) -prune -o -type f -exec md5sum {} + | sort
"""
#: What the engines put into a container themselves.
THEIRS = ("./etc/hosts", "./etc/hostname", "./etc/resolv.conf", "./.dockerenv", "./etc/mtab")


def files(docker: Docker, image: str) -> list[str]:
    """All files of an image, as a container sees them."""
    listed = docker("run", "--rm", "--network=none", "-u0", "--entrypoint=/bin/sh", image, "-c", LIST).decode()
    return [line for line in listed.split("\n") if not any(name in line for name in THEIRS)]


def settings(docker: Docker, image: str) -> dict[str, Any]:
    """The configuration, without what only one of the two has."""
    (inspected,) = json.loads(docker("inspect", image))
    names = "User ExposedPorts Env Cmd Volumes WorkingDir Entrypoint OnBuild Labels StopSignal Healthcheck Shell"
    config = {name: inspected["Config"].get(name) or None for name in names.split()}
    health = config["Healthcheck"]
    config["Healthcheck"] = health and {name: value for name, value in health.items() if value}
    return config | {"Author": inspected["Author"], "layers": len(inspected["RootFS"]["Layers"])}


def history(docker: Docker, image: str) -> list[str]:
    """What the history says that was done. Digests differ, dockerd forgets a blank, and prints a pointer."""
    lines = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).decode()
    for pattern, same in (("(file|dir|multi):[0-9a-f]{64}", r"\1:"), ("--chown=3:4 ?", ""), ("HEALTHCHECK .*", "")):
        lines = re.sub(pattern, same, lines)
    return lines.strip().split("\n")


def compare(daemon: Daemon, peer: Dockerd, dockerfile: str, items: list[Item] | None = None, *options: str) -> str:
    """Build with both, and demand the same; ours' text."""
    body = archive([file("Dockerfile", dockerfile.encode()), *(items or [])])
    ours, theirs = docker_of(daemon.host), docker_of(peer.host)
    texts = [docker("build", "-t", "built", *options, "-", stdin=body) for docker in (theirs, ours)]
    try:
        assert files(ours, "built") == files(theirs, "built")
        assert settings(ours, "built") == settings(theirs, "built")
        assert history(ours, "built") == history(theirs, "built")
    finally:
        for docker in (ours, theirs):
            docker("rmi", "-f", "built")
    return texts[1].decode()


def test_configuration(daemon: Daemon, peer: Dockerd) -> None:
    """Every instruction that changes the configuration."""
    compare(
        daemon,
        peer,
        """ARG V=1
        FROM tiny
        ARG V
        ARG W=${V:-x}-y
        MAINTAINER me
        ENV A=$V B="two words" C='$A' D=a\\ b
        ENV OLD form with "quotes" $A
        ENV A=${A:+set}
        LABEL x="y z" "q r"=1 multi="a\\
b"
        EXPOSE 80 $V/udp 7000-7001
        VOLUME /v1 /v2
        USER nobody:0
        WORKDIR /some/where
        WORKDIR ../else
        STOPSIGNAL 9
        HEALTHCHECK --interval=1m --timeout=3s --start-period=2s --retries=4 CMD ["a", "b"]
        ENTRYPOINT exec top
        CMD ["x", "$A"]
        SHELL ["/bin/sh", "-e", "-c"]
        ONBUILD COPY . /x
        ONBUILD RUN ["a"]
        """,
        [],
        "--label",
        "outside=1",
        "--build-arg",
        "V=2",
    )


TREE = [
    directory("dir", mode=0o750),
    file("dir/plain", b"1", mode=0o640),
    file("dir/program", b"2", mode=0o755),
    directory("dir/sub", mode=0o1777),
    file("dir/sub/x.txt", b"3"),
    symlink("dir/link", "plain"),
    symlink("dir/away", "/etc/hostname"),
    symlink("dir/dangling", "nowhere"),
    (Entry("dir/hard", HARDLINK, 0o640, link="dir/plain"), b""),
    directory("empty", mode=0o700),
    file("a.txt", b"a", mode=0o600),
    file("b.txt", b"b"),
    file("with space", b"s"),
    symlink("link.txt", "a.txt"),
    symlink("linked", "dir"),
]  # fmt: skip


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            """COPY dir /1
            COPY dir/ /2/deeper/still/
            COPY . /3/
            COPY a.txt /file
            COPY a.txt b.txt dir /many/
            COPY *.txt dir/s*/*.txt /globs/
            COPY link.txt /followed
            COPY linked /followed-directory
            COPY ["with space", "/a dir/"]
            COPY empty /empty
            ADD a.txt /added/
            COPY a.txt /etc""",
            id="sources",
        ),
        pytest.param(
            """COPY --chown=3:4 dir /owned/by
            COPY --chown=3:4 a.txt /ours/by/
            USER nobody
            WORKDIR /made/by/workdir
            COPY a.txt .
            COPY b.txt ./sub/x
            RUN id && touch /tmp/mine""",
            id="owners",
        ),
        pytest.param(
            """RUN mkdir -p -m 711 /there/sub && chown 7:7 /there/sub && touch /there/old && ln -s /etc /to
            COPY dir /there
            COPY a.txt /to/
            COPY b.txt /to/deeper/b
            RUN mkdir /t && ln -s /t/target /link && echo x > /t/target
            COPY a.txt /link
            RUN echo gone > /x && mkdir /d && touch /d/f
            RUN rm -r /x /d && chmod 700 /bin && touch -d @1 /bin
            COPY a.txt /d""",
            id="what is there",
        ),
        pytest.param(
            """ENV X=/place
            COPY a.txt ${X}/sub$X
            ARG A=1
            RUN echo $A > /f
            ENV A=2
            RUN echo $A >> /f; rm -rf /etc/*; mkdir /etc/new
            RUN true
            WORKDIR /etc
            RUN echo a > b; ln /etc/b /c; mkfifo p""",
            id="variables and changes",
        ),
    ],
)
def test_files(daemon: Daemon, peer: Dockerd, steps: str) -> None:
    """Where COPY, ADD, RUN and WORKDIR put things, with which mode and owner."""
    compare(daemon, peer, f"FROM tiny\n{steps}\n", TREE)


def _ball(*items: Item) -> bytes:
    return archive(items)


@pytest.mark.parametrize("destination", ["/x", "/"])
def test_archives_that_add_unpacks(daemon: Daemon, peer: Dockerd, destination: str) -> None:
    """Owners and modes are the archive's; what is there is merged or replaced."""
    ball = _ball(
        directory("d", mode=0o711, uid=8, gid=9),
        file("d/f", b"new", mode=0o604, uid=1),
        symlink("d/l", "f"),
        (Entry("d/h", HARDLINK, 0o604, uid=1, link="d/f"), b""),
        file("passwd", b"replaced", mode=0o600),
    )
    setup = "RUN mkdir -p /x/d && echo old > /x/d/f && echo stays > /x/d/other"
    compare(daemon, peer, f"FROM tiny\n{setup}\nADD ball.tar {destination}", [file("ball.tar", ball)])


def test_stages(daemon: Daemon, peer: Dockerd) -> None:
    """A program is linked in one stage and copied to the next, as people do with a compiler."""
    compare(
        daemon,
        peer,
        """FROM tiny AS build
        WORKDIR /src
        COPY a.txt b.txt ./
        RUN cat a.txt b.txt > linked && chmod 755 linked
        FROM tiny
        COPY --from=build /src/linked /usr/local/bin/
        COPY --from=0 /src /src
        ENTRYPOINT ["/usr/local/bin/linked"]
        """,
        TREE,
    )


def test_triggers_of_a_stage(daemon: Daemon, peer: Dockerd) -> None:
    """Who builds on another stage runs them, too."""
    compare(daemon, peer, "FROM tiny AS base\nONBUILD RUN echo t > /t\nFROM base\nRUN cat /t > /u")


#: Identifiers, places, and what dockerd takes a mistyped instruction for, as it does since 25.
VARYING = rb"[0-9a-f]{12}|parse error.*: | \(did you mean .*\?\)"


def test_a_quiet_build_that_fails(daemon: Daemon, peer: Dockerd) -> None:
    """Now all is told, and the exit code is the program's; nothing is told of what cannot be read at all."""
    for text in ("FROM tiny\nRUN echo why; exit 5", "FROM tiny\nFOO"):
        said = []
        for host in (peer.host, daemon.host):
            environment = os.environ | {"DOCKER_BUILDKIT": "0", "DOCKER_HOST": host}
            body = archive([file("Dockerfile", text.encode())])
            done = subprocess.run(["docker", "build", "-q", "-"], input=body, capture_output=True, env=environment)
            said.append((done.returncode, done.stdout, re.sub(VARYING, b"", done.stderr)))
        assert said[0] == said[1]


def test_what_is_left_out(daemon: Daemon, peer: Dockerd) -> None:
    """Docker's client applies ``.dockerignore`` to a directory; ours comes to the same."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in ("a.log", "b/c.log", "b/keep.log", "node_modules/x/y", "src/z", "src/tmp1"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(path)
        (root / ".dockerignore").write_text("# comment\n**/*.log\n!b/keep.log\nnode_modules\n*/tmp?\n")
        (root / "Dockerfile").write_text("FROM tiny\nCOPY . /c\n")
        found = []
        for host in (peer.host, daemon.host):
            docker = docker_of(host)
            docker("build", "-t", "built", name)
            found.append([line for line in files(docker, "built") if "./c" in line])
            docker("rmi", "-f", "built")
        assert found[0] == found[1] and "c/b/keep.log" in str(found) and "c/a.log" not in str(found)


def test_errors_have_docker_s_words(daemon: Daemon, peer: Dockerd) -> None:
    """What users search for when a build fails."""
    for text in (
        "FROM tiny\nFOO bar", "FROM tiny\nRUN exit 7", "FROM tiny\nCOPY none /x", "FROM tiny AS 1x", "RUN x",
        "FROM tiny\nCOPY a.txt b.txt /x", "FROM tiny\nENV x", "FROM tiny\nEXPOSE x/y",
        "FROM tiny\nSTOPSIGNAL nope", "FROM tiny\nONBUILD ONBUILD RUN x", "FROM tiny\nHEALTHCHECK what",
        "FROM tiny\nCOPY ../x /", "FROM tiny\nCOPY x*z /", "FROM tiny\nVOLUME []", "",
    ):  # fmt: skip
        said = []
        for host in (peer.host, daemon.host):
            body = archive([file("Dockerfile", text.encode()), *TREE])
            environment = os.environ | {"DOCKER_BUILDKIT": "0", "DOCKER_HOST": host}
            done = subprocess.run(
                ["docker", "build", "-"], input=body, capture_output=True, timeout=60, env=environment
            )
            last = done.stderr.decode().strip().split("\n")[-1]
            where = r"(dockerfile parse error( on)? line [0-9]+|failed to parse Dockerfile): | \(did you mean .*\)"
            # An older dockerd says "Invalid signal".
            said.append((done.returncode, re.sub(where, "", last).replace("Invalid s", "invalid s")))
        assert said[0] == said[1], text
