"""What a ``--format`` template can call: Go's own functions and those that Docker adds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from minidock.client.go_format import plain, printf, sprint, type_name
from minidock.client.go_types import Map, Nil, Struct, typed
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


class Function(NamedTuple):
    """A function, and what it takes: s a string, i an integer, l a list of strings, v any value; ``*`` any more."""

    call: Callable[..., Any]
    parameters: str

    def check_count(self, name: str, count: int) -> None:
        """Raise TemplateError for too many or too few arguments."""
        least = len(self.parameters.removesuffix("*"))
        more = self.parameters.endswith("*")
        if count < least or (count > least and not more):
            want = f"at least {least}" if more else f"{least}"
            raise TemplateError(f"wrong number of args for {name}: want {want} got {count}")

    def check_type(self, index: int, value: Any, literal: bool) -> None:
        """Raise TemplateError for an argument of another type; what stands in the template is named in full."""
        want = self.parameters[index] if index < len(self.parameters) else "*"
        name, kind = _PARAMETERS.get(want, ("", object))
        if (isinstance(value, Nil) and want == "l") or (isinstance(value, kind) and not isinstance(value, bool)):
            return
        if name and literal:
            if value is None:
                raise TemplateError(f"cannot assign nil to {name}")
            shown = json.dumps(value) if isinstance(value, str) else plain(value)
            if want == "l":
                raise TemplateError(f"can't handle {shown} for arg of type {name}")
            raise TemplateError(f"expected {'integer' if name == 'int' else name}; found {shown}")
        if name:
            raise TemplateError(f"wrong type for value; expected {name}; got {type_name(value)}")


_PARAMETERS: dict[str, tuple[str, type]] = {"s": ("string", str), "i": ("int", int), "l": ("[]string", list)}


def truth(value: Any) -> bool:
    """Go's idea: false, 0, nil and everything empty is false."""
    return bool(value)


def to_json(value: Any) -> str:
    """Compact JSON. A row's characters ``<``, ``>`` and ``&`` are escaped, as Go does it for structs of its own."""
    if isinstance(value, Record):
        value = {key: value[key] for key in sorted(value) if not callable(value[key])}
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)
        return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return value.document
    if isinstance(value, Nil):
        return None
    raise TypeError(f"{type(value).__name__} is not JSON")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.empty() if isinstance(value, Nil) else value
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise TemplateError(f"value has type {type_name(key)}; should be string")
            value = value.get(key, typed(None, value.element) if isinstance(value, Map) else None)
        elif isinstance(value, (list, str)):
            value = _element(value, key)
        else:
            raise TemplateError(
                "index of untyped nil" if value is None else f"can't index item of type {type_name(value)}"
            )
    return value


def _element(value: list[Any] | str, key: Any) -> Any:
    if not isinstance(key, int) or isinstance(key, bool):
        raise TemplateError(f"cannot index slice/array with {'nil' if key is None else f'type {type_name(key)}'}")
    items = value.encode() if isinstance(value, str) else value
    if not 0 <= key < len(items):
        raise TemplateError(f"index out of range: {key}")
    return items[key]


