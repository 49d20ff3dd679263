"""Flags, as Docker's users type them.

Docker's command line is Go's ``pflag``, whose habits scripts rely on: ``--rm=false``, ``-itd``, ``-e=A=b``, ``-m512m``,
``--`` and, for ``run`` and ``exec``, an end of flags at the first word that is none. A command declares its flags as
the table that its help shows (:func:`table`); :func:`parse` turns words into values; :mod:`minidock.client.usage`
writes the help.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from minidock.errors import InvalidArguments, InvalidFlag, InvalidInput


class Flag(NamedTuple):
    """One flag.

    ``kind`` names the value in the help: ``bool`` needs none, those in ``SEVERAL`` may be given several times, others
    keep the last. ``convert`` turns the text into a value, or raises InvalidInput. ``alone`` is the value of a flag
    that is given without one; such a flag takes its value only after ``=``, as a ``bool`` does.
    """

    name: str
    short: str
    kind: str
    help: str
    default: Any = None
    convert: Callable[[str], Any] | None = None
    alone: str = ""

    @property
    def needs_value(self) -> bool:
        """Whether the next word is this flag's value."""
        return self.kind != "bool" and not self.alone

    @property
    def shown(self) -> str:
        """``-m, --memory``, as messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


#: the kinds of flags that may be given several times; ``strings`` are also split at commas
SEVERAL = frozenset(["list", "strings", "map", "filter", "mount", "network", "ulimit", "gpu-request", "stringToString"])


class Command(NamedTuple):
    """A command: how it is called, and the function that does it.

    ``run(context, flags, arguments)`` returns the exit code. How many arguments there may be, the usage line
    ``arguments`` says (:func:`limits`), unless ``number`` does. ``interspersed`` is False when flags end at the first
    argument, so that the rest is somebody else's command line. ``long`` is what the help says in place of ``summary``.
    """

    name: str
    arguments: str
    summary: str
    run: Callable[[Any, Flags, list[str]], int]
    flags: tuple[Flag, ...] = ()
    number: tuple[int, int | None] | None = None
    interspersed: bool = True
    long: str = ""


class Flags(dict[str, Any]):
    """The values of a command's flags. ``given`` holds the names of those that were on the command line."""

    def __init__(self, flags: tuple[Flag, ...]) -> None:
        super().__init__((flag.name, [] if flag.kind in SEVERAL else _default(flag)) for flag in flags)
        self.given: set[str] = set()


def _default(flag: Flag) -> Any:
    return False if flag.kind == "bool" and flag.default is None else flag.default


# Older names, which Docker still takes.
_ALIASES = {"dns-opt": "dns-option", "net": "network", "net-alias": "network-alias", "time": "timeout"}

HELP = Flag("help", "", "bool", "Print usage")

_ROW = re.compile(r"(?:-(\w), )?--([\w-]+)(?: ([\w-]+))?(?: {2,}(.*))?")


def table(text: str, *more: Flag, **convert: Callable[[str], Any]) -> tuple[Flag, ...]:
    """Flags from the lines of a help text, and ``more``, sorted by name.

    A line that does not begin with ``-`` continues the one above. What the help calls the default is the default.
    ``convert`` overrides how a value is read, by the flag's name (``_`` for ``-``).
    """
    rows: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("-"):
            rows.append(line)
        else:
            rows[-1] += f" {line}"
    flags = [_flag(_ROW.fullmatch(row), convert) for row in rows]
    return tuple(sorted((*flags, *more)))


def _flag(row: re.Match[str] | None, convert: dict[str, Callable[[str], Any]]) -> Flag:
    assert row is not None
    short, name, kind, text = (part or "" for part in row.groups())
    kind = kind or "bool"
    shown = re.search(r"\(default (\S+)\)$", text)
    default = shown[1].strip('"') if shown else "" if kind == "string" else None
    own = convert.get(name.replace("-", "_"))
    read = own or _CONVERTERS.get(kind)
    return Flag(name, short, kind, text, read(default) if read and default and kind not in SEVERAL else default, own)


def parse(command: Command, words: list[str]) -> tuple[Flags, list[str]]:
    """The flags' values, and the arguments. ``flags["help"]`` may be set, and then nothing is checked.

    Raises InvalidFlag; InvalidArguments when there are too few or too many.
    """
    flags, arguments = parse_flags((*command.flags, HELP), words, command.interspersed)
    if not flags["help"]:
        _check_count(command, len(arguments))
    return flags, arguments


def parse_flags(table: tuple[Flag, ...], words: list[str], interspersed: bool) -> tuple[Flags, list[str]]:
    """Split ``words`` into flags and arguments. Raises InvalidFlag."""
    values = Flags(table)
    by_name = {flag.name: flag for flag in table} | {flag.short: flag for flag in table if flag.short}
    rest, arguments = list(words), []
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            _long(by_name, word, rest, values)
        elif word.startswith("-") and word != "-":
            _shorts(by_name, word, rest, values)
        else:
            arguments.append(word)
            if not interspersed:
                break
    return values, arguments + rest


