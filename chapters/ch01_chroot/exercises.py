"""The exercises of chapter 1: the small parsers that stand between a program and its root."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import Subject
from minidock.errors import InvalidSpec, ProgramNotExecutable, ProgramNotFound
from minidock.images.elf import libraries, read_elf
from minidock.kernel import mounts

# --- 1.1 environment

_NAMES = st.text("ABC_", min_size=1, max_size=4)
_VALUES = st.text("ab= /:", max_size=6)


def law_environment(subject: Subject) -> None:
    """Each entry is split at its first =; of several with one name the last counts; without = it means nothing."""

    @given(st.lists(st.tuples(_NAMES, _VALUES)), st.lists(_NAMES))
    def law(pairs: list[tuple[str, str]], without: list[str]) -> None:
        entries = [*without, *(f"{name}={value}" for name, value in pairs)]
        subject.gives(dict(pairs), entries, why="split at the first =, the last of a name wins, no = means no entry")

    law()


# --- 1.2 unescape


def law_unescape(subject: Subject) -> None:
    """The kernel's octal escapes become characters again; everything else stays."""
    subject.gives("/a b", r"/a\040b", why="a blank is written \\040")
    subject.gives(r"\040", r"\134040", why="the backslash is escaped too: this is a name of four characters")
    subject.gives("a#b", r"a\043b", why="some file systems escape # as well")
    for text in (r"\n\t\x41\08", r"\189", r"\04", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"):
        subject.gives(text, text, why="without three octal digits it is no escape")

    @given(st.text(r" \/ab0123479" + "\t\n", max_size=12))
    def law(text: str) -> None:
        subject.gives(text, mounts.escape(text), why="what was escaped comes back unchanged")

    law()


# --- 1.3 parse_line

_WORD = st.text("ab-/ \t\\", min_size=1, max_size=5)
_MOUNTS = st.builds(
    mounts.Mount,
    st.integers(1, 99), st.integers(0, 99), st.integers(0, 300), st.integers(0, 99), _WORD, _WORD,
    st.sampled_from([("rw",), ("ro", "nosuid"), ("rw", "relatime")]),
    st.sampled_from([(), ("shared:1",), ("master:2",), ("shared:3", "master:4")]),
    st.sampled_from(["ext4", "tmpfs", "fuse.sshfs"]), st.sampled_from(["none", "/dev/sda1", "a b", ""]),
    st.sampled_from(["rw", "rw,size=65536k"]),
)  # fmt: skip


def law_parse_line(subject: Subject) -> None:
    """Every line that the kernel can print is understood."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        subject.gives(mounts.parse_line(line), line, why="this is a mount of your own machine")

    @given(_MOUNTS)
    def law(mount: mounts.Mount) -> None:
        subject.gives(mount, str(mount))

    law()
    subject.raises(ValueError, "22 27 0:21 / /proc rw,relatime proc proc rw", why="the lone - is missing")


# --- 1.4 parse_options

_OPTIONS = st.lists(
    st.sampled_from(["ro", "rw", "nosuid", "suid", "bind", "rbind", "rprivate", "rslave", "size=64k", "mode=755",
                     "defaults", "tmpcopyup", "rro", "rrw", "rnosuid"]),
    max_size=6,
)  # fmt: skip


def law_parse_options(subject: Subject) -> None:
    """Each option goes to the system call that it is for, and a later one overrides an earlier one."""

    for option, what in (
        ("nosuid", "a flag of mount(2)"),
        ("suid", "it clears a flag"),
        ("rslave", "propagation"),
        ("rro", "an attribute for mount_setattr(2)"),
        ("size=64k", "for the file system itself"),
        ("defaults", "a word for people, which says nothing"),
        ("tmpcopyup", "copy_up: the new tmpfs is filled with what it covers"),
    ):
        subject.gives(mounts.parse_options([option]), [option], why=what)

    @given(_OPTIONS)
    def law(options: list[str]) -> None:
        why = "of flags and attributes the later one counts; propagation and data are lists, in order"
        subject.gives(mounts.parse_options(options), options, why=why)

    law()


# --- 1.5 find_program


_FILES = (("one", "tool", 0o644), ("two", "tool", 0o755), ("two", "both", 0o755), ("one", "both", 0o755))


def law_find_program(subject: Subject) -> None:
    """The first executable file on the path is taken; what stands in the way is said as Docker says it."""
    with tempfile.TemporaryDirectory() as directory:
        one, two = Path(directory, "one"), Path(directory, "two")
        for place, name, mode in _FILES:
            file = Path(directory, place, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text("#!/bin/sh\n")
            file.chmod(mode)
        (one / "folder").mkdir()
        search = f"{one}:{two}"
        subject.gives(f"{one}/both", "both", search, why="the first directory that has it wins")
        subject.gives(f"{two}/tool", "tool", search, why="a file that may not be executed is passed over")
        subject.raises(ProgramNotFound, "nothing", search, why="no directory has it")
        subject.raises(ProgramNotFound, "folder", search, why="a directory on the PATH is no program")
        subject.gives(f"{two}/tool", f"{two}/tool", search, why="with a slash it is a path already")
        subject.raises(ProgramNotFound, f"{two}/nothing", search, why="a path to nothing")
        subject.raises(ProgramNotExecutable, f"{one}/folder", search, why="docker exits with 126, not 127")
        subject.raises(ProgramNotFound, f"{two}/tool/x", search, why="below a file there is nothing")
        subject.raises(ProgramNotExecutable, "tool", f"{one}", why="found, but forbidden: 126")


# --- 1.6 libraries


def law_libraries(subject: Subject) -> None:
    """For programs of this machine: the loader, and every library that is needed, directly or not."""
    for name in ("sh", "ls", "grep", "python3", "mount"):
        for directory in ("/bin", "/usr/bin"):
            program = Path(directory, name)
            if program.exists() and program.read_bytes()[:4] == b"\x7fELF":
                _needs(subject, program, "this is what ld.so would load")
    with tempfile.TemporaryDirectory() as directory:
        one, two = Path(directory, "one"), Path(directory, "two")
        for file, needed, search in ((one / "libone.so", "libtwo.so", two), (two / "libtwo.so", "libone.so", one)):
            file.parent.mkdir()
            file.write_bytes(_elf(needed, str(search)))
        program = Path(directory, "program")
        program.write_bytes(_elf("libone.so", str(one)))
        _needs(subject, program, "each file says itself where to look for what it needs (RUNPATH)")


def _elf(needed: str, search: str) -> bytes:
    """As little of an ELF file as there can be: one segment, which holds one library's name and a search path."""
    strings = f"\0{needed}\0{search}\0".encode()
    segments = 64 + 2 * 56
    names = segments + 4 * 16
    table = ((5, names), (1, 1), (29, 2 + len(needed)), (0, 0))  # DT_STRTAB, DT_NEEDED, DT_RUNPATH, DT_NULL
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in table)
    size = names + len(strings)
    headers = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, start, start, start, length, length, 8)
        for kind, start, length in ((1, 0, size), (2, segments, len(dynamic)))  # PT_LOAD, PT_DYNAMIC
    )
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    return head + headers + dynamic + strings


