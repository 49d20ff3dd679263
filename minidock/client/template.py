"""Go's templates, as Docker's users write them after ``--format``.

A template is text with actions in double braces: ``{{.Name}}``, ``{{range .Mounts}}{{.Source}} {{end}}``. This is the
language of Go's ``text/template``. Three passes: words (:func:`_lex`), a tree (:class:`_Parser`), and text
(:mod:`minidock.client.template_nodes`).

Data are what JSON gives: dictionaries, lists, strings, numbers, booleans, None; or those with Go's types
(:mod:`minidock.client.go_types`). A dictionary that is a :class:`Record` stands for a Go struct: its values may be
functions, and asking for a field that it lacks is an error.

Source: https://pkg.go.dev/text/template.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, NoReturn

from minidock.client.template_functions import FUNCTIONS, CannotParse, Function, Record, TemplateError
from minidock.client.template_nodes import (
    Command,
    If,
    Include,
    Jump,
    Node,
    Operand,
    Pipe,
    Print,
    Range,
    Scope,
    Text,
    With,
    render_all,
)

__all__ = ["Record", "Template", "TemplateError", "parse_format"]


class Template:
    """A parsed template. ``name`` appears in errors, as in Go. Raises TemplateError when the text makes no sense."""

    def __init__(self, text: str, name: str = "", functions: dict[str, Function] | None = None) -> None:
        self.text, self.name = text, name
        self.functions = FUNCTIONS | (functions or {})
        self.defined: dict[str, list[Node]] = {}
        self.nodes = _Parser(self).parse()

    def render(self, data: Any) -> str:
        """The text for ``data``. Raises TemplateError."""
        output: list[str] = []
        try:
            render_all(self.nodes, Scope(self, data, output), data)
        except RecursionError:
            raise TemplateError(f"template: {self.name}: exceeded maximum template depth") from None
        return "".join(output)

    def line(self, position: int) -> int:
        """The line that an offset is on, counted from 1."""
        return self.text.count("\n", 0, position) + 1

    def place(self, position: int) -> str:
        """Name, line and column of an offset, as Go writes them; of an empty name nothing is left."""
        column = len(self.text[self.text.rfind("\n", 0, position) + 1 : position].encode())
        return f"{self.name}:{self.line(position)}:{column}"


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
      | (?P<character>'(?:[^'\\\n]|\\.)[^'\n]*')
      | (?P<number>[+-]?(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
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
        if re.compile(r"\s*/\*").match(text, inside):
            message = "comment ends before closing delimiter" if "*/" in text[inside:] else "unclosed comment"
            raise TemplateError(f"template: {template.name}:{template.line(inside)}: {message}")
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
            message = "unterminated quoted string" if character in '"`' else f'unexpected "{character}" in command'
            if character in "{}":
                message = f"bad character U+{ord(character):04X} '{character}'"
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
        self.depth = self.ranges = 0  # how many {{if}}, {{with}}, {{range}} … are open, and of these {{range}}
        self.variables = ["$"]

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
            nodes += self._statement(keyword, token.position)
        return nodes, ""

    def _statement(self, keyword: str, position: int) -> list[Node]:
        """What one action, or one with all up to its ``{{end}}``, adds to the text: for ``define``, nothing."""
        if keyword == "define" and self.depth == 0:
            name = self._name(keyword)
            self._close("define clause")
            self._define(name, self._definition())
            return []
        if keyword == "block":
            return [self._block(position)]
        if keyword == "template":
            return [self._include(keyword, position)]
        if keyword in ("break", "continue"):
            return [self._jump(keyword)]
        return [self._control(keyword) if keyword in _CONTROLS else self._action()]

    def _name(self, keyword: str) -> str:
        """The quoted name after ``define``, ``block`` and ``template``."""
        self.at += 1
        token = self._next()
        if token.kind != "string":
            self.at -= 1
            self._fail(f"unexpected {_shown(token)} in {keyword} clause")
        return str(self._value(token))

    def _definition(self) -> list[Node]:
        """The nodes up to ``{{end}}``: they see no variable of what is around them."""
        outside = self.variables, self.ranges
        self.variables, self.ranges, self.depth = ["$"], 0, self.depth + 1
        nodes, ended_by = self._nodes()
        if ended_by != "end":
            self._fail("unexpected {{else}}" if ended_by else "unexpected EOF")
        self._close()
        (self.variables, self.ranges), self.depth = outside, self.depth - 1
        return nodes

    def _block(self, position: int) -> Node:
        """``{{block "name" pipe}} … {{end}}``: a definition, and its use."""
        include = self._include("block", position)
        if include.pipe is None:
            self._fail("missing value for block clause")
        self._define(include.name, self._definition())
        return include

    def _define(self, name: str, nodes: list[Node]) -> None:
        if name in self.template.defined:
            self._fail(f'template: multiple definition of template "{name}"')
        self.template.defined[name] = nodes

    def _include(self, keyword: str, position: int) -> Include:
        name = self._name(keyword)
        pipe = None if self._skip() == "close" else self._pipe()
        self._close()
        end = self.tokens[self.at - 1]
        source = self.template.text[position : end.position + len(end.text)].replace("block", "template", 1)
        return Include(name, pipe, self.template.text.index('"', position) if '"' in source else position, source)

    def _jump(self, keyword: str) -> Node:
        self.at += 1
        if self._skip() != "close":
            self._fail(f"unexpected {_shown(self._peek())} in {{{{{keyword}}}}}")
        if not self.ranges:
            self._fail(f"{{{{{keyword}}}}} outside {{{{range}}}}")
        self._close()
        return Jump(keyword)

    def _close(self, place: str = "command") -> None:
        token = self._next()
        if token.kind != "close":
            self.at -= 1
            self._fail("unexpected right paren" if token.kind == ")" else f"unexpected {_shown(token)} in {place}")

    def _action(self) -> Node:
        if self._skip() == "close":
            self._fail("missing value for command")
        pipe = self._pipe()
        if len(pipe.names) > 1:
            self._fail("too many declarations in command")
        self._close()
        return Print(pipe)

    def _control(self, keyword: str) -> Node:
        """``if``, ``with`` and ``range``; a variable of theirs is known up to their ``{{end}}``."""
        self.at += 1
        if self._skip() == "close":
            self._fail(f"missing value for {keyword}")
        known, self.depth = len(self.variables), self.depth + 1
        pipe = self._pipe()
        if len(pipe.names) > (2 if keyword == "range" else 1):
            self._fail(f"too many declarations in {keyword}")
        self._close()
        self.ranges += keyword == "range"
        body, ended_by = self._nodes()
        self.ranges -= keyword == "range"
        otherwise = self._else(keyword) if ended_by == "else" else []
        if not ended_by:
            self._fail("unexpected EOF")
        if ended_by == "end":
            self._close("end")
        del self.variables[known:]
        self.depth -= 1
        return _CONTROLS[keyword](pipe, body, otherwise)

    def _else(self, keyword: str) -> list[Node]:
        """What follows ``{{else}}``; the control of an ``{{else if}}`` has eaten the only ``{{end}}``."""
        if self._skip() == "name" and self._peek().text in ("if", "with"):
            return [self._control(self._peek().text)]
        self._close("else")
        otherwise, ended_by = self._nodes()
        if ended_by != "end":
            self._fail(f"expected end; found {{{{{ended_by}}}}}" if ended_by else "unexpected EOF")
        self._close("end")
        return otherwise

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
            if commands[-1].operands[0].literal or commands[-1].operands[0].kind == ".":
                self._fail(f"non executable command in pipeline stage {len(commands)}")
        self.variables += names if declares else []
        return Pipe(names, declares, commands)

    def _command(self) -> Command:
        operands = [self._operand()]
        while self._peek().kind == "space":
            if self._skip() in ("close", "|", ")"):
                break
            operands.append(self._operand())
        return Command(operands, " ".join(operand.source for operand in operands))

    def _operand(self) -> Operand:
        token = self._next()
        kind, value, position = token.kind, self._value(token), token.position
        if kind == "name" and token.text in _CONSTANTS:
            kind = "constant"
        fields = [token.text[1:]] if kind == "field" else []
        first = True
        while self._peek().kind == "field":
            if kind in ("string", "number", "character", "constant"):
                self._fail(f"unexpected . after term {json.dumps(token.text)}")
            link = self._next(skip_space=False)
            fields.append(link.text[1:])
            position = link.position if first else position  # where Go says that a chain of fields is
            first = False
        end = self._peek().position
        kind = "number" if kind == "character" else kind
        return Operand(kind, value, fields, position, self.template.text[token.position : end])

    def _value(self, token: _Token) -> Any:
        if token.kind == "string":
            return token.text[1:-1] if token.text[0] == "`" else self._unquote(token.text)
        if token.kind == "character":
            text = self._unquote(token.text)
            return ord(text) if len(text) == 1 else self._fail(f"malformed character constant: {token.text}")
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name" and token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        if token.kind == "(":
            pipe = self._pipe()
            if self._next().kind != ")":
                self._fail("unclosed left paren")
            return pipe
        self._check(token)
        return token.text

    def _check(self, token: _Token) -> None:
        """Fail on what is no operand, and on names that nothing has."""
        self.at -= 1
        if token.kind not in ("field", "variable", "name", "."):
            known = {"close": "missing value for command", ")": "unexpected right paren"}
            self._fail(known.get(token.kind, f"unexpected {_shown(token)} in operand"))
        if token.kind == "name" and token.text in _KEYWORDS:
            self._fail(f"unexpected <{token.text}> in command")
        if token.kind == "name" and token.text not in self.template.functions:
            self._fail(f'function "{token.text}" not defined')
        if token.kind == "variable" and token.text not in self.variables:
            self._fail(f'undefined variable "{token.text}"')
        self.at += 1

    def _number(self, token: _Token) -> int | float:
        """A number in any of Go's notations: ``1_000``, ``0x1f``, ``0b1``, ``017``, ``.5``, ``1e3``."""
        text = token.text
        try:
            if re.fullmatch(r"[+-]?0[0-7_]+", text):
                return int(text, 8)
            return int(text, 0) if re.fullmatch(r"[+-]?(0[xXbBoO].*|[\d_]+)", text) else float(text)
        except ValueError:
            return self._fail(f'bad number syntax: "{text}"')

    def _unquote(self, text: str) -> str:
        def character(match: re.Match[str]) -> str:
            *hexadecimal, octal, letter = match.groups()
            if letter:
                return _ESCAPES[letter] if letter in _ESCAPES else self._fail("invalid syntax")
            return chr(next((int(digits, 16) for digits in hexadecimal if digits), int(octal or "0", 8)))

        return _ESCAPED.sub(character, text[1:-1])


def _shown(token: _Token) -> str:
    """A word in an error: Go quotes it, and puts what means something to it in brackets."""
    return f'"{token.text}"' if token.kind in ("field", "number", "string") or _plain_name(token) else f"<{token.text}>"


def _plain_name(token: _Token) -> bool:
    return token.kind == "name" and token.text not in _KEYWORDS


_CONSTANTS = {"true": True, "false": False, "nil": None}
_KEYWORDS = frozenset(["block", "define", "template", "if", "else", "end", "range", "with", "break", "continue"])
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPED = re.compile(r"\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|(.))")


_CONTROLS: dict[str, type[If] | type[With] | type[Range]] = {"if": If, "with": With, "range": Range}
