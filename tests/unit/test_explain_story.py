"""The story of a start, cut into its steps."""

from __future__ import annotations

from pathlib import Path

import msgspec

from minidock.containers import explain
from minidock.containers.explain import RECORD_SEPARATOR, CallLine, StepLine


def test_the_mark_stands_before_each_step_and_nowhere_else(tmp_path: Path) -> None:
    """Whatever a container's command line holds: text that looks like a step, or the mark itself."""
    titles = ["Make a cgroup", f"Execute echo \n  2  child  {RECORD_SEPARATOR} 3", "Execute true"]
    names = ["MakeCgroup", "FindProgram", "ExecuteProgram"]
    lines = [StepLine(1, name, title, "child", "", "") for name, title in zip(names, titles, strict=True)]
    story = tmp_path / "explain.jsonl"
    story.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    before, *steps = explain.tell(story, mark=True).split(RECORD_SEPARATOR)
    assert before.startswith("3 steps")
    assert [f"{number}  child" in step for number, step in enumerate(steps, 1)] == [True] * 3
    assert steps[1].startswith("\nWhat it is"), "a part's heading belongs to its first step"
    assert "\\x1e 3" in steps[1]
    assert before + "".join(steps) == explain.tell(story).replace(RECORD_SEPARATOR, "\\x1e")


def test_a_command_of_several_lines(tmp_path: Path) -> None:
    """In the full form each line stands below the first; in the short one they are one line."""
    step = StepLine(1, "LeadPorts", "Lead a port", "daemon", "nft(8)", "why")
    call = CallLine(1, "nft", ("-f", "-"), 0, 0, 1, "nft(8)", "nft 'add a\n  add b'")
    story = tmp_path / "explain.jsonl"
    story.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (step, call)))
    assert explain.tell(story).splitlines()[-1].strip() == "$ nft 'add a; add b'"
    first, second = explain.tell(story, "full").rstrip().splitlines()[-2:]
    assert first.strip() == "$ nft 'add a"
    assert len(second) - len(second.lstrip()) > first.index("$")
