"""``--explain`` tells the truth: each call that it shows, strace saw, in the same process, order and words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minidock.containers import explain, runtime
from minidock.containers.plan import plan
from minidock.kernel.announce import Call
from minidock.oci import runtime as oci
from tests import bundles
from tests.kernel.test_announce import _by_process, _joined

pytestmark = pytest.mark.root

PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["keyctl", "add_key"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
}


def everything(bundle: Path) -> dict[str, Any]:
    """A container that takes as many kinds of steps as there are."""
    process = {
        "user": {"uid": 0, "gid": 0, "username": "guest"},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        "noNewPrivileges": True,
        "oomScoreAdj": 10,
        "cwd": "/made",
    }
    spec = bundles.config("sh", "-c", "exit 3", **process)
    spec["root"]["readonly"] = True
    spec["domainname"] = "testdomain"
    spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    spec["linux"]["seccomp"] = PROFILE
    spec["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5}]
    bind = {"destination": "/data", "type": "bind", "source": str(bundle), "options": ["rbind", "ro", "rslave"]}
    spec["mounts"].append(bind)
    return spec


def traced(tmp_path: Path, spec: dict[str, Any]) -> tuple[dict[str, list[str]], list[explain.Line], str]:
    """Run under strace: what strace saw by pid, what was told, and what was printed."""
    bundle = bundles.write(tmp_path / "bundle", spec)
    bundles.rootfs(bundle / "rootfs")
    trace, root, name = tmp_path / "trace", tmp_path / "run", f"strace-{tmp_path.name}"
    run = ["--root", str(root), "run", "-d", "--explain", "-b", str(bundle), name]
    # -f follows the child into its namespaces, and shows its pid as the host has it.
    command = [
        "strace",
        "-f",
        "-s",
        "65536",
        "-o",
        str(trace),
        sys.executable,
        "-m",
        "minidock.containers.command",
        *run,
    ]
    try:
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        lines = explain.read(root / name / "explain.jsonl")
    finally:
        runtime.delete(root / name, force=True)
    # Of a number without a name, strace says so in a comment.
    seen = re.sub(r" /\* \w+_\?\?\? \*/", "", trace.read_text())
    return _by_process(_without_buffers(_joined(seen.splitlines()))), lines, ran.stderr


def _without_buffers(lines: list[str]) -> list[str]:
    """A call that failed has filled no buffer: strace shows its address, and we show nothing."""
    return [re.sub(r'(readlinkat\(\d+, ".*", )\S+(, \d+\) += -1)', r"\1BUFFER\2", line) for line in lines]


def by_process(lines: list[explain.Line]) -> dict[str, list[str]]:
    """What was told, by pid as the host has it: the child, who is 1 for itself, is the result of clone."""
    calls = [line for line in lines if isinstance(line, explain.CallLine)]
    child = next(call.result for call in calls if call.name == "clone")
    told = [Call(c.pid if c.pid != 1 else child, c.name, c.args, c.result, c.errno, 0, 0) for c in calls]
    return _by_process(_without_buffers([f"{call.pid} {call}" for call in told]))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[str]], list[explain.Line], str]:
    """One traced run for all the tests."""
    if not shutil.which("strace"):
        pytest.skip("strace is missing: apt-get install strace")
    directory = tmp_path_factory.mktemp("traced")
    return traced(directory, everything(directory / "bundle"))


def test_what_is_told_is_what_the_kernel_saw(story: tuple[dict[str, list[str]], list[explain.Line], str]) -> None:
    """Every announced call is in strace's record of the same process, in order."""
    seen, lines, _ = story
    told = by_process(lines)
    assert len(told) == 2, "the runtime and the child"
    for pid, calls in told.items():
        assert len(calls) > 10
        rest = iter(seen[pid])
        for call in calls:
            assert any(call == line for line in rest), f"strace did not see {call}"


def test_nothing_that_matters_is_left_untold(story: tuple[dict[str, list[str]], list[explain.Line], str]) -> None:
    """The other way round: no call that makes a container what it is happens without being told."""
    seen, lines, _ = story
    told = by_process(lines)
    matters = (
        "mount umount2 pivot_root unshare setns sethostname setdomainname move_mount open_tree mount_setattr capset"
    )
    matters += " seccomp setresuid setresgid setgroups keyctl chroot"
    for pid in told:
        for name in matters.split():
            in_strace = [line for line in seen[pid] if line.startswith(f"{name}(")]
            in_story = [line for line in told[pid] if line.startswith(f"{name}(")]
            assert in_strace == in_story


def test_steps_are_those_of_the_plan(story: tuple[dict[str, list[str]], list[explain.Line], str]) -> None:
    """The steps that are told are the plan's, each once; only what two processes do side by side may change places."""
    _, lines, _ = story
    told = [(line.name, line.title) for line in lines if isinstance(line, explain.StepLine)]
    bound = next(title for name, title in told if name == "BindMount")
    spec = everything(Path(bound.split()[1]))
    planned = [(type(step).__name__, step.title) for step in plan(oci.parse(json.dumps(spec).encode()))]
    assert sorted(told) == sorted(planned)


def test_the_story_for_people(story: tuple[dict[str, list[str]], list[explain.Line], str]) -> None:
    """What is printed names each step in order, without colours when nobody looks."""
    _, _, printed = story
    titles = [
        "What it may use",
        "Make a cgroup",
        "Start a child process",
        "What it sees",
        "Enter a new mount",
        "Its files",
        "Mount proc",
        "Swap the root",
        "What it may do",
        "What it is",
        "Execute sh",
    ]
    positions = [printed.index(title) for title in titles]
    assert positions == sorted(positions)
    assert "\x1b" not in printed
