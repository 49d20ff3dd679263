"""Flags, as Docker's users type them.

Docker's command line is Go's ``pflag``, whose habits scripts rely on: ``--rm=false``, ``-itd``, ``-e=A=b``, ``-m512m``,
``--`` and, for ``run`` and ``exec``, an end of flags at the first word that is none. A command declares its flags as a
table; :func:`parse` turns words into values; :func:`usage` writes the help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minidock.errors import InvalidArguments, InvalidFlag, InvalidInput


class Flag(NamedTuple):
    """One flag.

    ``kind`` names the value in the help: ``bool`` needs none, ``list`` may be given several times, others keep the
    last. ``convert`` turns the text into a value, or raises InvalidInput. ``alone`` is the value of a flag that is
    given without one; such a flag takes its value only after ``=``, as a ``bool`` does.
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


class Command(NamedTuple):
    """A command: how it is called, and the function that does it.

    ``run(context, flags, arguments)`` returns the exit code. ``most`` is None when any number of arguments is fine.
    ``interspersed`` is False when flags end at the first argument, so that the rest is somebody else's command line.
    """

    name: str
    arguments: str
    summary: str
    run: Callable[[Any, Flags, list[str]], int]
    flags: tuple[Flag, ...] = ()
    least: int = 0
    most: int | None = None
    interspersed: bool = True


class Flags(dict[str, Any]):
    """The values of a command's flags. ``given`` holds the names of those that were on the command line."""

    def __init__(self, flags: tuple[Flag, ...]) -> None:
        super().__init__((flag.name, [] if flag.kind == "list" else _default(flag)) for flag in flags)
        self.given: set[str] = set()


def _default(flag: Flag) -> Any:
    return False if flag.kind == "bool" and flag.default is None else flag.default


# Older names, which Docker still takes.
_ALIASES = {"dns-opt": "dns-option", "net": "network", "time": "timeout"}

HELP = Flag("help", "", "bool", "Print usage")


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
        value = convert(text)
    except InvalidInput as error:
        raise InvalidFlag(f'invalid argument "{text}" for "{flag.shown}" flag: {error}') from None
    values.given.add(flag.name)
    if flag.kind == "list":
        values[flag.name].append(value)
    else:
        values[flag.name] = value


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


_CONVERTERS: dict[str, Callable[[str], Any]] = {"bool": boolean, "int": integer, "bytes": size}


def _check_count(command: Command, count: int) -> None:
    """Raises InvalidArguments, in Docker's words."""
    least, most = command.least, command.most
    if least <= count and (most is None or count <= most):
        return
    name = f"'minidock {command.name}'"
    if most == 0:
        raise InvalidArguments(f"{name} accepts no arguments")
    if least == most:
        raise InvalidArguments(f"{name} requires {least} argument{'s' if least != 1 else ''}")
    if count < least:
        raise InvalidArguments(f"{name} requires at least {least} argument{'s' if least != 1 else ''}")
    raise InvalidArguments(f"{name} requires at most {most} argument{'s' if most != 1 else ''}")


def usage(command: Command) -> str:
    """What ``--help`` prints."""
    lines = [f"Usage:  minidock {command.name} {command.arguments}".rstrip(), "", command.summary]
    if command.flags:
        lines += ["", "Options:", *describe(command.flags)]
    return "\n".join(lines)


def describe(flags: tuple[Flag, ...]) -> list[str]:
    """One line, or several, for each flag: ``  -m, --memory bytes   Memory limit``, as wide as a terminal."""
    import shutil
    import textwrap

    heads = []
    for flag in flags:
        kind = "" if flag.kind == "bool" else f" {flag.kind}"
        heads.append(f"  {f'-{flag.short}, ' if flag.short else '    '}--{flag.name}{kind}")
    indent = max(len(head) for head in heads) + 3
    width = max(shutil.get_terminal_size().columns - indent, 24)
    lines = []
    for head, flag in zip(heads, flags, strict=True):
        default = f" (default {flag.default})" if flag.default not in (None, "", False) else ""
        first, *more = textwrap.wrap(flag.help + default, width)
        lines.append(head.ljust(indent) + first)
        lines += [" " * indent + line for line in more]
    return lines
