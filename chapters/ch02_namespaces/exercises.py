"""The exercises of chapter 2: numbers that mean one thing inside and another outside."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import Subject
from minidock.containers.users import Identity
from minidock.errors import InvalidInput
from minidock.kernel.namespaces import IdMapping
from minidock.oci.runtime import MAX_ID

_IDS = st.integers(0, 2**32 - 2)
_MAPPINGS = st.lists(st.builds(IdMapping, _IDS, _IDS, st.integers(1, 65536)), max_size=4)


def law_parse_id_map(subject: Subject) -> None:
    """Whatever the kernel prints is understood: it pads its columns, and its numbers are unsigned."""
    subject.gives([IdMapping(0, 0, 4294967295)], "         0          0 4294967295\n", why="this is the host's own map")

    @given(_MAPPINGS)
    def law(mappings: list[IdMapping]) -> None:
        text = "".join(f"{each.container:>10} {each.host:>10} {each.size:>10}\n" for each in mappings)
        subject.gives(mappings, text, why="one mapping a line: inside, outside, how many")

    law()
    for text in ("0 1000\n", "0 1000 1 1\n", "a b c\n"):
        subject.raises(ValueError, text, why="a line has three numbers")


def law_to_host(subject: Subject) -> None:
    """An id in a mapping's range keeps its distance from the range's start; any other has no number outside."""
    mappings = [IdMapping(0, 100000, 1000), IdMapping(5000, 1, 1)]
    for inside, outside in ((0, 100000), (999, 100999), (1000, None), (5000, 1), (4999, None), (5001, None)):
        subject.gives(outside, mappings, inside, why="inside the range, counted from where it starts outside")

    @given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50), st.integers(0, 150))
    def law(start: int, host: int, size: int, number: int) -> None:
        wanted = host + number - start if start <= number < start + size else None
        subject.gives(wanted, [IdMapping(start, host, size)], number, why="one range: start to start + size - 1")

    law()


def law_sysctl_path(subject: Subject) -> None:
    """Dots become slashes, unless the key is written with slashes already."""
    for key, path in (("net.ipv4.ip_forward", "net/ipv4/ip_forward"), ("kernel.shmmax", "kernel/shmmax")):
        subject.gives(path, key, why="the path below /proc/sys, as text: a slash for each dot")
    for key in ("net/ipv4/ip_forward", "net/ipv4/conf/eth0.1/forwarding", "hostname"):
        subject.gives(key, key, why="a key with a slash before its first dot is a path already (sysctl(8))")

    @given(st.lists(st.text("abc_", min_size=1, max_size=4), min_size=1, max_size=4))
    def law(names: list[str]) -> None:
        subject.gives("/".join(names), ".".join(names), why="a slash for each dot")

    law()


def law_code_of(subject: Subject) -> None:
    """What the program returned; 128 plus the signal for one that was killed."""

    @given(st.integers(0, 255))
    def exited(code: int) -> None:
        subject.gives(code, code << 8, why="wait(2): the upper byte is what the program returned")

    @given(st.integers(1, 64), st.booleans())
    def killed(number: int, dumped: bool) -> None:
        status = number | (0x80 if dumped else 0)
        subject.gives(128 + number, status, why="killed by a signal: a shell, and Docker, say 128 plus its number")

    exited()
    killed()


_SIGNALS = [each.name for each in signal.Signals if each.name.startswith("SIG") and each < signal.SIGRTMIN]


def law_signal_number(subject: Subject) -> None:
    """KILL, SIGKILL, sigkill and 9 are one and the same; RTMIN+3 counts from the first real-time signal."""
    for text, number in (("RTMIN+3", signal.SIGRTMIN + 3), ("SIGRTMAX-1", signal.SIGRTMAX - 1), ("64", 64)):
        subject.gives(int(number), text, why="real-time signals are named by their distance from an end (signal(7))")

    @given(st.sampled_from(_SIGNALS), st.booleans(), st.booleans())
    def law(name: str, short: bool, lower: bool) -> None:
        text = name.removeprefix("SIG") if short else name
        subject.gives(int(signal.Signals[name]), text.lower() if lower else text, why="case and SIG do not matter")

    law()
    for text in ("", "0", "65", "-1", "NOSUCH", "RTMIN+99", "RTMIN+x", "RTMIN+-3", "9.5"):
        subject.raises(InvalidInput, text, why="there is no such signal")


_PASSWD = """root:x:0:0:root:/root:/bin/sh
# a comment
ann:x:1000:100:Ann:/home/ann:/bin/sh
1000:x:0:0:a trap:/trap:/bin/sh
bad:x:no:0::/:
"""
_GROUP = "root:x:0:\nusers:x:100:\nwheel:x:10:ann,bob\nmail:x:12:ann\nstaff:x:50:joann,annie\n"
_EDITED = f"{_PASSWD}\n#gone:x:77:5:no longer here:/gone:/bin/sh\nshort:x:5:6\n", f"{_GROUP}\nshort:x\n"


def law_resolve(subject: Subject) -> None:
    """Who a user is, by Docker's rules, in files that a stranger wrote."""
    why = "a name is looked up; the group is the user's own, with all groups that list the user"
    _is(subject, "ann", 1000, 100, (10, 12), "/home/ann", why)
    _is(subject, "root", 0, 0, (), "/root", why)
    _is(subject, "", 0, 0, (), "/root", "nobody asked for is root")
    _is(subject, "1000", 1000, 100, (10, 12), "/home/ann", "a number is a number, even when a user is called so")
    _is(subject, "77", 77, 0, (), "", "a number need not be listed")
    _is(subject, "ann:mail", 1000, 12, (), "/home/ann", "with a group, only that one")
    _is(subject, "77:100", 77, 100, (), "", "two numbers need no file at all")
    _is(subject, ":wheel", 0, 10, (), "/root", "only a group: the user is root")
    _is(subject, "ann:", 1000, 100, (10, 12), "/home/ann", "an empty group is none")
    for who in ("nobody", "ann:nothing", "bad"):
        subject.raises(InvalidInput, who, _PASSWD, _GROUP, why="there is no such entry")
    for who in ("-1", "2147483648", "4294967296"):
        subject.raises(InvalidInput, who, _PASSWD, _GROUP, why=f"an id is one of 0-{MAX_ID}")
    _is(subject, "77", 77, 0, (), "", "the entry that has this number is in a comment", *_EDITED)
    _is(subject, "short", 5, 6, (), "", "the fields that are missing at the end are empty", *_EDITED)
    subject.raises(InvalidInput, "ann:short", *_EDITED, why="this group has no number")


