r"""Variables in a Dockerfile's words: ``$name``, ``${name:-default}`` and their kin, quotes and escapes.

The language is a small part of the shell's. A word that was expanded has lost its quotes. Unlike in a shell, a
variable that is not set is empty, and nothing is ever run.

========================  =======================================================================
``${name:-word}``         ``word`` if the variable is not set or empty; without the colon, if not set
``${name:+word}``         ``word`` if it is set and not empty, else nothing
``${name:?word}``         an error that says ``word`` if it is not set or empty
``${name#pattern}``       without the shortest (``##`` the longest) beginning that matches
``${name%pattern}``       without the shortest (``%%`` the longest) end that matches
``${name/pattern/word}``  the first (``//`` every) match replaced
========================  =======================================================================

In a pattern ``*`` is any text and ``?`` any character; a backslash takes their meaning away.

Source: https://docs.docker.com/reference/dockerfile/#environment-replacement; BuildKit, dockerfile/shell/lex.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from minidock.errors import InvalidInput
from minidock.patterns import Pattern

_SPECIAL = "@*#?-$!0"


def expand(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """The word that ``text`` means, spaces and all. Raises InvalidInput."""
    return _Lexer(text, variables, escape).run()[0]


def split(text: str, variables: Mapping[str, str], escape: str = "\\") -> list[str]:
    """The words that ``text`` means: parted at white space, also at what an unquoted variable holds."""
    return _Lexer(text, variables, escape).run()[1]


def expand_document(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """The same in a heredoc, where quotes are text. Raises InvalidInput."""
    return _Lexer(text, variables, escape).quoted("")


class _Words:
    """Text that falls into words at white space, unless that was quoted."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._word: str | None = None

    def add(self, text: str) -> None:
        for piece in re.split(r"(\s+)", text):
            if piece.isspace():
                self.finish()
            elif piece:
                self.add_quoted(piece)

    def add_quoted(self, text: str) -> None:
        self._word = (self._word or "") + text

    def finish(self) -> list[str]:
        if self._word is not None:
            self.done.append(self._word)
            self._word = None
        return self.done


class _Lexer:
    """One walk over a text."""

    def __init__(self, text: str, variables: Mapping[str, str], escape: str) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._at = 0

    def run(self) -> tuple[str, list[str]]:
        word, words = self._until("")
        return word, words.finish()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        found = self._peek()
        self._at += 1
        return found

    def _until(self, stop: str, keep_escapes: bool = False) -> tuple[str, _Words]:
        """Everything up to ``stop`` (which is taken too), expanded, as one word and as several."""
        result, words = "", _Words()
        while character := self._peek():
            if character == stop:
                self._at += 1
                return result, words
            if character == "$":
                piece = self._dollar()
                words.add(piece)
            elif character in "'\"":
                piece = self._single_quoted() if character == "'" else self._double_quoted()
                words.add_quoted(piece)
            elif self._next() == self._escape:
                piece = (self._escape if keep_escapes else "") + self._next()
                words.add_quoted(piece)
            else:
                piece = character
                words.add(piece)
            result += piece
        if stop:
            raise InvalidInput(f"unexpected end of statement while looking for matching {stop}")
        return result, words

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise InvalidInput("unexpected end of statement while looking for matching single-quote")
        found = self._text[self._at + 1 : end]
        self._at = end + 1
        return found

    def quoted(self, end: str) -> str:
        """Up to ``end``: only that, a dollar and the escape can be escaped here."""
        result = ""
        while character := self._peek():
            if character == end:
                self._at += 1
                return result
            if character == "$":
                result += self._dollar()
                continue
            self._at += 1
            if character == self._escape and self._peek() in ("$", self._escape, end or "$"):
                character = self._next()  # at the very end: the empty text
            result += character
        if end:
            raise InvalidInput("unexpected end of statement while looking for matching double-quote")
        return result

    def _double_quoted(self) -> str:
        self._at += 1
        return self.quoted('"')

    def _dollar(self) -> str:
        self._at += 1
        if self._peek() == "{":
            self._at += 1
            return self._braces()
        name = self._name()
        # A dollar before anything else is a dollar.
        return self._variables.get(name, "") if name else "$"

    def _name(self) -> str:
        """Letters, digits and underscores; a number, or one of the shell's special parameters."""
        match = re.compile(r"\d+|\w+").match(self._text, self._at)
        found = match.group() if match else self._peek() if self._peek() and self._peek() in _SPECIAL else ""
        self._at += len(found)
        return found

    def _braces(self) -> str:
        if not self._peek():
            raise InvalidInput("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise InvalidInput("syntax error: bad substitution")
        name = self._name()
        value = self._variables.get(name)
        modifier = self._next()
        if modifier == "}":
            return value or ""
        is_unset = value is None
        if modifier == ":":
            modifier += self._next()
            is_unset = not value
        kind = modifier[-1:] or "end"
        if kind in "+-?":
            return self._default(kind, name, value or "", is_unset, self._word())
        if kind in "#%" and value is not None:
            return _trimmed(value, kind, self._word(keep_escapes=True))
        if kind in "#%":
            return self._word(keep_escapes=True)[:0]
        if modifier == "/":
            return self._replaced(value or "")
        if kind == "end":
            raise InvalidInput("syntax error: missing '}'")
        raise InvalidInput(f"unsupported modifier ({modifier}) in substitution")

    def _word(self, keep_escapes: bool = False) -> str:
        try:
            return self._until("}", keep_escapes)[0]
        except InvalidInput:
            if not self._peek():
                raise InvalidInput("syntax error: missing '}'") from None
            raise

    def _default(self, kind: str, name: str, value: str, is_unset: bool, word: str) -> str:
        if kind == "+":
            return "" if is_unset else word
        if kind == "-":
            return word if is_unset else value
        if is_unset:
            why = "empty" if name in self._variables else "unset"
            raise InvalidInput(f"{name}: {word or f'is not allowed to be {why}'}")
        return value

    def _replaced(self, value: str) -> str:
        """``/pattern/word}``: the first slash has been read."""
        every = self._peek() == "/"
        self._at += every
        pattern = self._until("/", keep_escapes=True)[0]
        word = self._word(keep_escapes=True)
        return _regex(_parts(pattern)).replaced(value, word, 0 if every else 1) if pattern else value


def _trimmed(value: str, kind: str, pattern: str) -> str:
    """``value`` without the beginning (``#``) or the end (``%``) that ``pattern`` matches; doubled, the longest."""
    longest = pattern.startswith(kind)
    parts = _parts(pattern[1:] if longest else pattern)
    many = ".*" if longest else ".*?"
    if kind == "#":
        return value[_regex(parts, many).beginning(value) or 0 :]
    # An end is the beginning of what is read backwards.
    return value[: len(value) - (_regex(parts[::-1], many).beginning(value[::-1]) or 0)]


def _parts(pattern: str) -> list[str]:
    """The characters of a shell pattern, each with the backslash before it. (``[`` means itself.)"""
    return re.findall(r"\\.|.", pattern, re.DOTALL)


def _regex(parts: list[str], many: str = ".*") -> Pattern:
    meaning = {"*": many, "?": "."}
    return Pattern("(?s)" + "".join(meaning.get(part, re.escape(part[-1])) for part in parts))
