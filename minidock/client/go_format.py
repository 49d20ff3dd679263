"""How Go prints values: ``fmt.Sprintf`` and its kin, for templates.

Values are Python's own, and those of :mod:`minidock.client.go_types`. Source: https://pkg.go.dev/fmt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from minidock.client.go_types import List, Map, Nil, Struct, Time

_SCALARS = {str: "string", bool: "bool", int: "int", float: "float64", Time: "time.Time"}


def type_name(value: Any) -> str:
    """The Go type of a value: ``%T``."""
    if value is None:
        return "<nil>"
    if isinstance(value, (Map, List, Nil, Struct)):
        return value.type
    if isinstance(value, dict):
        return getattr(value, "type_name", "map[string]interface {}")
    if isinstance(value, list):
        return "[]interface {}"
    return _SCALARS.get(type(value)) or f"time.{type(value).__name__}"


def show(value: Any) -> str:
    """A value as ``{{.}}`` prints it."""
    return "<no value>" if value is None else plain(value).removeprefix("&" if isinstance(value, Struct) else "")


def plain(value: Any) -> str:
    """``%v``."""
    return _format(value, _Verb("v"))


def quote(text: str) -> str:
    """``%q``."""
    return _quoted(text, '"')


def sprint(*values: Any) -> str:
    """``fmt.Sprint``: a space between two operands when neither is a string."""
    text = ""
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            text += " "
        text += plain(value)
    return text


_BAD = "bad"  # of a verb that does not suit a value: Go prints it as with %v, but flags keep their plain meaning


class _Verb(NamedTuple):
    letter: str
    flags: str = ""
    width: int = 0
    precision: int | None = None

    def pad(self, text: str, zeros: bool = True) -> str:
        if "-" in self.flags:
            return text.ljust(self.width)
        if zeros and "0" in self.flags:
            sign = text[:1] if text[:1] in ("+", "-", " ") and self.letter not in "svq" else ""
            return sign + text[len(sign) :].rjust(self.width - len(sign), "0")
        return text.rjust(self.width)


_DIRECTIVE = re.compile(r"%([-+# 0]*)(\*|\d*)(?:\.(\*|\d*))?(?:\[(\d+)\])?(.?)", re.DOTALL)


def printf(form: str, *arguments: Any) -> str:
    """``fmt.Sprintf``: Go's verbs with flags, width, precision, ``*`` and ``[n]``; a mistake is told in the text."""
    at, reordered = 0, False

    def take() -> Any:
        nonlocal at
        at += 1
        return arguments[at - 1] if at <= len(arguments) else None

    def directive(match: re.Match[str]) -> str:
        nonlocal at, reordered
        flags, width, precision, number, letter = match.groups()
        if letter == "%":
            return "%"
        widths = [take() if text == "*" else min(int(text or 0), 10**6) for text in (width, precision or "")]
        if number:
            at, reordered = int(number) - 1, True
        if not letter:
            return "%!(NOVERB)"
        if not 0 <= at < len(arguments):
            return f"%!{letter}({'BADINDEX' if number else 'MISSING'})"
        flags += "-" * (widths[0] < 0)
        return _format(take(), _Verb(letter, flags, abs(widths[0]), None if precision is None else widths[1]))

    text = _DIRECTIVE.sub(directive, form)
    if at < len(arguments) and not reordered:
        extra = (f"{type_name(value)}={plain(value)}" if value is not None else "<nil>" for value in arguments[at:])
        text += f"%!(EXTRA {', '.join(extra)})"
    return text


def _format(value: Any, verb: _Verb) -> str:
    """A value: those inside a list, a map or a struct are printed each in its turn."""
    if verb.letter == "T":
        return _string(type_name(value), verb._replace(letter="s"))
    if isinstance(value, Nil):
        value = value.empty()
    if hasattr(value, "string") and verb.letter in "svq":
        value = value.string()
    if isinstance(value, Struct):
        return _struct(value, verb)
    if isinstance(value, dict):
        pairs = (f"{_format(key, verb)}:{_format(value[key], verb)}" for key in sorted(value))
        return f"{type_name(value)}{{{', '.join(pairs)}}}" if _sharp(verb) else f"map[{' '.join(pairs)}]"
    if isinstance(value, list):
        items = (_format(item, verb) for item in value)
        return f"{type_name(value)}{{{', '.join(items)}}}" if _sharp(verb) else f"[{' '.join(items)}]"
    if value is None:
        return verb.pad("<nil>") if verb.letter == "v" else f"%!{verb.letter}(<nil>)"
    for kind, letters, form in _KINDS:
        if isinstance(value, kind):
            if verb.letter in letters or verb.letter == _BAD:
                return form(value, verb)
            return f"%!{verb.letter}({type_name(value)}={form(value, verb._replace(letter=_BAD))})"
    return str(value)


