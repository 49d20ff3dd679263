"""What a ``--format`` template can call, and how it prints a value: Go's own functions and those that Docker adds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from minidock.errors import InvalidInput


class TemplateError(InvalidInput):
    """A template that makes no sense, or that asks for what is not there."""

    exit_code = 1


class CannotParse(TemplateError):
    """A template of ``inspect``, ``info`` or ``version`` that makes no sense: Docker has an exit code for this."""

    exit_code = 64


class Record(dict[str, Any]):
    """A row of a table: a struct in Docker's code. ``type_name`` is what errors call it."""

    type_name = "struct"


class Struct(dict[str, Any]):
    """A JSON object some of whose fields may be missing (``optional``): then they are nil, and no error."""

    def __init__(self, fields: dict[str, Any], optional: dict[str, Nil]) -> None:
        super().__init__(fields)
        self.optional = optional


class Nil:
    """A JSON null of a known Go type: prints as Go prints it, is null again as JSON."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __bool__(self) -> bool:
        return False


def truth(value: Any) -> bool:
    """Go's idea: false, 0, nil and everything empty is false."""
    return bool(value)


def type_name(value: Any) -> str:
    """The Go type, for errors."""
    if isinstance(value, Record):
        return value.type_name
    return {str: "string", bool: "bool", int: "int", float: "float64", list: "[]interface {}"}.get(type(value), "nil")


def show(value: Any) -> str:
    """A value as ``{{.}}`` prints it."""
    return "<no value>" if value is None else _show(value)


def _show(value: Any) -> str:
    """A value inside another one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, Nil):
        return value.text
    if isinstance(value, float):
        return f"{value:.17g}" if value != int(value) else f"{int(value)}" if abs(value) < 1e21 else f"{value:g}"
    if isinstance(value, list):
        return f"[{' '.join(map(_show, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_show(value[key])}' for key in sorted(value))}]"
    return str(value)


def to_json(value: Any) -> str:
    """Compact JSON. A row's characters ``<``, ``>`` and ``&`` are escaped, as Go does it for structs of its own."""
    if isinstance(value, Record):
        value = {key: value[key] for key in sorted(value) if not callable(value[key])}
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)
        return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Nil):
        return None
    raise TypeError(f"{type(value).__name__} is not JSON")


def quote(text: str) -> str:
    """Go's ``%q``."""
    return json.dumps(text, ensure_ascii=False)


def printf(form: str, *arguments: Any) -> str:
    """``fmt.Sprintf``: the verbs v, s, d, q, t, x, f, g, e, with flags, width and precision."""
    rest = list(arguments)

    def verb(match: re.Match[str]) -> str:
        flags, letter = match[1], match[2]
        if letter == "%":
            return "%"
        if not rest:
            return f"%!{letter}(MISSING)"
        value = rest.pop(0)
        if letter in "vst":
            return f"%{flags}s" % _show(value)
        if letter == "q":
            return f"%{flags}s" % quote(str(value))
        if letter in "dfgexX" and isinstance(value, (int, float)):
            return str(f"%{flags}{letter}" % value)
        if letter in "xX" and isinstance(value, str):
            return value.encode().hex()
        return f"%!{letter}({type_name(value)}={_show(value)})"

    text = re.sub(r"%([-+ #0]*\d*(?:\.\d+)?)(.)", verb, form, flags=re.DOTALL)
    if rest:
        text += f"%!(EXTRA {', '.join(f'{type_name(value)}={_show(value)}' for value in rest)})"
    return text


def _print(*values: Any) -> str:
    """``fmt.Sprint``: a space between two operands when neither is a string."""
    text = ""
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            text += " "
        text += _show(value)
    return text


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, (list, str)):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {show(key)}")
            value = value[key]
        else:
            raise TemplateError("index of untyped nil" if not value else f"can't index item of type {type_name(value)}")
    return value


def _length(value: Any) -> int:
    if isinstance(value, Nil):
        return 0
    if not isinstance(value, (str, list, dict)):
        raise TemplateError(f"len of type {type_name(value)}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _slice(value: Any, *bounds: int) -> Any:
    start, end = (*bounds, 0)[0], bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= start <= end <= len(value):
        raise TemplateError(f"index out of range: {max(start, end)}")
    return value[start:end]


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(left: Any, right: Any) -> bool:
        if isinstance(left, str) != isinstance(right, str):
            raise TemplateError("incompatible types for comparison")
        return compare(left, right)

    return check


def _and(*values: Any) -> Any:
    return next((value for value in values if not truth(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if truth(value)), values[-1])


def _equal(left: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(_ordered(lambda a, b: bool(a == b))(left, other) for other in others)


def _join(values: Any, separator: str) -> str:
    return separator.join(_show(value) for value in values or [])


def _title(text: str) -> str:
    return re.sub(r"(^|\s)(\w)", lambda match: match[1] + match[2].upper(), text)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _and,
    "or": _or,
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "lt": _ordered(lambda left, right: bool(left < right)),
    "le": _ordered(lambda left, right: bool(left <= right)),
    "gt": _ordered(lambda left, right: bool(left > right)),
    "ge": _ordered(lambda left, right: bool(left >= right)),
    "index": _index,
    "slice": _slice,
    "len": _length,
    "print": _print,
    "printf": printf,
    "println": lambda *values: " ".join(map(_show, values)) + "\n",
    # Docker's own:
    "json": to_json,
    "split": lambda text, separator: text.split(separator),
    "join": _join,
    "title": _title,
    "lower": str.lower,
    "upper": str.upper,
    "pad": _pad,
    "truncate": lambda text, length: text[:length],
}