def _length(value: Any) -> int:
    value = value.empty() if isinstance(value, Nil) else value
    if not isinstance(value, (str, list, dict)):
        raise TemplateError("len of nil pointer" if value is None else f"len of type {type_name(value)}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, (str, list)):
        raise TemplateError("slice of untyped nil" if value is None else f"can't slice item of type {type_name(value)}")
    if len(bounds) > 2:
        raise TemplateError(f"too many slice indexes: {len(bounds)}")
    items = value.encode() if isinstance(value, str) else value
    start, end = bounds[0] if bounds else 0, bounds[1] if len(bounds) > 1 else len(items)
    for bound in (start, end):
        if not isinstance(bound, int):
            raise TemplateError(f"cannot index slice/array with type {type_name(bound)}")
        if not 0 <= bound <= len(items):
            raise TemplateError(f"index out of range: {bound}")
    if start > end:
        raise TemplateError(f"invalid slice index: {start} > {end}")
    return items[start:end].decode(errors="replace") if isinstance(items, bytes) else items[start:end]


def _comparable(left: Any, right: Any) -> None:
    """Raise TemplateError unless both are of one kind that can be compared: ``1`` and ``1.0`` are not."""
    for value in (left, right):
        if isinstance(value, (list, dict)):
            raise TemplateError(f"non-comparable type {printf('%s', value)}: {type_name(value)}")
    nothing = (type(None), Nil)
    if not isinstance(left, nothing) and not isinstance(right, nothing) and _kind(left) != _kind(right):
        raise TemplateError("incompatible types for comparison")


def _kind(value: Any) -> type:
    return next((kind for kind in (bool, int, float, str) if isinstance(value, kind)), type(value))


def _equal(left: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(_same(left, other) for other in others)


def _same(left: Any, right: Any) -> bool:
    _comparable(left, right)
    return bool(left == right) or (not left and not right and isinstance(left, Nil) and isinstance(right, Nil | None))


def _ordered(compare: Callable[[Any, Any], bool]) -> Function:
    def check(left: Any, right: Any) -> bool:
        if _kind(left) != _kind(right):
            raise TemplateError("incompatible types for comparison")
        if _kind(left) not in (int, float, str):
            raise TemplateError("invalid type for comparison")
        return compare(left, right)

    return Function(check, "vv")


def _and(*values: Any) -> Any:
    return next((value for value in values if not truth(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if truth(value)), values[-1])


def _escaping(escape: Callable[[str], str]) -> Function:
    """A function that escapes its arguments, printed one after the other."""
    return Function(lambda *values: escape(sprint(*values)), "*")


_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SCRIPT = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _html(text: str) -> str:
    return "".join(_HTML.get(character, character) for character in text)


def _script(text: str) -> str:
    return "".join(_SCRIPT.get(c, c if c.isprintable() else f"\\u{ord(c):04X}") for c in text)


def _query(text: str) -> str:
    """A word as it stands in an URL's query. (``urllib.parse`` is slow to import.)"""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
    return "".join("+" if c == " " else c if c in plain else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


def _join(values: Any, separator: str) -> str:
    return separator.join(map(plain, values or []))


def _split(text: str, separator: str) -> Any:
    return typed(text.split(separator) if separator else list(text), "[]string")


def _title(text: str) -> str:
    return re.sub(r"(?<!\w)\w", lambda match: match[0].upper(), text)


def _pad(text: str, before: int, after: int) -> str:
    if text and min(before, after) < 0:
        raise TemplateError("strings: negative Repeat count")
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    if length < 0:
        raise TemplateError(f"runtime error: slice bounds out of range [:{length}]")
    return text.encode()[:length].decode(errors="replace")


FUNCTIONS: dict[str, Function] = {
    "and": Function(_and, "v*"),
    "or": Function(_or, "v*"),
    "not": Function(lambda value: not truth(value), "v"),
    "eq": Function(_equal, "v*"),
    "ne": Function(lambda left, right: not _same(left, right), "vv"),
    "lt": _ordered(lambda left, right: bool(left < right)),
    "le": _ordered(lambda left, right: bool(left <= right)),
    "gt": _ordered(lambda left, right: bool(left > right)),
    "ge": _ordered(lambda left, right: bool(left >= right)),
    "index": Function(_index, "v*"),
    "slice": Function(_slice, "v*"),
    "len": Function(_length, "v"),
    "print": Function(sprint, "*"),
    "printf": Function(printf, "s*"),
    "println": Function(lambda *values: " ".join(map(plain, values)) + "\n", "*"),
    "call": Function(lambda function, *_: function, "v*"),
    "html": _escaping(_html),
    "js": _escaping(_script),
    "urlquery": _escaping(_query),
    # Docker's own:
    "json": Function(to_json, "v"),
    "split": Function(_split, "ss"),
    "join": Function(_join, "ls"),
    "title": Function(_title, "s"),
    "lower": Function(str.lower, "s"),
    "upper": Function(str.upper, "s"),
    "pad": Function(_pad, "sii"),
    "truncate": Function(_truncate, "si"),
}