def _long(by_name: dict[str, Flag], word: str, rest: list[str], values: Flags) -> None:
    """``--name``, ``--name=value``, ``--name value``."""
    name, equals, value = word[2:].partition("=")
    name = _ALIASES.get(name, name)
    flag = by_name.get(name)
    if not name or name.startswith("-"):
        raise InvalidFlag(f"bad flag syntax: {word}")
    if flag is None or flag.name != name:
        raise InvalidFlag(f"unknown flag: --{name}")
    if equals:
        _store(flag, value, values)
    elif not flag.needs_value:
        _store(flag, flag.alone or "true", values)
    elif rest:
        _store(flag, rest.pop(0), values)
    else:
        raise InvalidFlag(f"flag needs an argument: {word}")


def _shorts(by_name: dict[str, Flag], word: str, rest: list[str], values: Flags) -> None:
    """``-itd``, ``-m512m``, ``-m=512m``, ``-m 512m``, ``-t=false``."""
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = by_name.get(letter)
        if flag is None or flag.short != letter:
            raise InvalidFlag(f"unknown shorthand flag: '{letter}' in {word}")
        if letters.startswith("="):
            return _store(flag, letters[1:], values)
        if not flag.needs_value:
            _store(flag, flag.alone or "true", values)
        elif letters:
            return _store(flag, letters, values)
        elif rest:
            return _store(flag, rest.pop(0), values)
        else:
            raise InvalidFlag(f"flag needs an argument: '{letter}' in {word}")
    return None


def _store(flag: Flag, text: str, values: Flags) -> None:
    """Convert a value, and keep it. Raises InvalidFlag, with the flag's name."""
    convert = flag.convert or _CONVERTERS.get(flag.kind, str)
    try:
        found = [convert(part) for part in (split_commas(text) if flag.kind == "strings" else [text])]
    except InvalidInput as error:
        raise InvalidFlag(f'invalid argument "{text}" for "{flag.shown}" flag: {error}') from None
    values.given.add(flag.name)
    if flag.kind in SEVERAL:
        values[flag.name] += found
    else:
        values[flag.name] = found[0]


def boolean(text: str) -> bool:
    """Go's idea of true and false. Raises InvalidInput."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise InvalidInput(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def integer(text: str) -> int:
    """A whole number, also ``0x10`` and ``-1``. Raises InvalidInput."""
    try:
        return int(text, 0)
    except ValueError:
        raise InvalidInput(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def size(text: str) -> int:
    """Bytes, from ``512m``. Raises InvalidInput."""
    from minidock.units import parse_size

    return parse_size(text)


def unsigned(bits: int) -> Callable[[str], int]:
    """A reader of numbers that are not negative and fit in ``bits``. Raises InvalidInput."""

    def read(text: str) -> int:
        try:
            value = int(text, 0)
        except ValueError:
            value = -1
        if value < 0:
            raise InvalidInput(f'strconv.ParseUint: parsing "{text}": invalid syntax')
        if value >= 1 << bits:
            raise InvalidInput(f'strconv.ParseUint: parsing "{text}": value out of range')
        return value

    return read


def duration(text: str) -> int:
    """Nanoseconds, from ``1m30s``. Raises InvalidInput."""
    from minidock.units import parse_duration

    return parse_duration(text)


def cpus(text: str) -> int:
    """Billionths of a CPU, from ``1.5``. Raises InvalidInput."""
    from minidock.units import parse_cpus

    return parse_cpus(text)


def condition(text: str) -> str:
    """A ``--filter``. Raises InvalidInput when it has no ``=``."""
    if "=" not in text:
        raise InvalidInput("bad format of filter (expected name=value)")
    return text


_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "bool": boolean,
    "bytes": size,
    "decimal": cpus,
    "duration": duration,
    "filter": condition,
    "int": integer,
    "uint": unsigned(64),
    "uint16": unsigned(16),
}


def split_commas(text: str) -> list[str]:
    """The fields of ``a,"b,c",d``: one line of comma-separated values (RFC 4180). Raises InvalidInput."""
    if '"' not in text:
        return text.split(",") if text else []
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidInput(f"parse error: {error}") from None


def pairs(texts: list[str]) -> dict[str, str]:
    """``["name=value", …]`` as a dictionary; without ``=``, the value is empty."""
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def limits(command: Command) -> tuple[int, int | None]:
    """How few and how many arguments a command takes; None is any number. ``IMAGE [ARG...]`` is one or more."""
    if command.number:
        return command.number
    words = command.arguments.split("\n")[0].replace("[OPTIONS]", "").split()
    least = sum(not word.startswith("[") for word in words)
    return least, None if "..." in command.arguments else len(words)


def _check_count(command: Command, count: int) -> None:
    """Raises InvalidArguments, in Docker's words."""
    least, most = limits(command)
    if least <= count and (most is None or count <= most):
        return
    name = f"'minidock {command.name}'"
    if most == 0:
        raise InvalidArguments(f"{name} accepts no arguments")
    if least == most:
        raise InvalidArguments(f"{name} requires {least} argument{'s' if least != 1 else ''}")
    wanted = f"at least {least}" if most is None else f"at most {most}"
    if least and most:
        wanted = f"at least {least} and at most {most}"
    raise InvalidArguments(f"{name} requires {wanted} argument{'s' if (most or least) != 1 else ''}")
