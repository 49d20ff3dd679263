"""Builds through the API, in a real daemon: the language, the cache, what is left behind."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from tests.archives import archive, directory, file, hardlink, symlink
from tests.engine.build_contexts import Builder, assert_nothing_left, context
from tests.engine.harness import BRIDGE, Daemon, wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def builder(daemon: Daemon) -> Iterator[Builder]:
    """Builds in the shared daemon, which has no images but ``tiny`` afterwards."""
    yield Builder(daemon)
    for image in daemon.json("GET", "/images/json"):
        if "tiny:latest" not in (image["RepoTags"] or []):
            daemon.request("DELETE", f"/images/{image['Id']}?force=1")
    daemon.json("POST", "/build/prune?all=1")
    assert_nothing_left(daemon)


# ------------------------------------------------------------------------------------------------ configuration


def test_every_setting_ends_in_the_configuration(builder: Builder) -> None:
    """One of each instruction that changes nothing but the configuration."""
    built = builder.build(
        """FROM tiny
        MAINTAINER somebody
        ENV A=1 B="two words" C=$A
        ENV OLD the rest of it
        LABEL one=1 "two three"="$A"
        EXPOSE 80 53/udp 7000-7002
        VOLUME ["/data", "/more"]
        USER 1000:1000
        WORKDIR /a
        WORKDIR b/../c
        STOPSIGNAL SIGUSR1
        HEALTHCHECK --interval=5s --retries=2 CMD true
        SHELL ["/bin/sh", "-ec"]
        ENTRYPOINT ["/bin/echo"]
        CMD echo $A
        ONBUILD RUN echo hi
        """,
        labels={"from": "outside"},
    )
    config = builder.config(built.image)
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert config["Env"] == [path, "A=1", "B=two words", "C=", "OLD=the rest of it"]
    assert config["Labels"] == {"one": "1", "two three": "1", "from": "outside"}
    assert sorted(config["ExposedPorts"]) == ["53/udp", "7000/tcp", "7001/tcp", "7002/tcp", "80/tcp"]
    assert sorted(config["Volumes"]) == ["/data", "/more"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("1000:1000", "/a/c", "SIGUSR1")
    health = config["Healthcheck"]
    assert (health["Test"], health["Interval"], health["Retries"]) == (["CMD-SHELL", "true"], 5_000_000_000, 2)
    assert (config["Entrypoint"], config["Cmd"]) == (["/bin/echo"], ["/bin/sh", "-ec", "echo $A"])
    assert config["OnBuild"] == ["RUN echo hi"]
    assert builder.daemon.json("GET", f"/images/{built.image}/json")["Author"] == "somebody"


def test_a_new_entrypoint_drops_the_base_image_s_command(builder: Builder) -> None:
    """It was written for another program; one of this same stage stays."""
    builder.build('FROM tiny\nCMD ["old"]', t="base")
    assert not builder.config(builder.build('FROM base\nENTRYPOINT ["x"]').image).get("Cmd")
    assert builder.config(builder.build('FROM base\nCMD ["new"]\nENTRYPOINT ["x"]').image)["Cmd"] == ["new"]


def test_arguments_have_their_scopes(builder: Builder) -> None:
    """ARG before FROM, declared again, with a default, from outside; ENV wins; undeclared is empty."""
    built = builder.build(
        """ARG BASE=nothing
        ARG OUTER=outer
        FROM $BASE AS one
        ARG OUTER
        ARG INNER=inner-$OUTER
        ARG BOTH=arg
        ENV BOTH=env
        RUN echo "[$OUTER] [$INNER] [$BOTH] [$HIDDEN] [$TARGETARCH]"
        FROM one
        RUN echo "<$OUTER> <$INNER>"
        ARG TARGETARCH
        RUN echo "{$TARGETARCH}"
        """,
        buildargs={"BASE": "tiny", "INNER": "given", "HIDDEN": "x", "UNUSED": None},
    )
    assert "[outer] [given] [env] [] []" in built.text
    assert "<outer> <given>" in built.text
    assert "{amd64}" in built.text or "{arm64}" in built.text
    assert "[Warning] One or more build-args [HIDDEN] were not consumed" in built.text


def test_proxies_need_no_declaration_and_are_not_in_the_image(builder: Builder) -> None:
    """HTTP_PROXY is there for RUN; neither the history nor the cache know it."""
    text = "FROM tiny\nRUN echo proxy=$HTTP_PROXY"
    built = builder.build(text, buildargs={"HTTP_PROXY": "http://proxy.test"})
    assert "proxy=http://proxy.test" in built.text
    assert "proxy.test" not in str(builder.daemon.json("GET", f"/images/{built.image}/history"))
    assert builder.build(text, buildargs={"HTTP_PROXY": "http://other.test"}).cached == 1


def test_triggers_run_in_who_builds_on_it(builder: Builder) -> None:
    """ONBUILD in a base image: executed right after FROM, and not handed on."""
    builder.build("FROM tiny\nONBUILD COPY f /f\nONBUILD RUN echo triggered $(cat /f)", t="base")
    built = builder.build("FROM base", {"f": "content"})
    assert "# Executing 2 build triggers" in built.text and "triggered content" in built.text
    assert not builder.config(built.image).get("OnBuild")


def test_stages_that_only_a_trigger_names(builder: Builder) -> None:
    """They are built when the trigger asks for them, with what they are built from; a name or a number will do."""
    builder.build(
        """FROM tiny
        ONBUILD COPY --from=files /f /copied
        ONBUILD RUN --mount=from=1,source=/f,target=/bound cat /bound > /read
        """,
        t="asks",
    )
    text = """FROM tiny AS under
        RUN echo made > /f
        FROM under AS files
        FROM tiny AS unused
        RUN echo never
        FROM asks
        RUN cat /copied /read
        """
    built = builder.build(text)
    assert "\nmade\nmade\n" in built.text and "never" not in built.text
    steps = [line.split()[1] for line in built.text.split("\n") if line.startswith("Step ")]
    assert [step[0] for step in steps] == list("12345") and steps[0] == "1/2" and steps[-1] == "5/5"
    events = builder.build(text, minidock="1").events
    assert [event["total"] for event in events if event["kind"] == "plan"] == [2, 3, 5]
    assert builder.build(text).cached == 3
    builder.daemon.ok("rmi", "-f", "asks")


def test_triggers_of_a_stage(builder: Builder) -> None:
    """A stage that is built on another one runs its triggers, with the arguments that it inherits."""
    text = "FROM tiny AS base\nARG A=1\nONBUILD ARG B=2\nONBUILD RUN echo triggered $A\nFROM base\nRUN echo $A $B"
    built = builder.build(text)
    assert built.text.count("triggered 1\n") == 1 and "\n1 2\n" in built.text
    assert not builder.config(built.image).get("OnBuild")


def test_arguments_are_inherited(builder: Builder) -> None:
    """By who builds on a stage, not by who takes files from it; what the child says itself wins."""
    text = """ARG G=global
        FROM tiny AS base
        ARG A=default B
        ARG G
        FROM base AS child
        ARG A=own
        RUN echo a=$A b=$B g=$G
        FROM child
        RUN echo grand $A $B $G > /f
        FROM tiny
        COPY --from=2 /f /f
        RUN cat /f; echo other $A $B $G.
        """
    assert "a=own b=given g=global\n" in (told := builder.build(text, buildargs={"B": "given"}).text)
    assert "grand own given global\n" in told and "other .\n" in told
    assert "grand mine given global\n" in builder.build(text, buildargs={"A": "mine", "B": "given"}).text


# ------------------------------------------------------------------------------------------------ RUN

FORMS = """FROM tiny
RUN echo "shell $((1+1))"
RUN ["/bin/sh", "-c", "echo exec $0", "form"]
SHELL ["/bin/sh", "-xc"]
RUN : shelled
SHELL ["/bin/sh", "-c"]
RUN <<EOF
echo heredoc
X=1; echo "x $X"
EOF
RUN cat <<A - && cat <<-"B"
piped $((2+2))
A
\tquoted $((2+2))
\tB
RUN <<SCRIPT
#!/bin/sh -e
echo script $0
SCRIPT
USER 1234
RUN id -u
"""


def test_run_in_every_form(builder: Builder) -> None:
    """Shell, exec, another shell, heredocs alone, with a program, with an interpreter, and as another user."""
    text = builder.build(FORMS).text
    for words in ("shell 2", "exec form", "+ : shelled", "heredoc", "x 1", "script /dev/pipes/SCRIPT", "1234"):
        assert f"{words}\n" in text
    assert "piped 4\n" in text and "quoted $((2+2))\n" in text


def test_a_failing_step_tells_its_code_and_leaves_nothing(builder: Builder) -> None:
    """Docker's words and the exit code; no image, no container, no name."""
    built = builder.post(context("FROM tiny\nRUN echo before\nRUN echo no >&2; exit 3"), t="never")
    message = "The command '/bin/sh -c echo no >&2; exit 3' returned a non-zero code: 3"
    assert built.lines[-1] == {"errorDetail": {"code": 3, "message": message}, "error": message}
    assert "before" in built.text and "no\n" in built.text
    assert [image["RepoTags"] for image in builder.daemon.json("GET", "/images/json?all=1")] == [["tiny:latest"]]
    assert_nothing_left(builder.daemon)


