"""Go's templates, as Docker's users write them after ``--format``.

A template is text with actions in double braces: ``{{.Name}}``, ``{{range .Mounts}}{{.Source}} {{end}}``. This is the
language of Go's ``text/template`` without its ``define``, ``block``, ``template`` and ``call``. Three passes, in this
file in this order: words (:func:`_lex`), a tree (:class:`_Parser`), and text (the nodes' ``render``).

Data are what JSON gives: dictionaries, lists, strings, numbers, booleans, None. A dictionary that is a :class:`Record`
stands for a Go struct: its values may be functions, and asking for a field that it lacks is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from minidock.client.template_functions import (
    FUNCTIONS,
    CannotParse,
    Nil,
    Record,
    Struct,
    TemplateError,
    show,
    truth,
    type_name,
)

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
        _render(self.nodes, _Scope(self, data, output), data)
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


class _Scope:
    """What a template sees while it renders: variables (the newest last), and where the text goes."""

    def __init__(self, template: Template, data: Any, output: list[str]) -> None:
        self.template, self.output = template, output
        self.variables: list[tuple[str, Any]] = [("$", data)]


class _Leave(Exception):
    """``{{break}}`` or ``{{continue}}``."""


class _Parser:
    """Recursive descent over the words."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.tokens = _lex(template)
        self.at = 0

    def parse(self) -> list[_Node]:
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

    def _nodes(self) -> tuple[list[_Node], str]:
        """Nodes up to ``{{end}}``, ``{{else}}`` or the end of the template; which of them it was."""
        nodes: list[_Node] = []
        while self._peek().kind != "eof":
            token = self._next()
            if token.kind == "text":
                nodes.append(_Text(token.text))
                continue
            keyword = self._peek().text if self._skip() == "name" else ""
            if keyword in ("end", "else"):
                self.at += 1
                return nodes, keyword
            if keyword in ("break", "continue"):
                self.at += 1
                self._close()
                nodes.append(_Jump(keyword))
            else:
                nodes.append(self._control(keyword) if keyword in _CONTROLS else self._action())
        return nodes, ""

    def _close(self) -> None:
        if self._next().kind != "close":
            self.at -= 1
            self._fail(f"unexpected <{self._peek().text}> in command")

    def _action(self) -> _Node:
        if self._skip() == "close":
            self._fail("missing value for command")
        pipe = self._pipe()
        self._close()
        return _Print(pipe)

    def _control(self, keyword: str) -> _Node:
        self.at += 1
        if self._skip() == "close":
            self._fail(f"missing value for {keyword}")
        pipe = self._pipe()
        self._close()
        body, ended_by = self._nodes()
        otherwise: list[_Node] = []
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

    def _pipe(self) -> _Pipe:
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
        return _Pipe(names, declares, commands)

    def _command(self) -> list[_Operand]:
        """A function and its arguments, or a single value."""
        operands = [self._operand()]
        while self._peek().kind == "space":
            if self._skip() in ("close", "|", ")"):
                break
            operands.append(self._operand())
        return operands

    def _operand(self) -> _Operand:
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
        return _Operand(kind, value, fields, position, self.template.text[token.position : end])

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


# --- text ----------------------------------------------------------------------------------------------------------


class _Operand(NamedTuple):
    """A value, a variable, a function's name or a parenthesis, and the fields taken from it."""

    kind: str
    value: Any
    fields: list[str]
    position: int
    source: str

    def evaluate(self, scope: _Scope, dot: Any, arguments: list[Any]) -> Any:
        """Its value. ``arguments`` are what stands behind it in a command: for a function."""
        if self.kind == "name" and self.value in scope.template.functions:
            value = self._call(scope.template.functions[self.value], scope, arguments)
            arguments = []
        elif self.kind in ("field", "."):
            value = dot
        elif self.kind == "variable":
            value = self._variable(scope)
        elif self.kind == "(":
            value = self.value.evaluate(scope, dot)
        else:
            value = self.value
        for field in self.fields:
            value = self._field(scope, value, field, arguments if field is self.fields[-1] else [])
            arguments = [] if field is self.fields[-1] else arguments
        if arguments:
            scope.template.fail(self.position, self.source, f"can't give argument to non-function {self.source}")
        return value

    def _variable(self, scope: _Scope) -> Any:
        for name, value in reversed(scope.variables):
            if name == self.value:
                return value
        return scope.template.fail(self.position, self.source, f'undefined variable "{self.value}"')

    def _call(self, function: Callable[..., Any], scope: _Scope, arguments: list[Any]) -> Any:
        try:
            return function(*arguments)
        except TemplateError as error:
            scope.template.fail(self.position, self.source, f"error calling {self.value}: {error}")
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            scope.template.fail(self.position, self.source, f"error calling {self.value}: wrong arguments: {error}")

    def _field(self, scope: _Scope, value: Any, field: str, arguments: list[Any]) -> Any:
        if isinstance(value, dict) and field in value:
            found = value[field]
            if callable(found):
                return self._call(found, scope, arguments)
            if not arguments:
                return found
            message = f"{field} is not a method but has arguments"
        elif isinstance(value, Struct) and field in value.optional:
            return value.optional[field]
        elif isinstance(value, dict) and not isinstance(value, Record):
            message = f'map has no entry for key "{field}"'
        elif value is None or isinstance(value, Nil):
            message = f"nil pointer evaluating interface {{}}.{field}"
        else:
            message = f"can't evaluate field {field} in type {type_name(value)}"
        return scope.template.fail(self.position, self.source, message)


