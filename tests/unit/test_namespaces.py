"""Id maps of user namespaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.kernel import namespaces
from minidock.kernel.namespaces import IdMapping

_ids = st.integers(min_value=0, max_value=2**32 - 2)
_mappings = st.lists(st.builds(IdMapping, _ids, _ids, st.integers(min_value=1, max_value=2**32 - 1)), max_size=5)


@given(_mappings)
def test_maps_survive_their_text(mappings: list[IdMapping]) -> None:
    """What is written to uid_map is what is read from it."""
    assert namespaces.parse_id_map("\n".join(map(str, mappings))) == mappings


def test_the_kernels_own_columns() -> None:
    """The kernel pads its columns with blanks."""
    assert namespaces.parse_id_map("         0     100000      65536\n") == [IdMapping(0, 100000, 65536)]


@pytest.mark.parametrize(("inside", "outside"), [(0, 1000), (1, 100000), (65536, 165535), (65537, None)])
def test_ids_are_looked_up(inside: int, outside: int | None) -> None:
    """The first id of a mapping, the last one, and one after it."""
    mappings = [IdMapping(0, 1000, 1), IdMapping(1, 100000, 65536)]
    assert namespaces.to_host(mappings, inside) == outside


def test_kinds_have_the_specifications_names() -> None:
    """The eight names of runtime-spec's linux.namespaces."""
    assert set(namespaces.KINDS) == {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}