def _is(
    subject: Subject, who: str, uid: int, gid: int, groups: tuple[int, ...], home: str, why: str,
    passwd: str = _PASSWD, group: str = _GROUP,
) -> None:  # fmt: skip
    subject.gives(Identity(uid, gid, groups, home), who, passwd, group, why=why)


EXERCISES = (
    Exercise(
        engine="minidock.kernel.namespaces:parse_id_map",
        title="Who is root, outside?",
        task="""A user namespace has a map: /proc/PID/uid_map. Each line has three numbers: the first id inside, the
        first id outside, and how many follow. Read such a text into a list of IdMapping. Raise
        ValueError where a line is not three numbers. Try: cat /proc/self/uid_map.""",
        law=law_parse_id_map,
        hints=(
            "str.split() without an argument takes any number of blanks for one.",
            "For each line: IdMapping(*map(int, line.split())).",
        ),
        wrong=(
            Wrong(
                "parse_id_map_single_blanks",
                lambda seen: isinstance(seen.error, ValueError) and "  " in seen.arguments[0],
                "The kernel pads its columns with blanks: split at any number of them.",
            ),
            Wrong(
                "parse_id_map_swapped",
                lambda seen: [each.host for each in seen.result] == [each.container for each in seen.expected],
                "The first number is the one inside, the second the one outside.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.namespaces:to_host",
        title="The same user, seen from outside",
        task="""Given the mappings of a user namespace, find the id outside that an id inside stands for. An id that
        no mapping covers has none: None. (Files of such an owner are shown as nobody's.)""",
        law=law_to_host,
        hints=(
            "A mapping covers container, container + 1, …, container + size - 1.",
            "The distance from the start is the same on both sides: host + number - container.",
        ),
        wrong=(
            Wrong(
                "to_host_one_too_many",
                lambda seen: seen.expected is None and seen.result is not None,
                "That id is covered by no mapping: a range of size ids ends one before start + size.",
            ),
            Wrong(
                "to_host_adds_both",
                lambda seen: seen.result > seen.expected,
                "Count from the start of the range: an id in the middle keeps its distance from it.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.containers.steps.namespaces:sysctl_path",
        title="Kernel parameters are files",
        task="""net.ipv4.ip_forward is the file /proc/sys/net/ipv4/ip_forward. Turn a key into the path below
        /proc/sys: net/ipv4/ip_forward. A network device may have a dot in its name (eth0.1): then the key is written
        with slashes, and is a path already.""",
        law=law_sysctl_path,
        hints=(
            "A key that has no dot, or has a slash, may be a path already: which comes first?",
            "If the first separator in the key is a slash, leave all of it alone; otherwise replace every dot.",
        ),
        wrong=(
            Wrong(
                "sysctl_path_always",
                lambda seen: "/" in seen.arguments[0] and "." in seen.arguments[0],
                "eth0.1 is one name. A key that is written with slashes keeps its dots.",
            ),
            Wrong(
                "sysctl_path_first_only",
                lambda seen: "." in seen.result and "/" not in seen.arguments[0],
                "There is still a dot in it: all of them become slashes, not only the first.",
            ),
            Wrong(
                "sysctl_path_whole",
                lambda seen: str(seen.result).startswith("/"),
                "The path is wanted from /proc/sys on: without /proc/sys, and without a slash, in front.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.containers.exits:code_of",
        title="How did it end?",
        task="""waitpid(2) tells how a process ended in one number, the wait status. Turn it into the exit code that
        a shell and Docker show: what the program returned, or 128 plus the signal that killed it. 137 is
        what a container shows that was killed.""",
        law=law_code_of,
        hints=(
            "Look at os.WIFEXITED, os.WEXITSTATUS, os.WTERMSIG; or at os.waitstatus_to_exitcode.",
            "The low seven bits are the signal; 0 there means that the program ended by itself.",
        ),
        wrong=(
            Wrong(
                "code_of_raw",
                lambda seen: seen.result == seen.arguments[0] > 255,
                "The status is not the code: the program's own number is in the second byte.",
            ),
            Wrong(
                "code_of_negative",
                lambda seen: seen.result < 0,
                "Python says -9 for signal 9; shells and Docker say 128 + 9.",
            ),
            Wrong(
                "code_of_dumped",
                lambda seen: seen.arguments[0] & 0x80 and seen.result == seen.expected + 0x80,
                "Bit 7 of the status says that there is a core dump: it does not belong to the signal's number.",
            ),
            Wrong(
                "code_of_killed",
                lambda seen: seen.expected > 128 and seen.result in (0, seen.expected - 128),
                "This program was killed: the low seven bits are the signal, and the code is 128 plus that.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.daemon.signals:signal_number",
        uses=("minidock.errors:InvalidInput",),
        title="KILL, SIGKILL, 9",
        task="""docker kill --signal takes a number or a name, with or without SIG, in either case; real-time
        signals are written RTMIN+3 or RTMAX-1. Return the number. Raise InvalidInput (from minidock.errors)
        for what is no signal: 0 is none.""",
        law=law_signal_number,
        hints=(
            "signal.Signals['SIGKILL'] finds a signal by name; it raises KeyError for a name that there is not.",
            "signal.SIGRTMIN and signal.SIGRTMAX are the ends; both bounds count.",
            "First the number, then a plain name, then a name with + or -; everything else is an error.",
        ),
        wrong=(
            Wrong(
                "signal_number_no_realtime",
                lambda seen: (
                    "RTM" in seen.arguments[0] and seen.error is not None and seen.expected is not InvalidInput
                ),
                "RTMIN+3 is a signal: the third after the first real-time one.",
            ),
            Wrong(
                "signal_number_zero",
                lambda seen: seen.result == 0,
                "Signal 0 is the question whether a process exists; nobody can be killed with it.",
            ),
            Wrong(
                "signal_number_case",
                lambda seen: isinstance(seen.arguments[0], str) and seen.arguments[0].islower(),
                "docker kill -s hup works: the case does not matter.",
            ),
            Wrong(
                "signal_number_lstrip",
                lambda seen: isinstance(seen.error, InvalidInput | KeyError) and seen.arguments[0][:3] == "SIG",
                "lstrip takes letters, not a word: of SIGINT it leaves NT. removeprefix takes a word.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.containers.users:resolve",
        uses=("minidock.errors:InvalidInput",),
        title="Who is ann:mail?",
        task="""docker run -u takes user, user:group, :group, each a name or a number. passwd and group are the
        texts of the container's own files. A number is taken as it is, even if some user has it for a name.
        Without a group the user's own counts, with all groups that list the user; with one, that alone. An empty
        user is 0. People edit these files: pass over lines that are blank, comments, or have no number for their id;
        fields that are missing at the end are empty. A name that is not there, and ids outside 0-2147483647, raise
        InvalidInput: as 32 bits, 4294967296 is root.""",
        law=law_resolve,
        hints=(
            "Split who at the first colon; an empty user means 0, an empty group means none was given.",
            "For a number, look for the entry with that uid, if there is one: it has the group and the home directory.",
            "Supplementary groups are those whose fourth field lists the user's name.",
            "Lines that are comments, blank, or have no number where one belongs, are passed over.",
        ),
        wrong=(
            Wrong(
                "resolve_name_first",
                lambda seen: seen.arguments[0] == "1000" and seen.result.uid == 0,
                "A user called 1000 has uid 0 here: a number must never be looked up as a name (CVE-2026-46680).",
            ),
            Wrong(
                "resolve_wraps",
                lambda seen: seen.arguments[0] in ("-1", "2147483648", "4294967296") and seen.error is None,
                "The kernel keeps 32 bits: 4294967296 would be root. Refuse what is out of range.",
            ),
            Wrong(
                "resolve_must_be_listed",
                lambda seen: isinstance(seen.error, InvalidInput) and seen.arguments[0][:1].isdigit(),
                "A number need not be in any file.",
            ),
            Wrong(
                "resolve_perfect_files",
                lambda seen: isinstance(seen.error, IndexError | ValueError) and not isinstance(seen.expected, type),
                "One of the lines is blank, a comment, without a number, or shorter than it should be. Be prepared.",
            ),
        ),
    ),
)
