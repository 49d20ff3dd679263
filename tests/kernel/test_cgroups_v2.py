"""What only cgroup v2 does, with its real controllers: in the guest (``make test-guest``), or on any host of today."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minidock.kernel.cgroups import Cgroup, Resources
from tests.kernel.groups import existing

pytestmark = pytest.mark.root


@pytest.fixture
def group() -> Iterator[Cgroup]:
    """A group with all controllers."""
    with existing("v2") as made:
        yield made


def test_files_by_their_own_names(group: Cgroup) -> None:
    """`unified` reaches what the runtime-spec has no other word for."""
    group.apply(Resources(unified={"memory.high": "33554432"}))
    assert (group.directories()[""] / "memory.high").read_text() == "33554432\n"
