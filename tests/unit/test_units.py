"""Sizes, durations and times: Docker's own words, and what holds for all of them."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock import units
from minidock.errors import InvalidInput

HOUR = 3600 * units.SECOND
NANOSECONDS = st.integers(-(10**18), 4 * 10**18)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("32", 32),
        ("32b", 32),
        ("32B", 32),
        ("32k", 32 * 1024),
        ("32kb", 32 * 1024),
        ("32KiB", 32 * 1024),
        ("32 kb", 32 * 1024),
        ("1.5g", 3 * 2**29),
        ("512m", 2**29),
        ("2t", 2**41),
        ("3P", 3 * 2**50),
        (".5k", 512),
        ("0", 0),
    ],
)
def test_a_size_is_read_in_powers_of_1024(text: str, expected: int) -> None:
    """The forms that go-units' own tests accept."""
    assert units.parse_size(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("hello", "invalid size: 'hello'"),
        ("-32", "invalid size: '-32'"),
        ("3x", "invalid suffix: 'x'"),
        ("32bb", "invalid suffix: 'bb'"),
        ("32mx", "invalid suffix: 'mx'"),
        ("32kibb", "invalid suffix: 'kibb'"),
        ("1.2.3k", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
        (" 32", 'strconv.ParseFloat: parsing " 32": invalid syntax'),
    ],
)
def test_a_size_that_is_none_is_refused_in_go_units_words(text: str, message: str) -> None:
    """Scripts and people know these messages from Docker."""
    with pytest.raises(InvalidInput) as caught:
        units.parse_size(text)
    assert str(caught.value) == message


@given(st.integers(0, 2**50))
def test_a_plain_number_is_bytes(size: int) -> None:
    """Without a unit nothing is multiplied."""
    assert units.parse_size(str(size)) == units.parse_size(f"{size}b") == size


@given(st.integers(0, 2**62), st.sampled_from([units.human_size, units.bytes_size]))
def test_a_human_size_is_near_the_size(size: int, show: object) -> None:
    """Four digits: what is shown is off by less than a thousandth, and never longer than ten characters."""
    assert callable(show)
    text = show(size)
    number = text.rstrip("BkKMGTPEi")
    base = 1024 if show is units.bytes_size else 1000
    power = "BkMGTPE".index(text.removeprefix(number)[0].replace("K", "k"))
    assert abs(float(number) * base**power - size) <= size * 0.001
    assert len(text) <= 10


@pytest.mark.parametrize(
    ("size", "precision", "text"),
    [(0, 3, "0B"), (1000, 4, "1kB"), (1984162, 3, "1.98MB"), (1984162, 4, "1.984MB"), (999.9e6, 3, "1e+03MB")],
)
def test_sizes_look_like_dockers(size: float, precision: int, text: str) -> None:
    """As ``docker images`` prints them; the last one is go-units' own oddity, kept."""
    assert units.human_size(size, precision) == text