def test_docker_s_own_client_ends_with_the_step_s_code(builder: Builder) -> None:
    """``docker build`` exits 3 when RUN does; ``-q`` prints the id; ``--iidfile`` holds it."""
    daemon = builder.daemon
    daemon.environment["DOCKER_BUILDKIT"] = "0"
    assert daemon.docker("build", "-", input=context("FROM tiny\nRUN exit 3")).returncode == 3
    image = daemon.ok("build", "-q", "-", input=context("FROM tiny\nRUN true"))
    assert image.startswith("sha256:")
    id_file = daemon.root / "iid"
    daemon.ok("build", f"--iidfile={id_file}", "-", input=context("FROM tiny\nRUN true"))
    assert id_file.read_text() == image


def test_docker_s_clients_send_contexts_in_many_ways(builder: Builder, tmp_path: Path) -> None:
    """A directory with every flag, a Dockerfile on stdin, with and without a context, docker-py."""
    daemon = builder.daemon
    daemon.environment["DOCKER_BUILDKIT"] = "0"
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "Other").write_text("FROM tiny\nCOPY . /c\nRUN ls -A /c; cat /etc/hosts")
    from_stdin = daemon.docker("build", "-f", "-", str(tmp_path), input=b"FROM tiny\nCOPY . /c\nRUN ls -A /c")
    assert "\nOther\na.txt\nRemoving" in from_stdin.stdout  # its own .dockerfile and .dockerignore are left out
    assert "\nalone\n" in daemon.ok("build", "-", input=b"FROM tiny\nRUN echo alone")
    flags = "--compress --memory=100m --cpu-shares=10 --label=a=b --no-cache --force-rm --network=none --shm-size=8m"
    more = "--add-host=there:1.2.3.4 --ulimit=nofile=99 --security-opt=no-new-privileges -t=q:1 -t=q:2"
    built = daemon.ok("build", *flags.split(), *more.split(), "-f", str(tmp_path / "Other"), str(tmp_path))
    assert "1.2.3.4" in built and "Successfully tagged q:1\nSuccessfully tagged q:2" in built
    image, _ = daemon.client().images.build(path=str(tmp_path), dockerfile="Other", tag="p", labels={"x": "y"}, rm=True)
    assert (image.tags, image.labels) == (["p:latest"], {"x": "y"})


