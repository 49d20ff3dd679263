"""``--help``, to the letter as Docker's, apart from the names and from what is ours."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest

from minidock.client.main import COMMANDS, GROUPS, run
from tests.peers import words_of_docker_28

pytestmark = words_of_docker_28

OURS = {"completion", "system stop", "system dial-stdio"}
# Flags of ours that Docker's command line does not have.
OWN_FLAGS = {
    "build": ["progress", "secret"],
    "create": ["explain"],
    "pull": ["explain", "step"],
    "image pull": ["explain", "step"],
    "run": ["explain", "step"],
}
# Docker's say more there: an example, a warning that a command is an experiment.
LONGER = {"context create", "context update"}

# Docker ignores a third word here, and then does what was perhaps not meant.
IGNORES = {"import", "image import", "context use"}

NAMES = [*COMMANDS, *(f"{group} {name}" for group, (_, places) in GROUPS.items() for name in places)]


def docker_help(words: list[str]) -> str:
    """What docker says, with our name in it."""
    shown = subprocess.run(
        ["docker", *words, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    ).stdout
    shown = re.sub(r"EXPERIMENTAL:\n(  .*\n)+\n?", "", shown)
    named = re.sub(r"(Usage:  |[ ,]  ?|\t)docker (?=[a-z])", r"\1minidock ", shown)
    return "\n".join(line.rstrip() for line in named.strip().splitlines())


def without(text: str, flags: list[str]) -> str:
    """A help without some flags, whose text may take several lines."""
    for flag in flags:
        text = re.sub(rf"\n +--{flag} .*(\n {{20,}}.*)*", "", text)
    return text


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OURS | LONGER])
def test_help_is_dockers(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage, aliases, every flag with its kind, its text and its default, broken into lines at the same places."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*name.split(), "--help"]) == 0
    shown = without(capsys.readouterr().out.rstrip(), OWN_FLAGS.get(name.split()[-1], []))
    expected = docker_help(name.split())
    for ours in ("Show the minidock version", "Set the current minidock context"):
        expected = expected.replace(ours.replace("minidock", "Docker"), ours)
    assert shown == expected.replace("Set the current minidock context", "Set the current docker context")


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_group_lists_what_dockers_lists(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command of Docker's with its summary; what we leave out is said here."""
    left_out = {"volume": ["update"]}  # of swarm's volumes
    assert run([group, "--help"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    theirs = [line for line in docker_help([group]).partition("\nCommands:")[2].splitlines() if line.startswith("  ")]
    for line in theirs:
        if line.split()[0] not in left_out.get(group, []):
            assert rows[line.split()[0]].replace("minidock", "docker") == line.replace("minidock", "docker")


# Swarm; plugins; signatures of Docker's own kind; checkpoints, which need CRIU.
LEFT_OUT = {"config", "node", "secret", "service", "stack", "swarm", "plugin", "trust", "checkpoint"}


def test_every_command_of_docker_s_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Or it stands in the list above, and is refused by name; ours are two more."""

    def commands(text: str) -> set[str]:
        return {line.split()[0].rstrip("*") for line in text.splitlines() if re.match("  [a-z]", line)}

    assert run(["--help"]) == 0
    ours = commands(capsys.readouterr().out)
    theirs = commands(docker_help([])) - {"buildx", "compose"}  # programs of their own, where somebody installed them
    assert (theirs - ours, ours - theirs) == (LEFT_OUT, {"completion", "registry"})
    for name in LEFT_OUT:
        assert run([name, "ls"]) != 0 and name in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted({name for name in NAMES if name not in OURS} - IGNORES))
def test_as_many_arguments_as_docker_wants(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """None, and four: what is wrong with that, if anything, is said in the same words. Nobody else is asked."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    for arguments in ([], ["a", "b", "c", "d"]):
        words = ["-H", "unix:///nowhere.sock", *name.split(), *arguments]
        theirs = subprocess.run(["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        run(words)
        wrong = [
            [line.partition(" (see ")[0] for line in text.splitlines() if re.search("'.*' (requires|accepts) ", line)]
            for text in (theirs.stderr, capsys.readouterr().err)
        ]
        assert [line.replace("minidock", "docker") for line in wrong[1]] == wrong[0]
