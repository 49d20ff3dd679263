"""The exercises of chapter 6: what goes over the wire between client and daemon, and what a daemon is for."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import Subject
from minidock.daemon.records import State
from minidock.errors import InvalidInput
from minidock.messages import RestartPolicy


def law_labels_match(subject: Subject) -> None:
    """Every wanted label is there, with its value if one is given."""
    labels = {"tier": "web", "empty": "", "rule": "a=b"}
    for wanted, fits in (
        ([], True),
        (["tier"], True),
        (["tier=web"], True),
        (["tier=db"], False),
        (["tier=web", "no"], False),
        (["no", "tier=web"], False),
        (["rule=a=b"], True),
        (["empty="], True),
        (["empty"], True),
        (["tier="], False),
    ):
        subject.gives(fits, wanted, labels, why="all must hold; the first = separates name and value")


def law_header(subject: Subject) -> None:
    """One byte of stream, three zeros, four of length, big-endian."""

    @given(st.sampled_from([0, 1, 2]), st.integers(0, (1 << 32) - 1))
    def law(stream: int, length: int) -> None:
        wanted = bytes([stream, 0, 0, 0]) + length.to_bytes(4, "big")
        subject.gives(wanted, stream, length, why="stream, three zeros, the length big-endian")

    law()
    subject.gives(b"\x02\0\0\0\0\0\1\0", 2, 256)


def law_after_exit(subject: Subject) -> None:
    """What the policy says, unless the user has stopped it."""
    why = "on-failure, and the code is not 0: as often as the limit says"
    for limit, restarts, again in ((2, 0, True), (2, 1, True), (0, 9, True), (2, 2, False)):
        state = State(exit_code=1, restart_count=restarts)
        subject.gives(again, RestartPolicy(name="on-failure", maximum_retry_count=limit), state, why=why)
    names = st.sampled_from(["", "no", "always", "unless-stopped", "on-failure"])

    @given(names, st.integers(0, 3), st.sampled_from([0, 1, 137]), st.integers(0, 4), st.booleans())
    def law(name: str, limit: int, code: int, restarts: int, stopped: bool) -> None:
        limit = limit if name == "on-failure" else 0
        policy = RestartPolicy(name=name, maximum_retry_count=limit)
        state = State(exit_code=code, restart_count=restarts, manually_stopped=stopped)
        again = name in ("always", "unless-stopped")
        again = again or (name == "on-failure" and code != 0 and (limit == 0 or restarts < limit))
        subject.gives(again and not stopped, policy, state, why="the policy, the exit code, how often, and the user")

    law()


_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def law_parse_duration(subject: Subject) -> None:
    """Go's notation: numbers with units, added up."""
    for text, wanted in (
        ("0", 0),
        ("1.5s", 1_500_000_000),
        ("-10ms", -10_000_000),
        ("1h30m", 5400 * 10**9),
        ("-1h30m", -5400 * 10**9),
    ):
        subject.gives(wanted, text, why="numbers with units, added up; one sign before all")

    @given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(list(_UNITS))), min_size=1, max_size=4))
    def law(parts: list[tuple[int, str]]) -> None:
        total = sum(number * _UNITS[unit] for number, unit in parts)
        subject.gives(total, "".join(f"{number}{unit}" for number, unit in parts), why="the sum of the parts")

    law()
    for text in ("", "5", "s", "1x", "1h5", "-"):
        subject.raises(InvalidInput, text, why="a number without a unit, or a unit without a number")
    for text in ("--5s", "+-0", "1.2.3s"):
        subject.raises(InvalidInput, text, why="no duration: one sign at most, then numbers, each with its unit")
    subject.raises(InvalidInput, "\N{ARABIC-INDIC DIGIT FIVE}s", why="a digit is one of 0 to 9")


_EMPTY_FRAME = b"\1\0\0\0\0\0\0\0"


def law_unframer(subject: Subject) -> None:
    """However the bytes are cut, the same frames come out."""
    frames = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20)), max_size=4)
    found = _fed(subject, subject(), [_EMPTY_FRAME])
    subject.expect(found == [(1, b"")], "eight bytes that announce none more are a frame", [(1, b"")])

    @given(frames, st.integers(1, 30))
    def law(wanted: list[tuple[int, bytes]], size: int) -> None:
        wire = b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for stream, data in wanted)
        pieces = [wire[begin : begin + size] for begin in range(0, len(wire), size)]
        found = _fed(subject, subject(), pieces)
        subject.expect(found == wanted, "each frame once, complete, whatever the pieces", wanted)

    law()
    first, second = subject(), subject()
    _fed(subject, first, [_EMPTY_FRAME[:5]])
    found = _fed(subject, second, [_EMPTY_FRAME])
    subject.expect(
        found == [(1, b"")], "another Unframer was fed half a header: what is left over is its own", [(1, b"")]
    )


def _fed(subject: Subject, unframer: Any, pieces: list[bytes]) -> list[tuple[int, bytes]]:
    """The frames that come out of it; on record while they come, for it may never end."""
    found: list[tuple[int, bytes]] = []
    subject.last.name, subject.last.arguments, subject.last.result = "feed, a piece at a time: ", tuple(pieces), found
    for piece in pieces:
        found += [tuple(frame) for frame in unframer.feed(piece)]
    return found


