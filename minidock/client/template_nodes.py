"""The tree of a template (see :mod:`minidock.client.template`): each node knows how to render itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from minidock.client.go_format import show, type_name
from minidock.client.go_types import Map, Nil, Struct
from minidock.client.template_functions import Function, Record, TemplateError, truth

if TYPE_CHECKING:
    from minidock.client.template import Template

NO_VALUE = Nil("<no value>")


class Scope:
    """What a template sees while it renders: variables (the newest last), and where the text goes."""

    def __init__(self, template: Template, data: Any, output: list[str], name: str = "") -> None:
        self.template, self.output = template, output
        self.name = name or template.name
        self.variables: list[tuple[str, Any]] = [("$", data)]

    def fail(self, position: int, source: str, message: str) -> NoReturn:
        """Raise what went wrong, with the place in Go's notation."""
        place = f"template: {self.template.place(position)}"
        raise TemplateError(f'{place}: executing "{self.name}" at <{source}>: {message}')


class Leave(Exception):
    """``{{break}}`` or ``{{continue}}``."""


class Operand(NamedTuple):
    """A value, a variable, a function's name or a parenthesis, and the fields taken from it."""

    kind: str
    value: Any
    fields: list[str]
    position: int
    source: str

    @property
    def literal(self) -> bool:
        """Whether it is written in the template: a number, a string, true, nil."""
        return self.kind in ("number", "string", "constant")

    def evaluate(self, scope: Scope, dot: Any, arguments: list[Any]) -> Any:
        """Its value. ``arguments`` are what stands behind it in a command: for a method of a record."""
        value = self._value(scope, dot)
        for field in self.fields:
            value = self._field(scope, value, field, arguments if field is self.fields[-1] else [])
        if arguments and not self.fields:
            scope.fail(self.position, self.source, f"can't give argument to non-function {self.source}")
        return value

    def _value(self, scope: Scope, dot: Any) -> Any:
        if self.kind in ("field", "."):
            return dot
        if self.kind == "(":
            return self.value.evaluate(scope, dot)
        if self.kind == "variable":
            return next(value for name, value in reversed(scope.variables) if name == self.value)
        if self.kind == "name":
            return Command([self._replace(fields=[])], self.source).evaluate(scope, dot, [])
        return self.value

    def _field(self, scope: Scope, value: Any, field: str, arguments: list[Any]) -> Any:
        if isinstance(value, Struct) and value.has(field):
            return value.get(field)
        if isinstance(value, dict) and field in value:
            found = value[field]
            if callable(found):
                return self._method(scope, found, arguments)
            if not arguments:
                return found
            message = f"{field} is not a method but has arguments"
        elif isinstance(value, Map) or value is NO_VALUE:
            return NO_VALUE
        elif isinstance(value, dict) and not isinstance(value, Record):
            message = f'map has no entry for key "{field}"'
        elif value is None or isinstance(value, Nil):
            message = f"nil pointer evaluating {type_name(value) if value is not None else 'interface {}'}.{field}"
        else:
            message = f"can't evaluate field {field} in type {type_name(value)}"
        return scope.fail(self.position, self.source, message)

    def _method(self, scope: Scope, method: Any, arguments: list[Any]) -> Any:
        if len(arguments) != 1:
            scope.fail(
                self.position, self.source, f"wrong number of args for {self.fields[-1]}: want 1 got {len(arguments)}"
            )
        return method(*arguments)