def test_a_program_that_is_not_there(builder: Builder) -> None:
    """One clear error, and nothing is left."""
    assert "no such file or directory" in builder.fails('FROM tiny\nRUN ["/nowhere"]')
    assert "no such file or directory" in builder.fails("FROM scratch\nRUN x")


MOUNTS = """FROM tiny AS other
RUN mkdir /o && echo other > /o/f
FROM tiny
RUN --mount=type=bind,source=sub,target=/new/ctx cat /new/ctx/f && ! touch /new/ctx/g
RUN --mount=type=bind,from=other,source=/o/f,target=/one.txt cat /one.txt
RUN --mount=type=bind,target=/rw,rw echo changed > /rw/sub/f && cat /rw/sub/f
RUN --mount=target=/rw cat /rw/sub/f
RUN --mount=type=tmpfs,target=/t,size=1m touch /t/x && grep ' /t ' /proc/mounts
RUN --mount=type=cache,target=/c,id=mine cat /c/kept || echo first > /c/kept
RUN [ ! -e /new ] && [ ! -e /one.txt ] && [ ! -e /rw ] && [ ! -e /t ] && [ ! -e /c ] && echo clean
"""


def test_mounts(builder: Builder) -> None:
    """bind (context, stage, written to), tmpfs, cache from build to build; what they leave in the layer: nothing."""
    built = builder.build(MOUNTS, {"sub__f": "in context\n"})
    for words in ("in context\n", "other\n", "changed\n", "size=1024k", "clean\n"):
        assert words in built.text
    again = builder.build(f"{MOUNTS}RUN --mount=type=cache,target=/x,id=mine cat /x/kept", {"sub__f": "in context\n"})
    assert "first\n" in again.text


