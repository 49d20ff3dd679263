"""Go's templates, as Docker's users write them after ``--format``.

A template is text with actions in double braces: ``{{.Name}}``, ``{{range .Mounts}}{{.Source}} {{end}}``. This is the
language of Go's ``text/template`` without its ``define``, ``block``, ``template`` and ``call``. Three passes: words
(:func:`_lex`), a tree (:class:`_Parser`), and text (:mod:`minidock.client.template_nodes`).

Data are what JSON gives: dictionaries, lists, strings, numbers, booleans, None. A dictionary that is a :class:`Record`
stands for a Go struct: its values may be functions, and asking for a field that it lacks is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from minidock.client.template_functions import FUNCTIONS, CannotParse, Record, TemplateError
from minidock.client.template_nodes import If, Jump, Node, Operand, Pipe, Print, Range, Scope, Text, With, render_all

__all__ = ["Record", "Template", "TemplateError", "parse_format"]


class Template:
    """A parsed template. ``name`` appears in errors, as in Go. Raises TemplateError when the text makes no sense."""

    def __init__(self, text: str, name: str = "", functions: dict[str, Callable[..., Any]] | None = None) -> None:
        self.text, self.name = text, name
        self.functions = FUNCTIONS | (functions or {})
        self.nodes = _Parser(self).parse()

    def render(self, data: Any) -> str:
        """The text for ``data``. Raises TemplateError."""
        output: list[str] = []
        render_all(self.nodes, Scope(self, data, output), data)
        return "".join(output)

    def line(self, position: int) -> int:
        """The line that an offset is on, counted from 1."""
        return self.text.count("\n", 0, position) + 1

    def fail(self, position: int, source: str, message: str) -> NoReturn:
        """Raise what went wrong while rendering, with the place in Go's notation."""
        column = position - (self.text.rfind("\n", 0, position) + 1)
        place = f"template: {self.name}:{self.line(position)}:{column}"
        raise TemplateError(f'{place}: executing "{self.name}" at <{source}>: {message}')


def parse_format(text: str, name: str = "") -> Template:
    """The template of a ``--format`` that is no table's. Raises CannotParse."""
    try:
        return Template(text, name)
    except TemplateError as error:
        raise CannotParse(f"template parsing error: {error}") from None


# --- words ---------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str  # text, open, close, string, number, field, variable, name, or the operator itself
    text: str
    position: int


_WORD = re.compile(
    r"""(?P<space>\s+)
      | (?P<close>-?\}\})
      | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      | (?P<number>[+-]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?))
      | (?P<field>\.[^\W\d]\w*)
      | (?P<variable>\$\w*)
      | (?P<name>[^\W\d]\w*)
      | (?P<operator>:=|[.=|(),])""",
    re.VERBOSE,
)


def _lex(template: Template) -> list[_Token]:
    """Text and the words of actions, in order; comments gone, and space that ``{{-`` and ``-}}`` trim away."""
    text, tokens, position, trim = template.text, [], 0, False
    while (start := text.find("{{", position)) >= 0:
        trimmed = text[start + 2 : start + 3] == "-" and text[start + 3 : start + 4].isspace()
        tokens.append(_text(text[position:start], position, trim, trimmed))
        inside = start + (3 if trimmed else 2)
        if comment := re.compile(r"\s*/\*.*?\*/\s*(-?)\}\}", re.DOTALL).match(text, inside):
            position, trim = comment.end(), bool(comment[1])
            continue
        tokens.append(_Token("open", "{{", start))
        position, trim = _lex_action(template, inside, tokens)
    tokens.append(_text(text[position:], position, trim, False))
    return [token for token in tokens if token.text]


def _text(text: str, position: int, left: bool, right: bool) -> _Token:
    text = text.lstrip() if left else text
    return _Token("text", text.rstrip() if right else text, position)


def _lex_action(template: Template, position: int, tokens: list[_Token]) -> tuple[int, bool]:
    """Append an action's words. Returns where it ends, and whether it trims what follows."""
    while position < len(template.text):
        match = _WORD.match(template.text, position)
        if match is None:
            character = template.text[position]
            message = "unterminated quoted string" if character in '"`' else f"unexpected {character!r} in command"
            raise TemplateError(f"template: {template.name}:{template.line(position)}: {message}")
        kind, word = match.lastgroup or "", match[0]
        if kind != "space":
            tokens.append(_Token(word if kind == "operator" else kind, word, position))
        elif tokens[-1].kind != "open":
            tokens.append(_Token("space", word, position))  # it separates arguments: `(x).y` is not `(x) .y`
        position = match.end()
        if kind == "close":
            return position, word.startswith("-")
    raise TemplateError(f"template: {template.name}:{template.line(position)}: unclosed action")


# --- the tree ------------------------------------------------------------------------------------------------------