class _Pipe(NamedTuple):
    """``$name := command | command``: the value of one command is the last argument of the next."""

    names: list[str]
    declares: bool
    commands: list[list[_Operand]]

    def evaluate(self, scope: _Scope, dot: Any) -> Any:
        value = self.value(scope, dot)
        self.assign(scope, [value] if self.names else [])
        return value

    def value(self, scope: _Scope, dot: Any) -> Any:
        """The value alone; what is left of ``:=`` stays as it was."""
        last: list[Any] = []
        for first, *others in self.commands:
            lazy = first.kind == "name" and first.value in ("and", "or") and not last
            arguments = self._until_decided(first.value, others, scope, dot) if lazy else None
            if arguments is None:
                arguments = [operand.evaluate(scope, dot, []) for operand in others]
            last = [first.evaluate(scope, dot, arguments + last)]
        return last[0]

    @staticmethod
    def _until_decided(name: str, operands: list[_Operand], scope: _Scope, dot: Any) -> list[Any]:
        """The arguments of ``and`` and ``or``, as far as they matter: ``{{and .A .A.B}}`` is safe without an A."""
        values: list[Any] = []
        for operand in operands:
            values.append(operand.evaluate(scope, dot, []))
            if truth(values[-1]) is (name == "or"):
                break
        return values

    def assign(self, scope: _Scope, values: list[Any]) -> None:
        """Give the names their values."""
        for name, value in zip(self.names, values, strict=False):
            if self.declares:
                scope.variables.append((name, value))
                continue
            known = [index for index, (other, _) in enumerate(scope.variables) if other == name]
            if not known:
                raise TemplateError(f'template: {scope.template.name}: undefined variable "{name}"')
            scope.variables[known[-1]] = (name, value)


class _Text(NamedTuple):
    """What stands outside the braces."""

    text: str

    def render(self, scope: _Scope, dot: Any) -> None:
        scope.output.append(self.text)


class _Print(NamedTuple):
    """``{{pipe}}``: its value; nothing when it only gives a name to one."""

    pipe: _Pipe

    def render(self, scope: _Scope, dot: Any) -> None:
        value = self.pipe.evaluate(scope, dot)
        if not self.pipe.names:
            scope.output.append(show(value))


class _Jump(NamedTuple):
    """``{{break}}``, ``{{continue}}``."""

    keyword: str

    def render(self, scope: _Scope, dot: Any) -> None:
        raise _Leave(self.keyword)


class _If(NamedTuple):
    """``{{if pipe}}…{{else}}…{{end}}``."""

    pipe: _Pipe
    body: list[_Node]
    otherwise: list[_Node]

    def render(self, scope: _Scope, dot: Any) -> None:
        known = len(scope.variables)
        chosen = self.body if truth(self.pipe.evaluate(scope, dot)) else self.otherwise
        _render(chosen, scope, dot)
        del scope.variables[known:]


class _With(NamedTuple):
    """``{{with pipe}}…{{end}}``: inside, the dot is the pipe's value."""

    pipe: _Pipe
    body: list[_Node]
    otherwise: list[_Node]

    def render(self, scope: _Scope, dot: Any) -> None:
        known = len(scope.variables)
        value = self.pipe.evaluate(scope, dot)
        _render(self.body if truth(value) else self.otherwise, scope, value if truth(value) else dot)
        del scope.variables[known:]


class _Range(NamedTuple):
    """``{{range pipe}}…{{else}}…{{end}}``: once for each element; of a map, in the order of its keys."""

    pipe: _Pipe
    body: list[_Node]
    otherwise: list[_Node]

    def render(self, scope: _Scope, dot: Any) -> None:
        known = len(scope.variables)
        elements = self._elements(scope, self.pipe.value(scope, dot))
        for key, value in elements:
            self.pipe.assign(scope, [value] if len(self.pipe.names) == 1 else [key, value])
            try:
                _render(self.body, scope, value)
            except _Leave as leave:
                if leave.args[0] == "break":
                    break
            finally:
                del scope.variables[known:]
        if not elements:
            _render(self.otherwise, scope, dot)

    def _elements(self, scope: _Scope, value: Any) -> list[tuple[Any, Any]]:
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return [(index, index) for index in range(value)]
        if value is None:
            return []
        operand = self.pipe.commands[-1][0]
        return scope.template.fail(operand.position, operand.source, f"range can't iterate over {show(value)}")


_Node = _Text | _Print | _Jump | _If | _With | _Range
_CONTROLS: dict[str, type[_If] | type[_With] | type[_Range]] = {"if": _If, "with": _With, "range": _Range}


def _render(nodes: list[_Node], scope: _Scope, dot: Any) -> None:
    for node in nodes:
        node.render(scope, dot)
