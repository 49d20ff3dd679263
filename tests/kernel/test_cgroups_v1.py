"""What only cgroup v1's controllers do, and what version 2 does like them: on hosts that have version 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidock.errors import InvalidSpec
from minidock.kernel.cgroups import Cgroup, DeviceRule, Memory, Resources
from tests.kernel.groups import KINDS, Prober, existing, make, remove

pytestmark = pytest.mark.root


@pytest.fixture
def v1() -> Iterator[Cgroup]:
    """A version 1 group with all controllers."""
    with existing("v1") as made:
        yield made


def test_swappiness_is_a_limit_here(v1: Cgroup) -> None:
    """Version 2 has none."""
    v1.apply(Resources(memory=Memory(swappiness=10)))
    assert (v1.directories()["memory"] / "memory.swappiness").read_text() == "10\n"


def test_a_limit_above_memory_and_swap_is_explained(v1: Cgroup) -> None:
    """Where the kernel would only say EINVAL."""
    v1.apply(Resources(memory=Memory(limit=8 << 20, swap=16 << 20)))
    with pytest.raises(InvalidSpec, match="raise both at once"):
        v1.apply(Resources(memory=Memory(limit=32 << 20)))


def test_a_half_made_group_can_be_taken_away(v1: Cgroup) -> None:
    """Its making was interrupted: some of its directories are not there."""
    half = make("v1", "group/half")
    half.create()
    half.directories()["freezer"].rmdir()
    half.kill()
    half.delete()
    assert not half.exists


def test_files_of_version_2_are_refused(v1: Cgroup) -> None:
    """`unified` cannot be meant here."""
    with pytest.raises(InvalidSpec, match="cgroup v2"):
        v1.apply(Resources(unified={"memory.high": "1"}))


letters = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda chosen: "".join(sorted(chosen)))
allowing = st.builds(
    DeviceRule,
    st.just(True),
    st.sampled_from("cca"),
    st.sampled_from([1, None]),
    st.sampled_from([3, 5, None]),
    letters,
)


@st.composite
def rule_lists(draw: st.DrawFn) -> list[DeviceRule]:
    """Rules about which both versions agree: first deny all, then allow; what is denied again was allowed in the same
    words (version 1 knows a list of exceptions, and takes one out only by its exact name)."""
    allowed = draw(st.lists(allowing, max_size=3, unique_by=lambda rule: (rule.type, rule.major, rule.minor)))
    rules = [DeviceRule(False), *allowed]
    if len(allowed) == 1 and draw(st.booleans()):
        rule = allowed[0]
        rules.append(DeviceRule(False, rule.type, rule.major, rule.minor, draw(letters)))
    return rules


def test_the_program_decides_as_version_1_does(tmp_path: Path) -> None:
    """The same rules give the same rights, tried with real devices, under version 1 and under our program."""
    groups = [make("v1", "devices"), make("v2", "devices")]
    probers = []
    try:
        for group in groups:
            group.create()
            probers.append(Prober(group, tmp_path))

        @settings(max_examples=40)
        @given(rule_lists())
        def agree(rules: list[DeviceRule]) -> None:
            for group in groups:
                group.apply(Resources(devices=tuple(rules)))
            old, new = (prober.allowed() for prober in probers)
            assert old == new

        agree()
    finally:
        for prober in probers:
            prober.close()
        for kind in KINDS:
            remove(make(kind, ""))