EXERCISES = (
    Exercise(
        engine="minidock.daemon.api.parameters:labels_match",
        title="Filters",
        task="""ps --filter label=tier --filter label=a=b: given the wanted labels, each a name or name=value, and a
        container's labels, say whether every one of them holds.""",
        law=law_labels_match,
        hints=("partition('=') tells a name from name=value.", "all(...) of nothing is True."),
        wrong=(
            Wrong("labels_match_any", lambda seen: len(seen.arguments[0]) != 1, "Every label must hold, not just one."),
            Wrong("labels_match_truthy", lambda seen: seen.arguments[0] == ["tier="], "tier= asks for an empty value."),
            Wrong(
                "labels_match_get",
                lambda seen: seen.arguments[0] == ["empty"],
                "The label is there, and its value is empty: get gives what is as false as None.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.containers.streams:header",
        title="Eight bytes",
        task="""Output travels in frames. Return the 8 bytes before one: the stream's number in one byte, three zeros,
        and the length in four bytes, big-endian.""",
        law=law_header,
        hints=("int.to_bytes(4, 'big') writes the length.", "struct has a format for it: >BxxxL."),
        wrong=(
            Wrong(
                "header_little",
                lambda seen: len(seen.result) == 8 and seen.result[:4] == seen.expected[:4],
                "The network's order is big-endian.",
            ),
            Wrong("header_unpadded", lambda seen: len(seen.result) == 5, "Three zeros stand behind the stream."),
        ),
    ),
    Exercise(
        engine="minidock.daemon.restarts:after_exit",
        title="Once more?",
        task="""A program has ended, and the daemon asks: shall it start again? always and unless-stopped say yes.
        on-failure says so after an exit code that is not 0, at most maximum_retry_count times (0: without end); state
        has restart_count and exit_code. No other policy does. A container with manually_stopped stays as it is.""",
        law=law_after_exit,
        hints=("Ask for state.manually_stopped first.", "limit == 0 or state.restart_count < limit."),
        wrong=(
            Wrong(
                "after_exit_against_the_user",
                lambda seen: seen.arguments[1].manually_stopped,
                "Somebody has typed stop. Who starts it again all the same does not obey.",
            ),
            Wrong(
                "after_exit_no_end",
                lambda seen: seen.expected and seen.arguments[0] == RestartPolicy(name="on-failure"),
                "A limit of 0 is none: it was not given.",
            ),
            Wrong(
                "after_exit_one_more",
                lambda seen: (
                    seen.result is True and seen.arguments[0].maximum_retry_count == seen.arguments[1].restart_count
                ),
                "It was started again as often as it may be: < and not <=.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.units:parse_duration",
        uses=("minidock.errors:InvalidInput",),
        title="1h30m",
        task="""Go writes durations as 1h30m, 1.5s, -10ms: numbers with units (ns, us, ms, s, m, h), added up, one sign
        before all. Return nanoseconds. Only 0 needs no unit. Raise InvalidInput for all else.""",
        law=law_parse_duration,
        hints=("Take a number and a unit off the front until nothing is left.", "ms before m and s: the longest unit."),
        wrong=(
            Wrong("parse_duration_one", lambda seen: seen.error is not None, "There may be several parts, and a sign."),
            Wrong(
                "parse_duration_sign",
                lambda seen: seen.arguments[0].startswith("-") and seen.result != seen.expected != InvalidInput,
                "The sign is before all, and for all: -1h30m is an hour and a half, the other way.",
            ),
            Wrong(
                "parse_duration_digits",
                lambda seen: not seen.arguments[0].isascii(),
                r"\d and isdigit know the digits of every script, and so does int. [0-9] says what is meant.",
            ),
            Wrong(
                "parse_duration_skips",
                lambda seen: seen.expected is InvalidInput,
                "Not all of it was understood: a second sign, a second point, something left over, or nothing at all.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.containers.streams:Unframer",
        title="Frames from pieces",
        task="""A socket has no borders: a read may bring half a header, or three frames and a bit. feed(data) returns
        the frames that are complete now, as pairs of stream and content, and keeps the rest for the next call.""",
        law=law_unframer,
        hints=("Keep what is left over in self, and put new data behind it.", "A loop: one piece may bring many."),
        wrong=(
            Wrong(
                "unframer_forgets",
                lambda seen: len(seen.arguments) > 1 and not seen.result,
                "What is incomplete now is needed next time.",
            ),
            Wrong(
                "unframer_one",
                lambda seen: len(seen.arguments) == 1 and seen.result,
                "One piece may bring several frames.",
            ),
            Wrong(
                "unframer_empty",
                lambda seen: seen.arguments == (_EMPTY_FRAME,) and "half" not in seen.why,
                "A program may write nothing: that frame is complete with its eighth byte.",
            ),
            Wrong(
                "unframer_header",
                lambda seen: seen.result and len(seen.result[-1][1]) < len(seen.expected[len(seen.result) - 1][1]),
                "That frame was not complete yet: its length does not count the 8 bytes before it.",
            ),
        ),
    ),
)
