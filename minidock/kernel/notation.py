"""The kernel's own notation for arguments, as strace prints them: ``"proc"``, ``NULL``, ``MS_BIND|MS_REC``.

A renderer turns an argument's value into text. It is only called when somebody wants to read the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Renderer = Callable[[object], str]

_ESCAPES = {
    ord('"'): '\\"', ord("\\"): "\\\\", 0x09: "\\t", 0x0A: "\\n", 0x0B: "\\v", 0x0C: "\\f", 0x0D: "\\r"
}  # fmt: skip
_UNESCAPES = {escape[1]: byte for byte, escape in _ESCAPES.items()}


def quoted(text: bytes) -> str:
    """A C string literal. Other bytes than printable ASCII are in octal, which strace writes as short as it can."""
    parts = []
    for position, byte in enumerate(text):
        if byte in _ESCAPES:
            parts.append(_ESCAPES[byte])
        elif 0x20 <= byte < 0x7F:
            parts.append(chr(byte))
        else:
            followed_by_digit = text[position + 1 : position + 2].isdigit()
            parts.append(f"\\{byte:03o}" if followed_by_digit else f"\\{byte:o}")
    return '"' + "".join(parts) + '"'


def unquoted(literal: str) -> bytes:
    """The bytes that a literal made by :func:`quoted` stands for."""
    body, out, position = literal[1:-1], bytearray(), 0
    while position < len(body):
        if body[position] != "\\":
            out.append(ord(body[position]))
            position += 1
        elif body[position + 1] in "01234567":
            end = position + 1
            while end < len(body) and end < position + 4 and body[end] in "01234567":
                end += 1
            out.append(int(body[position + 1 : end], 8))
            position = end
        else:
            out.append(_UNESCAPES[body[position + 1]])
            position += 2
    return bytes(out)


def named(table: Mapping[str, int], prefix: str) -> dict[int, str]:
    """The constants of a module whose names start with ``prefix``, by value: ``named(globals(), "MS_")``."""
    return {
        value: name for name, value in table.items() if name.startswith(prefix) and isinstance(value, int) and value > 0
    }


def flags(names: Mapping[int, str], zero: str = "0") -> Renderer:
    """A renderer for a set of bits. Bits without a name are appended in hexadecimal; no bit at all is ``zero``."""

    def render(value: object) -> str:
        assert isinstance(value, int)
        parts, rest = [], value
        for bits, name in names.items():
            if rest & bits == bits:
                parts.append(name)
                rest &= ~bits
        if rest:
            parts.append(f"{rest:#x}")
        return "|".join(parts) or zero

    return render


def choice(names: Mapping[int, str]) -> Renderer:
    """A renderer for one of several values."""

    def render(value: object) -> str:
        assert isinstance(value, int)
        return names.get(value, f"{value:#x}")

    return render


def octal(value: object) -> str:
    """File permissions, as ``0644``."""
    return f"0{value:02o}"


def literal(text: str) -> Renderer:
    """A renderer for an argument whose text is known beforehand, whatever its value is."""
    return lambda _value: text