def test_locked_caches_in_any_order(builder: Builder) -> None:
    """Two stages that lock the same two caches in opposite order, side by side, both end; a locked one is one's own."""
    one, two = (f"--mount=type=cache,sharing=locked,id={name},target=/{name}" for name in "ab")
    work = "[ ! -e /a/busy ] && touch /a/busy && sleep 0.3 && rm /a/busy"
    stages = [f"FROM tiny AS s{n}\nRUN {x} {y} {work} && echo {n} > /f" for n, x, y in ((1, one, two), (2, two, one))]
    built = builder.build("\n".join([*stages, "FROM tiny\nCOPY --from=s1 /f /1\nCOPY --from=s2 /f /2\nRUN cat /1 /2"]))
    assert "\n1\n2\n" in built.text


def test_mounts_as_they_may_be_written(builder: Builder) -> None:
    """Values may have variables in them, and commas if they are quoted; type and sharing in any case."""
    text = """FROM tiny
ARG DIR=d
ENV WHERE=/to KIND=bind
RUN --mount=type=$KIND,source=${DIR},target=$WHERE cat /to/f
RUN --mount='type=bind,"source=a,b",target="/x y"' cat "/x y"
RUN --mount=type=bind,\\"source=a,b\\",target=/x cat /x
RUN --mount=type=cache,id=${DIR}1,target=/c,uid=${U:-5} stat -c %u /c && touch /c/f
RUN --mount=type=cache,id=d1,target=/e,sharing=private ls /e
"""
    told = builder.build(text, {"d__f": "in d\n", "a,b": "a and b\n"}).text
    assert "\nin d\n" in told and told.count("\na and b\n") == 2 and "\n5\n" in told and "\nf\n" in told


def test_one_cache_twice_in_a_step(builder: Builder) -> None:
    """It is the same directory, also if nobody else may have it meanwhile; from another image it is another one."""
    locked = "--mount=type=cache,id=twice,sharing=locked,target="
    made = builder.build(f"FROM tiny\nRUN {locked}/a {locked}/b echo same > /a/f && cat /b/f")
    assert "\nsame\n" in made.text
    text = f"FROM tiny AS other\nRUN echo other > /f\nFROM tiny\nRUN {locked}/c,from=other cat /c/f; echo x > /c/f"
    assert "\nother\n" in builder.build(text).text
    again = builder.build(f"{text}; echo again")
    assert "\nx\nagain\n" in again.text


def test_what_is_bound_decides_what_is_a_hit(builder: Builder) -> None:
    """Another content of a bound file is another step."""
    text = "FROM tiny\nRUN --mount=target=/x,source=f cat /x"
    builder.build(text, {"f": "one"})
    assert builder.build(text, {"f": "one", "other": "file"}).cached == 1
    assert "two" in builder.build(text, {"f": "two"}).text


SECRETS = """FROM tiny
RUN --mount=type=secret,id=token cat /run/secrets/token | tr a-z A-Z && stat -c %a /run/secrets/token
RUN --mount=type=secret,id=token,target=/key,mode=0444,uid=5 stat -c '%u %a' /key
RUN --mount=type=secret,id=token,env=TOKEN echo $TOKEN | tr a-z A-Z
RUN [ ! -e /run/secrets ] && [ ! -e /key ] && [ -z "$TOKEN" ] && echo clean
"""


