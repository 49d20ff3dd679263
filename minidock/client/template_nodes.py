"""The tree of a template (see :mod:`minidock.client.template`): each node knows how to render itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from minidock.client.template_functions import Nil, Record, Struct, TemplateError, show, truth, type_name

if TYPE_CHECKING:
    from minidock.client.template import Template


class Scope:
    """What a template sees while it renders: variables (the newest last), and where the text goes."""

    def __init__(self, template: Template, data: Any, output: list[str]) -> None:
        self.template, self.output = template, output
        self.variables: list[tuple[str, Any]] = [("$", data)]


class Leave(Exception):
    """``{{break}}`` or ``{{continue}}``."""


class Operand(NamedTuple):
    """A value, a variable, a function's name or a parenthesis, and the fields taken from it."""

    kind: str
    value: Any
    fields: list[str]
    position: int
    source: str

    def evaluate(self, scope: Scope, dot: Any, arguments: list[Any]) -> Any:
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

    def _variable(self, scope: Scope) -> Any:
        for name, value in reversed(scope.variables):
            if name == self.value:
                return value
        return scope.template.fail(self.position, self.source, f'undefined variable "{self.value}"')

    def _call(self, function: Callable[..., Any], scope: Scope, arguments: list[Any]) -> Any:
        try:
            return function(*arguments)
        except TemplateError as error:
            scope.template.fail(self.position, self.source, f"error calling {self.value}: {error}")
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            scope.template.fail(self.position, self.source, f"error calling {self.value}: wrong arguments: {error}")

    def _field(self, scope: Scope, value: Any, field: str, arguments: list[Any]) -> Any:
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


class Pipe(NamedTuple):
    """``$name := command | command``: the value of one command is the last argument of the next."""

    names: list[str]
    declares: bool
    commands: list[list[Operand]]

    def evaluate(self, scope: Scope, dot: Any) -> Any:
        value = self.value(scope, dot)
        self.assign(scope, [value] if self.names else [])
        return value

    def value(self, scope: Scope, dot: Any) -> Any:
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
    def _until_decided(name: str, operands: list[Operand], scope: Scope, dot: Any) -> list[Any]:
        """The arguments of ``and`` and ``or``, as far as they matter: ``{{and .A .A.B}}`` is safe without an A."""
        values: list[Any] = []
        for operand in operands:
            values.append(operand.evaluate(scope, dot, []))
            if truth(values[-1]) is (name == "or"):
                break
        return values

    def assign(self, scope: Scope, values: list[Any]) -> None:
        """Give the names their values."""
        for name, value in zip(self.names, values, strict=False):
            if self.declares:
                scope.variables.append((name, value))
                continue
            known = [index for index, (other, _) in enumerate(scope.variables) if other == name]
            if not known:
                raise TemplateError(f'template: {scope.template.name}: undefined variable "{name}"')
            scope.variables[known[-1]] = (name, value)


class Text(NamedTuple):
    """What stands outside the braces."""

    text: str

    def render(self, scope: Scope, dot: Any) -> None:
        scope.output.append(self.text)


class Print(NamedTuple):
    """``{{pipe}}``: its value; nothing when it only gives a name to one."""

    pipe: Pipe

    def render(self, scope: Scope, dot: Any) -> None:
        value = self.pipe.evaluate(scope, dot)
        if not self.pipe.names:
            scope.output.append(show(value))


class Jump(NamedTuple):
    """``{{break}}``, ``{{continue}}``."""

    keyword: str

    def render(self, scope: Scope, dot: Any) -> None:
        raise Leave(self.keyword)


class If(NamedTuple):
    """``{{if pipe}}…{{else}}…{{end}}``."""

    pipe: Pipe
    body: list[Node]
    otherwise: list[Node]

    def render(self, scope: Scope, dot: Any) -> None:
        known = len(scope.variables)
        chosen = self.body if truth(self.pipe.evaluate(scope, dot)) else self.otherwise
        render_all(chosen, scope, dot)
        del scope.variables[known:]


class With(NamedTuple):
    """``{{with pipe}}…{{end}}``: inside, the dot is the pipe's value."""

    pipe: Pipe
    body: list[Node]
    otherwise: list[Node]

    def render(self, scope: Scope, dot: Any) -> None:
        known = len(scope.variables)
        value = self.pipe.evaluate(scope, dot)
        render_all(self.body if truth(value) else self.otherwise, scope, value if truth(value) else dot)
        del scope.variables[known:]


class Range(NamedTuple):
    """``{{range pipe}}…{{else}}…{{end}}``: once for each element; of a map, in the order of its keys."""

    pipe: Pipe
    body: list[Node]
    otherwise: list[Node]

    def render(self, scope: Scope, dot: Any) -> None:
        known = len(scope.variables)
        elements = self._elements(scope, self.pipe.value(scope, dot))
        for key, value in elements:
            self.pipe.assign(scope, [value] if len(self.pipe.names) == 1 else [key, value])
            try:
                render_all(self.body, scope, value)
            except Leave as leave:
                if leave.args[0] == "break":
                    break
            finally:
                del scope.variables[known:]
        if not elements:
            render_all(self.otherwise, scope, dot)

    def _elements(self, scope: Scope, value: Any) -> list[tuple[Any, Any]]:
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


Node = Text | Print | Jump | If | With | Range


def render_all(nodes: list[Node], scope: Scope, dot: Any) -> None:
    for node in nodes:
        node.render(scope, dot)