class _Parser:
    """Recursive descent over the words."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.tokens = _lex(template)
        self.at = 0

    def parse(self) -> list[Node]:
        nodes, ended_by = self._nodes()
        if ended_by:
            self._fail(f"unexpected {{{{{ended_by}}}}}")
        return nodes

    def _fail(self, message: str) -> NoReturn:
        position = self.tokens[min(self.at, len(self.tokens) - 1)].position if self.tokens else 0
        raise TemplateError(f"template: {self.template.name}:{self.template.line(position)}: {message}")

    def _peek(self) -> _Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else _Token("eof", "EOF", len(self.template.text))

    def _next(self, skip_space: bool = True) -> _Token:
        if skip_space:
            self._skip()
        token = self._peek()
        self.at += 1
        return token

    def _skip(self) -> str:
        """Skip space; the kind of what follows."""
        while self._peek().kind == "space":
            self.at += 1
        return self._peek().kind

    def _nodes(self) -> tuple[list[Node], str]:
        """Nodes up to ``{{end}}``, ``{{else}}`` or the end of the template; which of them it was."""
        nodes: list[Node] = []
        while self._peek().kind != "eof":
            token = self._next()
            if token.kind == "text":
                nodes.append(Text(token.text))
                continue
            keyword = self._peek().text if self._skip() == "name" else ""
            if keyword in ("end", "else"):
                self.at += 1
                return nodes, keyword
            if keyword in ("break", "continue"):
                self.at += 1
                self._close()
                nodes.append(Jump(keyword))
            else:
                nodes.append(self._control(keyword) if keyword in _CONTROLS else self._action())
        return nodes, ""

    def _close(self) -> None:
        if self._next().kind != "close":
            self.at -= 1
            self._fail(f"unexpected <{self._peek().text}> in command")

    def _action(self) -> Node:
        if self._skip() == "close":
            self._fail("missing value for command")
        pipe = self._pipe()
        self._close()
        return Print(pipe)

    def _control(self, keyword: str) -> Node:
        self.at += 1
        if self._skip() == "close":
            self._fail(f"missing value for {keyword}")
        pipe = self._pipe()
        self._close()
        body, ended_by = self._nodes()
        otherwise: list[Node] = []
        if ended_by == "else":
            if self._skip() == "name" and self._peek().text in ("if", "with"):
                otherwise = [self._control(self._peek().text)]
                return _CONTROLS[keyword](pipe, body, otherwise)  # the inner one has eaten the only {{end}}
            self._close()
            otherwise, ended_by = self._nodes()
        if ended_by != "end":
            self._fail("unexpected EOF")
        self._close()
        return _CONTROLS[keyword](pipe, body, otherwise)

    def _pipe(self) -> Pipe:
        """``$x := command | command``."""
        names, declares, start = [], True, self.at
        while self._skip() == "variable":
            names.append(self._next().text)
            if self._skip() == ",":
                self.at += 1
                continue
            if self._peek().kind in (":=", "="):
                declares = self._next().kind == ":="
                break
            names, self.at = [], start  # it was a value, not a declaration
            break
        commands = [self._command()]
        while self._skip() == "|":
            self.at += 1
            commands.append(self._command())
        return Pipe(names, declares, commands)

    def _command(self) -> list[Operand]:
        """A function and its arguments, or a single value."""
        operands = [self._operand()]
        while self._peek().kind == "space":
            if self._skip() in ("close", "|", ")"):
                break
            operands.append(self._operand())
        return operands

    def _operand(self) -> Operand:
        token = self._next()
        kind, value, position = token.kind, self._value(token), token.position
        fields = [token.text[1:]] if kind == "field" else []
        first = True
        while self._peek().kind == "field":
            link = self._next(skip_space=False)
            fields.append(link.text[1:])
            position = link.position if first else position  # where Go says that a chain of fields is
            first = False
        end = self._peek().position
        return Operand(kind, value, fields, position, self.template.text[token.position : end])

    def _value(self, token: _Token) -> Any:
        if token.kind == "string":
            return token.text[1:-1] if token.text[0] == "`" else _unquote(token.text[1:-1])
        if token.kind == "number":
            return int(token.text, 0) if re.fullmatch(r"[+-]?(0x.*|\d+)", token.text) else float(token.text)
        if token.kind == "name" and token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        if token.kind == "name" and token.text not in self.template.functions:
            self.at -= 1
            self._fail(f'function "{token.text}" not defined')
        if token.kind == "(":
            pipe = self._pipe()
            if self._next().kind != ")":
                self._fail("unclosed left paren")
            return pipe
        if token.kind not in ("field", "variable", "name", "."):
            self.at -= 1
            self._fail(
                "missing value for command" if token.kind == "close" else f"unexpected <{token.text}> in operand"
            )
        return token.text


_CONSTANTS = {"true": True, "false": False, "nil": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)


_CONTROLS: dict[str, type[If] | type[With] | type[Range]] = {"if": If, "with": With, "range": Range}
