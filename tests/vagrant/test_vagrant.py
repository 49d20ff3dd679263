"""The machine for everyone, from ``vagrant up`` to ``vagrant destroy``, emulated: ``make test-vagrant``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.vagrant.box import box

HERE = Path(__file__).parent
LIMIT = 1500

pytestmark = [pytest.mark.root, pytest.mark.timeout(LIMIT + 300)]


def test_what_a_student_does(tmp_path: Path) -> None:
    """up, a container in the machine, the message of the day, a provision that changes nothing, halt, destroy."""
    said = steps(tmp_path)
    assert "validated successfully" in said["vagrant validate"]
    assert "default: minidock: the image tiny" in said["up"]
    assert said["vagrant ssh -c minidock run --rm tiny echo hello"].splitlines()[-1] == "hello"
    looked = next(text for step, text in said.items() if "motd" in step)
    assert "Type first:" in looked
    assert looked.split()[-2:] == ["active", "cgroup2fs"]
    assert "default: minidock:" not in said["vagrant provision"]
    assert ",state,shutoff" in said["vagrant status --machine-readable"]
    assert said["virsh -c qemu:///system list --all --name"].strip() == ""


@pytest.mark.parametrize("provider", ["virtualbox", "libvirt"])
@pytest.mark.parametrize("folder", [".", "lab"])
def test_the_definitions_are_valid(tmp_path: Path, provider: str, folder: str) -> None:
    """With each provider that Vagrant brings along, as far as it can say where the provider is not."""
    words = ["vagrant", "validate", "--ignore-provider"]
    where = HERE.parents[1] / "vagrant" / folder
    done = subprocess.run(words, cwd=where, env=_environment(tmp_path, provider), capture_output=True, text=True)
    assert "validated successfully" in done.stdout, done.stderr


def steps(directory: Path) -> dict[str, str]:
    """What each step of ``flow`` printed. Raises AssertionError with all of it when one failed."""
    words = [str(HERE / "with-libvirt"), str(directory / "libvirt"), str(HERE / "flow"), str(box())]
    with (directory / "log").open("w+") as log:
        done = subprocess.run(
            ["timeout", "--kill-after=20", str(LIMIT), *words],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=_environment(directory, "libvirt"),
        )  # fmt: skip
        log.seek(0)
        text = log.read()
    assert done.returncode == 0, f"exit code {done.returncode}\n{text[-6000:]}"
    return dict(step.partition("\n")[::2] for step in text.split("@@ ")[1:])


def _environment(directory: Path, provider: str) -> dict[str, str]:
    """Nothing of this user's own Vagrant is used or changed."""
    return os.environ | {
        "VAGRANT_HOME": str(directory / "home"),
        "VAGRANT_DOTFILE_PATH": str(directory / "dot"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_DEFAULT_PROVIDER": provider,
        "MINIDOCK_VM_BOX": "minidock/test",
        "MINIDOCK_VM_EMULATED": "1",
    }