def test_memory_is_shown_in_powers_of_1024() -> None:
    """``docker info`` says 23.54GiB of a machine with 25279569920 bytes."""
    assert units.bytes_size(64 * 2**20) == "64MiB"
    assert units.bytes_size(25279569920) == "23.54GiB"


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 10**9), ("1.5", 1500000000), ("0.01", 10**7), ("3/2", 1500000000), ("1e-3", 10**6)]
)
def test_cpus_are_billionths(text: str, expected: int) -> None:
    """What Docker's big.Rat reads, ours reads too."""
    assert units.parse_cpus(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "failed to parse x as a rational number"),
        ("1/0", "failed to parse 1/0 as a rational number"),
        ("0.0000000001", "value is too precise"),
    ],
)
def test_cpus_that_are_none_are_refused(text: str, message: str) -> None:
    """In Docker's words."""
    with pytest.raises(InvalidInput) as caught:
        units.parse_cpus(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("10s", 10 * units.SECOND),
        ("1h30m", HOUR + HOUR // 2),
        ("1.5h", HOUR + HOUR // 2),
        ("-1m1s", -61 * units.SECOND),
        (".5s", units.SECOND // 2),
        ("5.s", 5 * units.SECOND),
        ("1µs1μs1us", 3000),
        ("1h0m0.001s", HOUR + 10**6),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, expected: int) -> None:
    """Forms of Go's time.ParseDuration."""
    assert units.parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (f"{'1' * 5000}s", 'time: invalid duration "' + "1" * 5000 + 's"'),
        ("3", 'time: missing unit in duration "3"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("s", 'time: invalid duration "s"'),
        ("1s.", 'time: invalid duration "1s."'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
    ],
)
def test_a_duration_that_is_none_is_refused_in_gos_words(text: str, message: str) -> None:
    """Go's error texts."""
    with pytest.raises(InvalidInput) as caught:
        units.parse_duration(text)
    assert str(caught.value) == message


@given(NANOSECONDS)
def test_a_duration_survives_writing_and_reading(nanoseconds: int) -> None:
    """What Go's Duration.String writes, ParseDuration reads: nothing is lost."""
    assert units.parse_duration(units.format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0s"), (1, "1ns"), (1100, "1.1µs"), (2_200_000, "2.2ms"), (90 * units.SECOND, "1m30s"), (HOUR, "1h0m0s")],
)
def test_a_duration_is_written_as_go_writes_it(nanoseconds: int, text: str) -> None:
    """Examples of Go's own documentation."""
    assert units.format_duration(nanoseconds) == text
    assert units.format_duration(-nanoseconds) == (f"-{text}" if nanoseconds else "0s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.45, "Less than a second"),
        (1, "1 second"),
        (45, "45 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3600 - 1, "59 minutes"),
        (3600, "About an hour"),
        (3600 + 1799, "About an hour"),
        (3600 + 1800, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 24 * 3600, "13 days"),
        (14 * 24 * 3600, "2 weeks"),
        (60 * 24 * 3600, "2 months"),
        (2 * 365 * 24 * 3600, "2 years"),
    ],
)
def test_an_age_is_told_as_go_units_tells_it(seconds: float, text: str) -> None:
    """The boundaries of go-units' HumanDuration."""
    assert units.human_duration(int(seconds * units.SECOND)) == text


@given(NANOSECONDS)
def test_a_time_survives_writing_and_reading(nanoseconds: int) -> None:
    """To the nanosecond."""
    assert units.parse_rfc3339(units.format_rfc3339(nanoseconds)) == nanoseconds


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_a_time_is_what_datetime_says(moment: datetime, minutes: int) -> None:
    """Python's own datetime is the oracle, for every day of the calendar and every zone."""
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert units.parse_rfc3339(zoned.isoformat()) == expected


def test_gos_zero_time_survives() -> None:
    """``0001-01-01T00:00:00Z`` stands for never in every ``inspect``."""
    assert units.format_rfc3339(units.parse_rfc3339("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("text", ["2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-01", "yesterday", ""])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    """No month 13, no 29 February in 2023, and a day alone is no moment."""
    with pytest.raises(InvalidInput):
        units.parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", 10**18 - 600 * units.SECOND),
        ("0", 0),
        ("1136073600.000000001", 1136073600 * units.SECOND + 1),
        ("1136073600", 1136073600 * units.SECOND),
        ("2006-01-02T15:04:05Z", 1136214245 * units.SECOND),
        ("2006-01-02T15:04:05.5+01:00", 1136210645 * units.SECOND + units.SECOND // 2),
        ("2006-01-02T15Z", 1136214000 * units.SECOND),
        ("2006-01-02Z", 1136160000 * units.SECOND),
    ],
)
def test_since_takes_durations_seconds_and_rfc3339(text: str, expected: int) -> None:
    """What ``docker logs --since`` takes. "Now" is 10^18 here."""
    assert units.parse_time(text, now=10**18) == expected


def test_since_without_a_zone_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In New York, noon without a zone is 17 o'clock UTC."""
    monkeypatch.setitem(os.environ, "TZ", "America/New_York")
    time.tzset()
    try:
        assert units.parse_time("2024-01-01T12:00:00", 0) == units.parse_rfc3339("2024-01-01T17:00:00Z")
        assert units.local_time(units.parse_rfc3339("2024-01-01T17:00:00Z")) == "2024-01-01 12:00:00 -0500 EST"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["soon", "2024-1-1", "1.2.3", "12:00"])
def test_since_refuses_what_is_no_time(text: str) -> None:
    """One line that says so."""
    with pytest.raises(InvalidInput):
        units.parse_time(text, 0)


def test_a_number_is_one_that_can_be_read() -> None:
    """Python knows more digits than ``int`` takes, and takes no more than 4300 of them."""
    assert units.is_number("0") and units.is_number("9" * 18)
    assert not any(units.is_number(text) for text in ("", "-1", "²", "٣", "1.0", "1" * 5000))
    with pytest.raises(InvalidInput, match="out of range"):
        units.parse_size("1e999")
