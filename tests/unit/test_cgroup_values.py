"""The text in the files of cgroups, and version 1's numbers as version 2's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.errors import InvalidSpec
from minidock.kernel.cgroups import values

names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
numbers = st.integers(0, 2**61)
devices = st.tuples(st.integers(0, 4095), st.integers(0, 2**20 - 1)).map(lambda pair: f"{pair[0]}:{pair[1]}")


@given(st.integers(-1, 2**61))
def test_a_number_survives_being_written_and_read(value: int) -> None:
    """What is formatted parses to the same, and a negative number is no limit."""
    assert values.parse_number(values.format_number(value) + "\n") == (None if value < 0 else value)


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", "9223372036854775807"])
def test_both_versions_words_for_no_limit(text: str) -> None:
    """Version 2 says max; version 1 says the largest multiple of the page size."""
    assert values.parse_number(text) is None


@given(st.dictionaries(names, numbers))
def test_flat_keyed(stat: dict[str, int]) -> None:
    """Every key and number of a memory.stat is found."""
    assert values.parse_flat_keyed("".join(f"{key} {value}\n" for key, value in stat.items())) == stat


@given(st.dictionaries(devices, st.dictionaries(names, numbers, min_size=1)))
def test_nested_keyed(stat: dict[str, dict[str, int]]) -> None:
    """An io.stat that is formatted line by line parses to the same."""
    lines = [values.format_nested_keyed(key, pairs) for key, pairs in stat.items()]
    assert values.parse_nested_keyed("\n".join(lines)) == stat


def test_a_device_without_numbers() -> None:
    """The kernel writes a bare device into io.stat when nothing happened on it yet."""
    assert values.parse_nested_keyed("8:0\n8:16 rbytes=1\n") == {"8:0": {}, "8:16": {"rbytes": 1}}


@pytest.mark.parametrize(
    ("quota", "period", "text"),
    [(50000, 100000, "50000 100000"), (-1, 100000, "max 100000"), (None, 200000, "max 200000"), (20000, None, "20000")],
)
def test_cpu_max(quota: int | None, period: int | None, text: str) -> None:
    """The quota alone keeps the period; no quota is max."""
    assert values.cpu_max(quota, period) == text


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (1024, 100), (2000, 170), (262144, 10000), (10**9, 10000)]
)
def test_the_fixed_points_of_the_cpu_weight(shares: int, weight: int) -> None:
    """Least, ordinary and most mean the same in both versions; 2000 is a value that runc reports."""
    assert values.cpu_weight(shares) == weight


@given(st.integers(2, 262143))
def test_more_shares_are_never_less_weight(shares: int) -> None:
    """The conversion keeps the order and the range."""
    assert 1 <= values.cpu_weight(shares) <= values.cpu_weight(shares + 1) <= 10000


@given(st.integers(10, 999))
def test_io_weights_keep_their_order(weight: int) -> None:
    """10 becomes 1, 1000 becomes 10000, and what is between stays between."""
    assert values.io_weight(10) == 1
    assert values.io_weight(1000) == 10000
    assert values.io_weight(weight) < values.io_weight(weight + 1)


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_swap_is_what_version_1_counts_beyond_memory(limit: int, extra: int) -> None:
    """Memory plus swap, less memory, is swap."""
    assert values.swap_only(limit, limit + extra) == extra


@pytest.mark.parametrize(
    ("limit", "swap", "converted"),
    [(100, -1, -1), (None, -1, -1), (-1, None, -1), (100, None, None), (None, None, None)],
)
def test_swap_without_a_number(limit: int | None, swap: int | None, converted: int | None) -> None:
    """-1 is no limit; unlimited memory frees swap as well, as version 1 would; None is left alone."""
    assert values.swap_only(limit, swap) == converted


@pytest.mark.parametrize(("limit", "swap"), [(None, 100), (-1, 100), (100, 99)])
def test_a_swap_limit_that_means_nothing(limit: int | None, swap: int) -> None:
    """Memory plus swap needs to know memory, and cannot be less."""
    with pytest.raises(InvalidSpec):
        values.swap_only(limit, swap)
