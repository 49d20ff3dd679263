"""The exercises of chapter 3: the numbers in the files of cgroups, and those that people write."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import Observation, Subject
from minidock.errors import InvalidInput, InvalidSpec
from minidock.kernel.cgroups.layout import Layout


def law_parse_number(subject: Subject) -> None:
    """A number, or no limit: version 2 says max, version 1 an enormous number."""
    for text in ("max\n", "max", "9223372036854771712\n"):
        subject.gives(None, text, why="no limit: version 2 writes max, version 1 the largest multiple of a page")
    subject.gives(None, "9223372036854710272\n", why="no limit in version 1, where a page has 64 KB")

    @given(st.integers(0, 1 << 50), st.sampled_from(["", "\n"]))
    def law(number: int, end: str) -> None:
        subject.gives(number, f"{number}{end}", why="a limit like any other; the kernel ends it with a newline")

    law()


_KEYS = st.text("abc:0123456789", min_size=1, max_size=5)
_NUMBERS = st.dictionaries(st.sampled_from(["rbytes", "wbytes", "rios"]), st.integers(0, 1 << 40))


def law_parse_nested_keyed(subject: Subject) -> None:
    """A key a line, with name=number pairs behind it."""

    @given(st.dictionaries(_KEYS, _NUMBERS, max_size=4))
    def law(values: dict[str, dict[str, int]]) -> None:
        lines = [[key, *(f"{name}={value}" for name, value in pairs.items())] for key, pairs in values.items()]
        text = "".join(f"{' '.join(line)}\n" for line in lines)
        subject.gives(values, text, why="io.stat: a device, then name=number, a line")

    law()


def law_parse_size(subject: Subject) -> None:
    """512m is 512 times 1024 times 1024, whatever form it is written in."""
    sizes = {"100": 100, "1k": 1024, "1KB": 1024, "1.5GiB": 3 << 29, "64 kb": 65536, ".5m": 1 << 19, "7b": 7}
    for text, size in sizes.items():
        subject.gives(size, text, why="units are powers of 1024, in either case; b and ib may follow")
    subject.gives(1, "1.9", why="rounded down")

    @given(st.integers(0, 4096), st.sampled_from("bkmgtp"), st.sampled_from(["", "b", "ib"]))
    def law(number: int, unit: str, suffix: str) -> None:
        ending = "" if unit == "b" else suffix
        subject.gives(number * 1024 ** "bkmgtp".index(unit), f"{number}{unit}{ending}")

    law()
    subject.gives(2_000_000, "2m", base=1000, why="units are powers of base")
    for text in ("", "m", "1x", "-1", "1..5m", "1mm", "1e", "1ib", "1k\n", "1_000", "nan", "inf"):
        subject.raises(InvalidInput, text, why="this is no size")


def law_parse_cpus(subject: Subject) -> None:
    """1.5 processors are 1500000000 billionths, exactly."""
    for text, billionths in (("1.5", 1_500_000_000), ("2", 2_000_000_000), (".5", 500_000_000), ("1/2", 500_000_000)):
        subject.gives(billionths, text, why="in billionths of a processor: the API calls it NanoCpus")

    @given(st.integers(0, 10**12))
    def law(billionths: int) -> None:
        whole, rest = divmod(billionths, 10**9)
        subject.gives(billionths, f"{whole}.{rest:09d}", why="exactly: a float is not exact")

    law()
    subject.gives(1_000_000_007, "1.000000007", why="exactly: a float is not exact")
    for text in ("", "many", "1/3", "0.0000000001", "1/0"):
        subject.raises(InvalidInput, text, why="no number, or too precise for billionths")


def law_cpu_max(subject: Subject) -> None:
    """What cpu.max is told: QUOTA PERIOD, with max for no limit."""

    @given(st.none() | st.integers(-1, 10**6), st.none() | st.integers(1000, 10**6))
    def law(quota: int | None, period: int | None) -> None:
        words = [str(quota) if quota and quota > 0 else "max"] + ([str(period)] if period is not None else [])
        why = "no quota, or -1 or 0, is max; without a period, the quota alone"
        subject.gives(" ".join(words), quota, period, why=why)

    law()


def law_swap_only(subject: Subject) -> None:
    """Version 1 limits memory and swap together, version 2 swap alone."""
    cases = ((100, 150, 50), (100, 100, 0), (100, -1, -1), (None, None, None), (-1, None, -1), (100, None, None))
    for limit, both, swap in cases:
        subject.gives(swap, limit, both, why="swap alone is the difference; -1 is no limit, None leaves it")
    subject.raises(InvalidSpec, 100, 50, why="less for both than for memory alone")
    for limit in (None, -1):
        subject.raises(InvalidSpec, limit, 50, why="without a limit of memory the difference is not known")

    @given(st.integers(1, 1 << 40), st.integers(0, 1 << 40))
    def law(limit: int, swap: int) -> None:
        subject.gives(swap, limit, limit + swap, why="swap alone is the difference")

    law()


_V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
_V1 = (
    "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)
_OTHER = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n24 22 0:5 / /my\\040cgroup rw - tmpfs cgroup rw\n"
_UNIFIED = "34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def law_parse_mountinfo(subject: Subject) -> None:
    """Which version is it, and where is each controller?"""
    memory, cpu = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/cpu,cpuacct")
    v1 = {"memory": memory, "cpu": cpu, "cpuacct": cpu, "name=systemd": Path("/sys/fs/cgroup/systemd")}
    for text, kind, mounts, unified in (
        (_OTHER + _V2, "v2", {}, Path("/sys/fs/cgroup")),
        (_OTHER + _V1, "v1", v1, None),
        (_V1 + _UNIFIED + _OTHER, "hybrid", v1, Path("/sys/fs/cgroup/unified")),
        (_V2 + _V2.replace("/sys/fs/cgroup", "/elsewhere"), "v2", {}, Path("/sys/fs/cgroup")),
        (_V2.replace(" / ", " /docker/abc "), "v2", {}, Path("/sys/fs/cgroup")),
        (_V2.replace("/sys/fs/cgroup", r"/my\040groups"), "v2", {}, Path("/my groups")),
        (_OTHER, "none", {}, None),
        ("", "none", {}, None),
    ):
        found = subject(text)
        seen = (found.kind, dict(found.v1), found.v2)
        right = seen == (kind, mounts, unified)
        subject.expect(right, "kind, version 1's mounts, version 2's", Layout(kind, mounts, unified))


def _asked(seen: Observation, *words: str) -> bool:
    return any(word in str(seen.arguments[0]) for word in words)


EXERCISES = (
    Exercise(
        engine="minidock.kernel.cgroups.values:parse_number",
        title="max is not a number",
        task="""Every limit is a file with one number in it, and the kernel ends it with a newline. No limit is the
        word max in version 2. Version 1 has no word and answers with the largest multiple of a page below 2^63:
        9223372036854771712 where a page has 4096 bytes, less where pages are larger (64 KB on some arm64 machines).
        Return the number, or None for no limit.""",
        law=law_parse_number,
        hints=(
            "strip() the newline first.",
            "Anything from 1 << 62 on can only mean that there is no limit.",
        ),
        wrong=(
            Wrong(
                "parse_number_only_v2",
                lambda seen: isinstance(seen.result, int) and seen.expected is None,
                "Version 1 cannot say max: it answers with a number near 2^63; which, depends on the size of a page. "
                "Nobody has so much memory.",
            ),
            Wrong(
                "parse_number_newline",
                lambda seen: isinstance(seen.error, ValueError),
                "The text ends with a newline, so it is not equal to max.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.cgroups.values:parse_nested_keyed",
        title="io.stat, a line a disk",
        task="""io.stat and its kin have a key on each line (a disk: 8:0), and behind it name=number, any number of
        times. Read such a text into a dict of dicts.""",
        law=law_parse_nested_keyed,
        hints=(
            "key, *pairs = line.split() takes the line apart.",
            "partition('=') splits a pair; the value is int of its last part.",
        ),
        wrong=(
            Wrong(
                "parse_nested_keyed_drops_empty",
                lambda seen: len(seen.result) < len(seen.expected),
                "A line may have a key and nothing behind it: a disk that was never used. It is still there.",
            ),
            Wrong(
                "parse_nested_keyed_strings",
                lambda seen: str(seen.result).replace("'", "") == str(seen.expected).replace("'", ""),
                "It looks right, but the values are texts: they should be numbers.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.units:parse_size",
        uses=("minidock.errors:InvalidInput",),
        title="How much is 512m?",
        task="""-m 512m: a number, perhaps with a fraction, perhaps a blank, and a unit of k, m, g, t, p in either
        case, perhaps with b or ib behind it. Every unit is a power of 1024 (of base, where it is given); a bare b, or
        nothing, is bytes. Return bytes, rounded down. Raise InvalidInput (from minidock.errors) for anything else, a
        negative size included.""",
        law=law_parse_size,
        hints=(
            "Find where the number ends: the last digit, dot or blank.",
            "Check the rest with a pattern: nothing, b, or one of kmgtp with an optional b or ib.",
            "'bkmgtp'.index(unit) is the power.",
        ),
        wrong=(
            Wrong(
                "parse_size_thousand",
                lambda seen: not seen.keywords and 0 < seen.result < seen.expected,
                "For memory k is 1024, not 1000: 512m is 536870912.",
            ),
            Wrong(
                "parse_size_case",
                lambda seen: seen.error is not None and _asked(seen, "K", "G"),
                "1KB and 1.5GiB are sizes too: the case does not matter.",
            ),
            Wrong(
                "parse_size_negative",
                lambda seen: isinstance(seen.result, int) and seen.result < 0,
                "A negative size is no size.",
            ),
            Wrong(
                "parse_size_as_python",
                lambda seen: seen.arguments[0] in ("1_000", "nan", "inf"),
                "float() reads 1_000, nan and inf too: look at the characters before you convert.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.units:parse_cpus",
        uses=("minidock.errors:InvalidInput",),
        title="One and a half processors",
        task="""--cpus 1.5 travels through the API as NanoCpus: billionths of a processor, an integer. Convert
        exactly. Docker takes 1/2, too. Raise InvalidInput for what is no number, and for one that
        needs more than nine digits after the point.""",
        law=law_parse_cpus,
        hints=(
            "0.1 as a float is not a tenth. Python has exact numbers: fractions.Fraction reads '1.5' and '1/2'.",
            "Multiply by 1_000_000_000; if the denominator is not 1 afterwards, it was too precise.",
        ),
        wrong=(
            Wrong(
                "parse_cpus_float",
                lambda seen: abs(seen.result - seen.expected) <= 1000,
                "A float has about 16 digits and is seldom exact: int(float(x) * 1e9) is off by one sooner or later.",
            ),
            Wrong(
                "parse_cpus_rounds",
                lambda seen: seen.expected is InvalidInput and seen.error is None,
                "That is not a whole number of billionths: say so, rather than round.",
            ),
            Wrong(
                "parse_cpus_decimal",
                lambda seen: seen.arguments[0] == "1/2",
                "A fraction is a number, too. Decimal does not read it; which of Python's exact numbers does?",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.cgroups.values:cpu_max",
        title="Half a processor",
        task="""cpu.max takes QUOTA PERIOD, in microseconds: 50000 100000 is half a processor. A quota that is None,
        0 or negative is no limit: max. A period that is None is not written, and the kernel keeps the one
        it has.""",
        law=law_cpu_max,
        hints=(
            "The first word is max or the quota.",
            "f'{limit}' if period is None else f'{limit} {period}'.",
        ),
        wrong=(
            Wrong(
                "cpu_max_minus_one",
                lambda seen: seen.result is not None and str(seen.result).startswith(("-1", "0")),
                "-1 and 0 mean no limit here, as in Docker's API: write max.",
            ),
            Wrong(
                "cpu_max_default_period",
                lambda seen: seen.arguments[1] is None,
                "Without a period write the quota alone: a period that somebody has set stays.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.cgroups.values:swap_only",
        uses=("minidock.errors:InvalidSpec",),
        title="Memory and swap, together or apart",
        task="""Docker's --memory-swap counts memory and swap together, as version 1 of cgroups does. Version 2
        limits swap alone. Given the limit of memory and that of both, return that of swap alone. -1 is no
        limit, None means: leave it as it is. Of both -1 is -1, and None is None; but where memory's limit is -1, None
        is -1 too: who takes the limit from memory takes it from swap. Raise InvalidSpec (minidock.errors) where the
        difference is negative, or unknown because the limit of memory is None or -1.""",
        law=law_swap_only,
        hints=(
            "Treat swap None and swap -1 first; then a limit of memory is needed.",
            "limit -1 and swap None: -1. limit 100 and swap None: None. limit -1 and swap 50: InvalidSpec.",
        ),
        wrong=(
            Wrong(
                "swap_only_none_first",
                lambda seen: seen.arguments == (-1, None) and seen.result is None,
                "None leaves swap as it is, but not here: who takes the limit from memory takes it from swap, too.",
            ),
            Wrong(
                "swap_only_same",
                lambda seen: isinstance(seen.expected, int) and seen.result == seen.arguments[1] != seen.expected,
                "The number that people give is memory plus swap: subtract the memory.",
            ),
            Wrong(
                "swap_only_negative",
                lambda seen: isinstance(seen.result, int) and seen.expected is InvalidSpec,
                "That cannot be: less for both than for memory alone, or no limit of memory at all.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.cgroups.layout:parse_mountinfo",
        uses=(
            "minidock.kernel.mounts:Mount",
            "minidock.kernel.mounts:parse_line",
        ),
        title="Version 1, version 2, or both?",
        task="""From the text of /proc/self/mountinfo find out how cgroups are mounted, and return a Layout: kind is
        v1, v2, hybrid or none; v1 maps each controller, and each name=…, to its mount point; v2 is where
        cgroup2 is mounted. The first mount of a hierarchy counts, whatever its root is. (You need not fill in
        missing.)""",
        law=law_parse_mountinfo,
        hints=(
            "parse_line reads a line: look at filesystem, mount_point and super_options. (cat /proc/self/mountinfo)",
            "A version 1 mount lists its controllers among the options: cpu,cpuacct. rw and xattr are no controllers.",
            "hybrid is: a controller in v1, and a cgroup2 somewhere. setdefault keeps the first.",
        ),
        wrong=(
            Wrong(
                "parse_mountinfo_last_wins",
                lambda seen: str(seen.arguments[0]).count("cgroup2 cgroup2") == 2,
                "The same hierarchy is mounted twice: the first one counts.",
            ),
            Wrong(
                "parse_mountinfo_all_options",
                lambda seen: "rw" in seen.result.v1 or "xattr" in seen.result.v1,
                "rw is not a controller.",
            ),
            Wrong(
                "parse_mountinfo_by_source",
                lambda seen: any("my" in str(path) for path in seen.result.v1.values()) or seen.error is not None,
                "Look at the type of the file system (behind the -): the source may be called anything.",
            ),
        ),
    ),
)