def _needs(subject: Subject, program: Path, why: str) -> None:
    """The C library names the loader, too, by another path: to leave that out is right, for it is loaded already."""
    wanted = libraries(program)
    loader = read_elf(program).interpreter
    again = {path: file for path, file in wanted.items() if path != loader and file.name == Path(loader).name}
    found = subject(program)
    subject.expect({**again, **found} == wanted, why, wanted)


def _names(mount: mounts.Mount) -> list[str]:
    return [mount.root, mount.mount_point, mount.filesystem, mount.source]


EXERCISES = (
    Exercise(
        engine="minidock.containers.steps.step:environment",
        title="An environment is a list of words",
        task="""execve(2) hands a program its environment as strings, NAME=value. Turn such a list into a dict. A
        value may hold = itself. Of two entries with one name the later counts. An entry without = means
        nothing.""",
        law=law_environment,
        hints=(
            "str.split takes a second argument: how often to split at most.",
            "Filter the entries that contain =, then dict() of entry.split('=', 1) for each.",
        ),
        wrong=(
            Wrong(
                "environment_splits_at_each",
                lambda seen: (
                    any(entry.count("=") > 1 for entry in seen.arguments[0])
                    and (isinstance(seen.error, ValueError) or any("=" in name for name in seen.result))
                ),
                "A value may contain = itself (LS_COLORS does): split only at the first one.",
            ),
            Wrong(
                "environment_keeps_words",
                lambda seen: (
                    any("=" not in entry for entry in seen.arguments[0])
                    and (seen.error is not None or len(seen.result) > len(seen.expected))
                ),
                "An entry without = is no variable: leave it out.",
            ),
            Wrong(
                "environment_first_wins",
                lambda seen: seen.result.keys() == seen.expected.keys() and len(seen.arguments[0]) > len(seen.expected),
                "The names are right, a value is not: of two entries with one name the last counts.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.mounts:unescape",
        title="A mount point may contain a blank",
        task="""In /proc/self/mountinfo fields are separated by blanks; a blank in a name is written \\040, three
        octal digits after a backslash. Undo that, for any character.""",
        law=law_unescape,
        hints=(
            "re.sub takes a function: it is called with each match and returns what to put there.",
            "The pattern is a backslash and three digits 0 to 7; int(text, 8) reads octal, chr makes the character.",
        ),
        wrong=(
            Wrong(
                "unescape_blanks_only",
                lambda seen: seen.result == seen.arguments[0] and r"\040" not in seen.arguments[0],
                "The blank is only the most common one: tab, newline and the backslash itself are escaped too.",
            ),
            Wrong(
                "unescape_several_passes",
                lambda seen: "\\134" in seen.arguments[0],
                "One pass, not several: after \\134 has become a backslash, what follows it is no escape any more.",
            ),
            Wrong(
                "unescape_pythons_own",
                lambda seen: "x41" in seen.arguments[0] or not seen.arguments[0].isascii(),
                "unicode_escape undoes Python's escapes, \\n and \\x41 too, and takes the text for Latin-1. "
                "The kernel writes octal numbers only.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.mounts:parse_line",
        uses=("minidock.kernel.mounts:unescape",),
        title="What is mounted here?",
        task="""Read one line of /proc/self/mountinfo (man 5 proc_pid_mountinfo) into a Mount. The number of
        optional fields varies from line to line; a lone - ends them. Raise ValueError for a line without it. You
        may use unescape from minidock.kernel.mounts.""",
        law=law_parse_line,
        hints=(
            "cat /proc/self/mountinfo, and count the fields before the - in several lines.",
            "Split at single blanks, find the - with fields.index('-', 6), and take the three fields behind it.",
            "Names (root, mount point, file system type, source) are escaped; lists are separated by commas.",
        ),
        wrong=(
            Wrong(
                "parse_line_drops_empty_fields",
                lambda seen: "  " in seen.arguments[0] and isinstance(seen.error, ValueError),
                "A source can be empty: split(' ') keeps an empty field, split() does not.",
            ),
            Wrong(
                "parse_line_any_dash",
                lambda seen: " - " in " ".join(seen.arguments[0].split(" ")[:6]) + " ",
                "A directory may be called - : look for the separator only from the seventh field on.",
            ),
            Wrong(
                "parse_line_still_escaped",
                lambda seen: (
                    _names(seen.result) != _names(seen.expected)
                    and [mounts.unescape(name) for name in _names(seen.result)] == _names(seen.expected)
                ),
                "There is still an escape in a name: unescape it.",
            ),
            Wrong(
                "parse_line_unescapes_first",
                lambda seen: (
                    "\\" in seen.arguments[0]
                    and (seen.error is not None or seen.result.options != seen.expected.options)
                ),
                "Split first, and unescape each name after that: a blank in a name is no separator.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.kernel.mounts:parse_options",
        uses=(
            "minidock.kernel.mounts:FLAG_OPTIONS",
            "minidock.kernel.mounts:PROPAGATION_OPTIONS",
            "minidock.kernel.mounts:RECURSIVE_OPTIONS",
        ),
        title="One list of options, four system calls",
        task="""People write mount options as one list: ro,nosuid,size=64k,rslave. Sort them into MountOptions:
        flags of mount(2), flags to be cleared, propagation (a call for each, in order), recursive attributes for
        mount_setattr(2), and the rest, which only the file system understands. Of flags and attributes a later
        option overrides an earlier one. tmpcopyup means copy_up, defaults means nothing. The tables FLAG_OPTIONS,
        PROPAGATION_OPTIONS and RECURSIVE_OPTIONS are in minidock.kernel.mounts: print them.""",
        law=law_parse_options,
        hints=(
            "FLAG_OPTIONS says for each word which flag it is about, and whether it sets or clears it.",
            "Setting: flags |= flag, cleared &= ~flag. Clearing: the other way round. "
            "RECURSIVE_OPTIONS has both for each word: what to set, and what to clear.",
            "What no table knows is data, joined by commas; defaults means nothing at all.",
        ),
        wrong=(
            Wrong(
                "parse_options_both_sets",
                lambda seen: bool(seen.result.flags & seen.result.cleared),
                "ro,rw: the later option wins, so the flag must leave the one set when it enters the other.",
            ),
            Wrong(
                "parse_options_recursive_both",
                lambda seen: bool(seen.result.recursive_set & seen.result.recursive_clear),
                "rro,rrw: here too the later option wins. An attribute cannot be set and cleared at once.",
            ),
            Wrong(
                "parse_options_keeps_defaults",
                lambda seen: "defaults" in seen.result.data.split(","),
                "defaults is a word for people: no file system knows it.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.containers.steps.process:find_program",
        uses=(
            "minidock.errors:ProgramNotExecutable",
            "minidock.errors:ProgramNotFound",
        ),
        title="Which program is sh?",
        task="""The kernel executes paths, not names. Find a program: a name with a slash is a path already, any
        other name is looked for in the directories of search, separated by colons. A directory, or a file
        without the right to execute, is passed over. Raise ProgramNotExecutable where a path leads to one of these,
        or where a file that may not be executed is all that was found in search; ProgramNotFound otherwise (both in
        minidock.errors, with any text). Docker's client makes exit codes 126 and 127 of them.""",
        law=law_find_program,
        hints=(
            "os.access(path, os.X_OK) says yes for directories too.",
            "Write a helper that says why a path cannot be executed, or None; use it for both cases.",
            "Remember whether anything was found that is forbidden: then the error is 126 rather than 127.",
        ),
        wrong=(
            Wrong(
                "find_program_anything_there",
                lambda seen: seen.result.endswith("one/tool"),
                "It is there, but it may not be executed: look at its mode, and go on to the next directory.",
            ),
            Wrong(
                "find_program_directories",
                lambda seen: seen.result.endswith("folder"),
                "That is a directory. For a directory the right to execute means the right to pass through.",
            ),
            Wrong(
                "find_program_never_126",
                lambda seen: isinstance(seen.error, ProgramNotFound) and seen.expected is ProgramNotExecutable,
                "It was found, and cannot be executed: that is 126, ProgramNotExecutable.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.images.elf:libraries",
        uses=(
            "minidock.images.elf:Elf",
            "minidock.images.elf:find_library",
            "minidock.images.elf:read_elf",
        ),
        title="What does a shell need?",
        task="""A root made by hand needs more than the program: its loader, and its libraries, and what those need.
        read_elf (in minidock.images.elf) reads one file; find_library(name, search) there finds a library that a
        file needs, given that file's own search path. Walk from the program to all that is needed, and return a dict
        with each path as text, and as Path. Each library name is loaded once.""",
        law=law_libraries,
        hints=(
            "Try ldd $(which ls): the answer has the same files, and you reach the same ones.",
            "Keep a list of files still to be read and a set of names found; read_elf(file).needed gives new names.",
            "The loader is elf.interpreter of the program itself; it is a key and a value of the result.",
        ),
        wrong=(
            Wrong(
                "libraries_no_loader",
                lambda seen: not any("ld-linux" in key or "ld-" in key for key in seen.result),
                "The loader is missing: without the file in PT_INTERP (elf.interpreter) exec fails with ENOENT.",
            ),
            Wrong(
                "libraries_direct_only",
                lambda seen: seen.result.keys() < seen.expected.keys(),
                "Libraries need libraries: read each one that you find, too.",
            ),
            Wrong(
                "libraries_one_search_path",
                lambda seen: isinstance(seen.error, InvalidSpec),
                "A library has a search path of its own, read_elf(library).search: look there for what it needs.",
            ),
        ),
    ),
)