def test_secrets_are_seen_and_not_kept(builder: Builder) -> None:
    """A file with the right mode, a variable; nothing of it in image, history, cache or on the disk."""
    daemon = builder.daemon
    document = {"Secrets": {"token": base64.b64encode(b"s3cr3t-word").decode()}}
    kept = daemon.json("POST", "/build/secrets", document)["Id"]
    built = builder.build(SECRETS, secrets=kept)
    assert built.text.count("S3CR3T-WORD") == 2 and "400\n" in built.text and "5 444\n" in built.text
    assert "clean" in built.text
    assert builder.fails(SECRETS, secrets=kept).startswith("the build's secrets are not here")
    assert builder.build(SECRETS).cached == 4  # a secret is no part of the key
    found = [path for path in daemon.root.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert found == []
    assert "not found" in builder.fails("FROM tiny\nRUN --mount=type=secret,id=none,required true")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("RUN --mount=type=ssh true", "does not forward an ssh agent"),
        ("RUN --security=insecure true", "gives a build no more rights"),
        ("RUN --mount=type=bind,foo=1,target=/x true", "unexpected key 'foo'"),
        ("RUN --mount=type=cache true", "needs a target"),
        ("RUN --mount=source=none,target=/x true", "file does not exist"),
        ("RUN --mount=type=cache,target true", "invalid field 'target' must be a key=value pair"),
        ("RUN --mount=from=$A,target=/x true", "'from' doesn't support variable expansion"),
        ("RUN --mount='type=bind,\"target=/x' true", "failed to parse csv mounts"),
        ("RUN --network=foo true", "unsupported network mode"),
        ("COPY none /", "COPY failed: file not found in build context or excluded by .dockerignore: stat none"),
        ("COPY ../x /", "forbidden path outside the build context: ../x"),
        ("COPY Dockerfile other /x", "the destination must be a directory and end with a /"),
        ("COPY --chown=nobody-here Dockerfile /", "unable to find user nobody-here"),
        ("COPY --chmod=rwx Dockerfile /", "invalid chmod parameter"),
        ("COPY https://example.invalid/x /", "source can't be a URL for COPY"),
        ("ADD git://127.0.0.1:1/b /", "git fetch: "),
        ("ADD --checksum=12 other /", "checksum can't be specified"),
        ("EXPOSE foo", "Invalid containerPort: foo"),
        ("STOPSIGNAL SIGFOO", "Invalid signal: SIGFOO"),
        ('ENV A="${B:?is needed}"', "B: is needed"),
        ("FOO bar", "dockerfile parse error line 2: unknown instruction: FOO"),
    ],
)
def test_mistakes_are_one_clear_line(builder: Builder, step: str, words: str) -> None:
    """What cannot be meant, and what is not there, says so."""
    error = builder.fails(f"FROM tiny\n{step}", {"other": "x"})
    assert words in error and "\n" not in error


def test_networks_as_whoever_builds_chose(builder: Builder) -> None:
    """``--network=none`` for a step, and ``networkmode`` for all."""
    text = "FROM tiny\nRUN %s ls /sys/class/net"
    assert "eth0" in builder.build(text % "").text
    assert "eth0" not in builder.build(text % "--network=none").text
    assert "eth0" not in builder.build(text % "", networkmode="none", nocache="1").text
    assert f"\n{BRIDGE}\n" in builder.build(text % "--network=host").text


def test_limits_hold_for_steps(builder: Builder) -> None:
    """``--memory`` and ``--ulimit`` are the containers'."""
    ulimits = [{"Name": "nofile", "Soft": 77, "Hard": 99}]
    assert "77\n" in builder.build("FROM tiny\nRUN ulimit -n", memory="64000000", ulimits=ulimits).text


# ------------------------------------------------------------------------------------------------ COPY and ADD

COPIES = """FROM tiny
COPY --chown=5:6 --chmod=u=rwX,g=rX,o= a.txt /flags/
COPY --exclude=*.md --exclude=deep dir /excluded/
COPY --parents dir/deep/one.txt dir/./deep/two.txt /parents/
COPY --link a.txt /linked/here/
COPY *.t?t [ab].md /globs/
COPY <<EOF <<-"RAW" /docs/
hello $PATH
"quoted" \\$PATH
EOF
\traw $PATH
\tRAW
COPY ["a.txt", "/with space/b.txt"]
ADD ball.tar.gz /unpacked/
COPY ball.tar.gz /packed/
RUN stat -c '%n %u:%g %a' /flags/* /docs/* && cat /docs/*
RUN find /excluded /parents /linked /globs /unpacked /packed /with* | sort
"""