def _struct(value: Struct, verb: _Verb) -> str:
    """``{a b}``, ``{A:a B:b}``, ``t.T{A:a, B:b}``; ``&`` before what is pointed at, of which Go, inside another value,
    shows no more than the address."""
    named = verb.letter == "v" and ("+" in verb.flags or _sharp(verb))
    items = [f"{name}:{_format(item, verb)}" if named else _format(item, verb) for name, item in value.fields.items()]
    pointer, name = "&" if value.type.startswith("*") else "", value.type.strip("*")
    return f"{pointer}{name}{{{', '.join(items)}}}" if _sharp(verb) else f"{pointer}{{{' '.join(items)}}}"


def _sharp(verb: _Verb) -> bool:
    return verb.letter == "v" and "#" in verb.flags


def _bool(value: bool, verb: _Verb) -> str:
    return verb.pad("true" if value else "false")


_BASES = {"b": ("b", "0b"), "o": ("o", "0"), "O": ("o", "0o"), "x": ("x", "0x"), "X": ("X", "0X")}


def _integer(value: int, verb: _Verb) -> str:
    if verb.letter in "cq":
        character = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
        return verb.pad(character if verb.letter == "c" else _quoted(character, "'", ascii_only="+" in verb.flags))
    if verb.letter == "U":
        return verb.pad(f"U+{value & (2**64 - 1):0{max(4, verb.precision or 0)}X}", zeros=False)
    form, prefix = _BASES.get(verb.letter, ("d", ""))
    if value == 0 == verb.precision:
        return " " * verb.width
    sign = "-" if value < 0 else "+" if "+" in verb.flags and verb.letter != "v" else " " if " " in verb.flags else ""
    zeros = verb.width - len(sign) if "0" in verb.flags and "-" not in verb.flags else 0
    digits = format(abs(value), form).rjust(zeros if verb.precision is None else verb.precision, "0")
    prefix = "" if verb.letter == "o" and digits.startswith("0") else prefix
    prefix = prefix if "#" in verb.flags or verb.letter == "O" else ""
    return verb.pad(sign + prefix + digits, zeros=False)


def _float(value: float, verb: _Verb) -> str:
    letter = "g" if verb.letter in ("v", _BAD) else verb.letter
    sign = "+" if "+" in verb.flags and verb.letter != "v" else " " if " " in verb.flags else "-"
    sharp = "#" if "#" in verb.flags and verb.letter != "v" else ""
    precision = 6 if verb.precision is None else verb.precision
    if letter in "gG" and verb.precision is None:
        places = next(places for places in range(18) if float(f"{value:.{places}e}") == value)
        if not sharp:
            text = _shortest(value, sign, places)
            return verb.pad(text.upper() if letter == "G" else text)
        precision = max(6, places + 1)
    return verb.pad(format(value, f"{sign}{sharp}.{precision}{letter}"))


def _shortest(value: float, sign: str, places: int) -> str:
    """As many digits as tell the number from its neighbours; with an exponent below 1e-4 and from 1e6 on."""
    text = f"{value:{sign}.{places}e}"
    exponent = int(text.partition("e")[2])
    return f"{value:{sign}.{max(places - exponent, 0)}f}" if -4 <= exponent < 6 else text


def _string(value: str, verb: _Verb) -> str:
    text = value if verb.precision is None else value[: verb.precision]
    if _sharp(verb):
        return verb.pad(_quoted(text, '"'))
    if verb.letter == "q":
        if "#" in verb.flags and all(c == "\t" or (c >= " " and c not in "`\x7f\ufeff") for c in text):
            return verb.pad(f"`{text}`")
        return verb.pad(_quoted(text, '"', ascii_only="+" in verb.flags))
    if verb.letter in "xX":
        data = value.encode()[: verb.precision]
        prefix = "0x" if "#" in verb.flags and data else ""
        text = prefix + (data.hex(" ").replace(" ", f" {prefix}") if " " in verb.flags and data else data.hex())
        text = text.upper() if verb.letter == "X" else text
    return verb._replace(letter="s").pad(text)


_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\"}


def _quoted(text: str, mark: str, ascii_only: bool = False) -> str:
    return mark + "".join(_escaped(character, mark, ascii_only) for character in text) + mark


def _escaped(character: str, mark: str, ascii_only: bool) -> str:
    if character == mark or character in _ESCAPES:
        return f"\\{_ESCAPES.get(character, character)}"
    code = ord(character)
    if character.isprintable() and not (ascii_only and code > 0x7F):
        return character
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_KINDS: tuple[tuple[type, str, Callable[..., str]], ...] = (
    (bool, "tv", _bool),
    (int, "vdboOxXcqU", _integer),
    (float, "veEfFgG", _float),
    (str, "vsqxX", _string),
)