class Command(NamedTuple):
    """A function and its arguments, or a single value."""

    operands: list[Operand]
    source: str

    def evaluate(self, scope: Scope, dot: Any, last: list[Any]) -> Any:
        """Its value; ``last`` is what the command before it in the pipe has given."""
        first, *others = self.operands
        if first.kind != "name":
            if first.kind == "constant" and first.value is None:
                scope.fail(first.position, first.source, "nil is not a command")
            return first.evaluate(scope, dot, [operand.evaluate(scope, dot, []) for operand in others] + last)
        value = self._call(scope, dot, last)
        return first._replace(kind="value", value=value).evaluate(scope, dot, [])

    def _call(self, scope: Scope, dot: Any, last: list[Any]) -> Any:
        first, *others = self.operands
        function = scope.template.functions[first.value]
        try:
            function.check_count(first.value, len(others) + len(last))
        except TemplateError as error:
            scope.fail(first.position, first.value, str(error))
        arguments = self._arguments(function, scope, dot, last)
        try:
            if first.value == "call":
                _refuse(arguments[0], others[0].source if others else "")
            return function.call(*arguments)
        except TemplateError as error:
            scope.fail(first.position, self.source, f"error calling {first.value}: {error}")

    def _arguments(self, function: Function, scope: Scope, dot: Any, last: list[Any]) -> list[Any]:
        """The arguments; of ``and`` and ``or``, as far as they matter: ``{{and .A .A.B}}`` is safe without an A."""
        first, *others = self.operands
        values: list[Any] = []
        for operand in [*others, *last]:
            value, place = (
                (operand.evaluate(scope, dot, []), operand) if isinstance(operand, Operand) else (operand, first)
            )
            try:
                function.check_type(len(values), value, place.literal)
            except TemplateError as error:
                scope.fail(place.position, place.source, str(error))
            values.append(value)
            if first.value in ("and", "or") and truth(value) is (first.value == "or"):
                break
        return values


def _refuse(value: Any, source: str) -> None:
    """``call`` is for fields that are functions, and no API tells a function: raise TemplateError."""
    raise TemplateError("call of nil" if value is None else f"non-function {source} of type {type_name(value)}")


class Pipe(NamedTuple):
    """``$name := command | command``: the value of one command is the last argument of the next."""

    names: list[str]
    declares: bool
    commands: list[Command]

    @property
    def first(self) -> Operand:
        """What errors about the whole point at."""
        return self.commands[-1].operands[0]

    def evaluate(self, scope: Scope, dot: Any) -> Any:
        value = self.value(scope, dot)
        self.assign(scope, [value] if self.names else [])
        return value

    def value(self, scope: Scope, dot: Any) -> Any:
        """The value alone; what is left of ``:=`` stays as it was."""
        last: list[Any] = []
        for command in self.commands:
            last = [command.evaluate(scope, dot, last)]
        return last[0]

    def assign(self, scope: Scope, values: list[Any]) -> None:
        """Give the names their values."""
        for name, value in zip(self.names, values, strict=False):
            if self.declares:
                scope.variables.append((name, value))
                continue
            known = [index for index, (other, _) in enumerate(scope.variables) if other == name]
            if not known:
                scope.fail(self.first.position, self.first.source, f"undefined variable: {name}")
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
            scope.output.append("<no value>" if value is NO_VALUE else show(value))


class Include(NamedTuple):
    """``{{template "name" pipe}}``: what ``define`` gave that name, with the pipe's value as its dot."""

    name: str
    pipe: Pipe | None
    position: int
    source: str

    def render(self, scope: Scope, dot: Any) -> None:
        nodes = scope.template.defined.get(self.name)
        if nodes is None:
            scope.fail(self.position, self.source, f'template "{self.name}" not defined')
        data = self.pipe.evaluate(scope, dot) if self.pipe else None
        render_all(nodes, Scope(scope.template, data, scope.output, self.name), data)


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
        value = value.empty() if isinstance(value, Nil) else value
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list):
            return list(enumerate(value))
        first = self.pipe.first
        if isinstance(value, int) and not isinstance(value, bool):
            if len(self.pipe.names) > 1:
                message = f"can't use {value} to iterate over more than one variable"
                scope.fail(first.position, first.source, message)
            return [(index, index) for index in range(value)]
        if value is None:
            return []
        return scope.fail(first.position, first.source, f"range can't iterate over {show(value)}")


Node = Text | Print | Include | Jump | If | With | Range


def render_all(nodes: list[Node], scope: Scope, dot: Any) -> None:
    for node in nodes:
        node.render(scope, dot)