def _packed() -> bytes:
    items = [directory("inside"), file("inside/file", b"x"), hardlink("inside/link", "inside/file")]
    return gzip.compress(archive(items))


def test_copy_with_every_flag(builder: Builder) -> None:
    """Owners, modes, excluded files, kept parents, links, globs, heredocs, archives."""
    files: dict[str, str | bytes] = {
        "a.txt": "a", "a.md": "m", "c.md": "c", "dir__x.md": "x", "dir__y": "y", "dir__deep__one.txt": "1",
        "dir__deep__two.txt": "2", "ball.tar.gz": _packed(),
    }  # fmt: skip
    text = builder.build(COPIES, files).text
    assert "/flags/a.txt 5:6 640" in text and "/docs/EOF 0:0 644" in text
    assert "hello /usr/local/sbin" in text and '"quoted" $PATH\n' in text and "raw $PATH\n" in text
    listed = text[text.rindex("Running in") :].split("\n")
    assert [name for name in listed if name.startswith("/excluded")] == ["/excluded", "/excluded/y"]
    assert [name for name in listed if name.startswith("/globs/")] == ["/globs/a.md", "/globs/a.txt"]
    for name in ("parents/dir/deep/one.txt", "parents/deep/two.txt", "linked/here/a.txt", "with space/b.txt"):
        assert f"/{name}" in listed
    assert "/unpacked/inside/link" in listed and "/packed/ball.tar.gz" in listed


def test_a_link_in_the_image_leads_within_the_image(builder: Builder) -> None:
    """COPY through a directory's link, absolute or not, and onto a file's link."""
    built = builder.build(
        """FROM tiny
        RUN mkdir /real && ln -s /real /absolute && ln -s real /relative && ln -s /real/target /file
        RUN echo old > /real/target
        COPY f /absolute/one
        COPY f /relative/
        COPY f /file
        RUN ls -l / /real && cat /real/*
        """,
        {"f": "new\n"},
    )
    assert built.text.count("new\n") == 3 and "-> /real/target" in built.text


def test_a_context_of_any_packing_is_taken(builder: Builder) -> None:
    """gzip, bzip2, xz and zstd: the first bytes say what it is."""
    plain = context("FROM tiny\nCOPY f /f", f="x")
    for pack in (gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress):
        assert not builder.post(pack(plain)).error


def test_what_is_ignored_is_not_there(builder: Builder) -> None:
    """``.dockerignore`` holds for a tarball too; one named after the Dockerfile wins."""
    files: dict[str, str | bytes] = {
        ".dockerignore": "*.log\n!keep.log\nDockerfile", "a.log": "", "keep.log": "", "sub__b.log": "",
    }  # fmt: skip
    built = builder.build("FROM tiny\nCOPY . /c/\nRUN find /c -type f | sort", files)
    assert "/c/.dockerignore\n/c/keep.log\n/c/sub/b.log\n" in built.text
    files["Dockerfile.dockerignore"] = "**/*.log"
    built = builder.build("FROM tiny\nCOPY . /c/\nRUN find /c -name '*.log' | wc -l", files)
    assert "\n0\n" in built.text


# ------------------------------------------------------------------------------------------------ stages


def test_stages_run_at_once_and_only_if_needed(builder: Builder) -> None:
    """Two stages wait for each other's sign, in a shared cache, and end; one that nobody needs never runs."""
    wait = "for i in $(seq 200); do [ -e /c/%s ] && exit 0; sleep 0.1; done; exit 1"
    built = builder.build(
        f"""FROM tiny AS one
        RUN --mount=type=cache,target=/c,id=signs touch /c/one && {wait % "two"}
        FROM tiny AS two
        RUN --mount=type=cache,target=/c,id=signs touch /c/two && {wait % "one"}
        FROM tiny AS unused
        RUN echo never
        FROM tiny
        COPY --from=one /etc /one
        COPY --from=1 /etc /two
        """
    )
    assert "never" not in built.text
    steps = [line for line in built.text.split("\n") if line.startswith("Step ")]
    assert [line.split()[1] for line in steps] == [f"{number}/7" for number in range(1, 8)]


def test_target_and_names_of_stages(builder: Builder) -> None:
    """``--target`` by name or number; ``--from`` may name an image."""
    text = "FROM tiny AS First\nENV A=1\nFROM first AS second\nENV B=2\nFROM tiny\nENV C=3"
    assert builder.config(builder.build(text, target="second").image)["Env"][1:] == ["A=1", "B=2"]
    assert builder.config(builder.build(text, target="0").image)["Env"][1:] == ["A=1"]
    assert builder.fails(text, target="none") == "failed to reach build target none in Dockerfile"
    assert builder.build("FROM scratch\nCOPY --from=tiny /etc /etc").image


# ------------------------------------------------------------------------------------------------ the cache


def test_a_hit_mounts_nothing(builder: Builder, tmp_path: Path) -> None:
    """Also with --chown, whose names the image's own files explain: strace sees no overlay but for RUN's."""
    text = "FROM tiny\nRUN echo me:x:7:8:::/ > /etc/passwd\nCOPY --chown=me f /f\nCOPY --link --chown=7 f /g"
    owners = builder.build(f"{text}\nRUN stat -c %u:%g /f /g", {"f": "x"})
    assert "\n7:7\n7:7\n" in owners.text
    trace, pid = tmp_path / "trace", str(builder.daemon.pid)
    command = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=mount,fsopen,mkdir", "-p", pid]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as strace:
        wait_for(lambda: "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text(), "strace to attach")
        assert builder.build(text, {"f": "x"}).cached == 3
        strace.terminate()
    seen = trace.read_text()
    assert "mkdir" in seen and "overlay" not in seen


def test_an_unchanged_context_hits_and_a_changed_byte_misses(builder: Builder) -> None:
    """Times do not count; content, modes and names do; what comes after a miss is made anew."""
    text = "FROM tiny\nCOPY dir /dir\nRUN cat /dir/f"
    first = builder.build(text, {"dir__f": "one"})
    head = file("Dockerfile", text.encode())
    again = builder.post(archive([head, directory("dir", mtime_ns=5), file("dir/f", b"one", mtime_ns=7)]))
    assert again.cached == 2 and again.image == first.image
    assert builder.build(text, {"dir__f": "two"}).cached == 0
    assert builder.post(archive([head, directory("dir"), file("dir/f", b"one", mode=0o600)])).cached == 0
    assert builder.post(archive([head, directory("dir"), file("dir/g", b"one"), file("dir/f", b"one")])).cached == 0
    assert builder.build(text, {"dir__f": "one"}, nocache="1").cached == 0


def test_arguments_in_scope_are_part_of_a_step(builder: Builder) -> None:
    """A RUN after the ARG is another one with another value; one before it is not."""
    text = "FROM tiny\nRUN echo before\nARG V\nRUN echo $V"
    builder.build(text, buildargs={"V": "1"})
    assert builder.build(text, buildargs={"V": "1"}).cached == 3
    built = builder.build(text, buildargs={"V": "2"})
    assert built.cached == 2 and "\n2\n" in built.text


def test_a_look_alike_is_no_hit(builder: Builder) -> None:
    """CVE-2024-24557: an image with the very same history, that we did not build, is no cache, although it is here."""
    daemon = builder.daemon
    text = "FROM tiny\nRUN echo good > /file"
    good = builder.build(text, t="good")
    daemon.json("POST", "/build/prune?all=1")
    daemon.ok("create", "--name", "forger", "tiny", "/bin/sh", "-c", "echo good > /file")
    forged = daemon.json("POST", "/commit?container=forger&repo=forged")
    told = [daemon.json("GET", f"/images/{name}/history")[0]["CreatedBy"] for name in (good.image, forged["Id"])]
    assert told[0] == told[1]
    daemon.ok("rm", "forger")
    assert builder.build(text).cached == 0


def test_images_that_one_vouches_for_are_a_cache(builder: Builder) -> None:
    """``--cache-from``: an image built of the same steps saves them, when the cache itself is empty."""
    text = "FROM tiny\nCOPY f /f\nRUN echo hi > /x\nENV A=1"
    first = builder.build(text, {"f": "x"}, t="first")
    builder.daemon.json("POST", "/build/prune?all=1")
    built = builder.build(text, {"f": "x"}, cachefrom=["first", "nothing"])
    assert built.cached == 3 and built.image == first.image
    builder.daemon.json("POST", "/build/prune?all=1")
    assert builder.build(text, {"f": "y"}, cachefrom=["first"]).cached == 0


def test_prune_frees_what_no_image_needs(builder: Builder) -> None:
    """Layers of removed images go, those of images stay, and what was pruned is built anew."""
    layers = builder.daemon.root / "data/layers"
    before = {path.name for path in layers.iterdir()}
    text = "FROM tiny\nRUN head -c 100000 /dev/zero > /big"
    builder.build(text, t="big")
    assert builder.daemon.json("POST", "/build/prune")["CachesDeleted"] == []
    builder.daemon.ok("rmi", "big")
    assert {path.name for path in layers.iterdir()} > before
    pruned = builder.daemon.json("POST", "/build/prune")
    assert len(pruned["CachesDeleted"]) == 1 and 100000 < pruned["SpaceReclaimed"] < 101000  # and the blob
    assert {path.name for path in layers.iterdir()} == before
    assert builder.build(text).cached == 0


def test_the_same_input_gives_the_same_image(builder: Builder) -> None:
    """With SOURCE_DATE_EPOCH, whenever it is built: the same id, and no file is younger."""
    text = "FROM tiny\nARG X\nRUN echo hi > /f && mkdir /d\nCOPY f /e\nWORKDIR /w/x\nLABEL a=b"
    arguments = {"SOURCE_DATE_EPOCH": "1000000000"}
    first = builder.build(text, {"f": "x"}, buildargs=arguments)
    builder.daemon.json("POST", "/build/prune?all=1")
    second = builder.build(text, {"f": "x"}, buildargs=arguments, nocache="1")
    assert first.image == second.image and second.cached == 0
    assert builder.daemon.json("GET", f"/images/{first.image}/json")["Created"].startswith("2001-09-09T01:46:40")
    assert builder.run(first.image, "stat", "-c", "%Y", "/f", "/d", "/w/x").split() == ["1000000000"] * 3
    assert "SOURCE_DATE_EPOCH must be" in builder.fails(text, {"f": "x"}, buildargs={"SOURCE_DATE_EPOCH": "x"})


# ------------------------------------------------------------------------------------------------ our own form


def test_our_client_hears_of_every_step(builder: Builder) -> None:
    """``minidock=1``: plan, steps with times and cached marks, output by stream, the image."""
    text = "FROM tiny AS base\nRUN echo out; echo err >&2\nCMD x"
    built = builder.build(text, minidock="1", t="x:y")
    kinds = [event["kind"] for event in built.events]
    assert kinds[0] == "plan" and kinds[-1] == "image" and built.events[0]["total"] == 3
    assert kinds.count("started") == kinds.count("done") == 3
    output = {event["stream"]: event["text"] for event in built.events if event["kind"] == "output"}
    assert output == {"stdout": "out\n", "stderr": "err\n"}
    assert built.events[-1]["names"] == ["x:y"]
    again = builder.build(text, minidock="1")
    assert [event.get("cached") for event in again.events if event["kind"] == "done"] == [None, True, True]
    assert [event["stage"] for event in again.events if event["kind"] == "started"] == ["base"] * 3
    failed = builder.post(context("FROM tiny\nRUN exit 4"), minidock="1")
    assert failed.events[-1]["kind"] == "failed" and failed.lines[-1]["errorDetail"]["code"] == 4
    assert builder.build(text, q="1").text.startswith("sha256:")


def test_links_of_a_context_lead_nowhere(builder: Builder) -> None:
    """Absolute and climbing links in a context are followed within it, and name nothing of the host."""
    outside = builder.daemon.root / "canary"
    outside.write_text("canary")
    for target in (str(outside), "../" * 20 + str(outside).lstrip("/"), "/etc/passwd"):
        body = archive([file("Dockerfile", b"FROM tiny\nCOPY link /x\n"), symlink("link", target)])
        assert "file does not exist" in builder.post(body).error
    body = archive([file("Dockerfile", b"FROM tiny\nCOPY . /x\nRUN readlink /x/link"), symlink("link", str(outside))])
    assert str(outside) in builder.post(body).text  # a link inside a directory is copied as a link
