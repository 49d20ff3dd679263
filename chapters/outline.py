"""What a student may use of the engine, without how it is done: the fields of a type, the head of a function."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module

_ENOUGH = 4


def outline(name: str) -> str:
    """The definition of ``package.module:name`` (or ``…:Class.method``) without what it does.

    Of a class there are its fields, properties and constructor, of a function its head and documentation, of a
    constant its first lines: the student can print the rest.
    """
    module, _, path = name.partition(":")
    source = inspect.getsource(import_module(module))
    body = ast.parse(source).body
    owner, _, method = path.rpartition(".")
    if owner:
        found = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == owner)
        body = found.body
    node = next(node for node in body if method in _defines(node))
    shown = "\n".join(_shown(node, source.splitlines()))
    return f"class {owner}:\n{shown}" if owner else shown


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    return [ast.unparse(target) for target in _targets(node)]


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def _shown(node: ast.stmt, lines: list[str]) -> Iterator[str]:
    """The lines of the source that are for everybody."""
    if isinstance(node, ast.ClassDef):
        yield from _head(node, lines)
        for inner in node.body[1:] if ast.get_docstring(node) is not None else node.body:
            if isinstance(inner, ast.FunctionDef) and _like_a_field(inner):
                yield ""
                yield from _shown(inner, lines)
            elif isinstance(inner, ast.AnnAssign | ast.Expr):
                yield from _between(inner.lineno, inner.end_lineno, lines)
    elif isinstance(node, ast.FunctionDef):
        yield from _head(node, lines)
    else:
        whole = _between(node.lineno, node.end_lineno, lines)
        yield from whole[:_ENOUGH]
        if len(whole) > _ENOUGH:
            yield "    …"


def _head(node: ast.ClassDef | ast.FunctionDef, lines: list[str]) -> list[str]:
    """Decorators, the head, and the documentation."""
    start = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    if ast.get_docstring(node) is not None:
        return _between(start, node.body[0].end_lineno, lines)
    return _between(start, node.body[0].lineno - 1, lines)


def _between(first: int, last: int | None, lines: list[str]) -> list[str]:
    return lines[first - 1 : last]


def _like_a_field(node: ast.FunctionDef) -> bool:
    if node.name.startswith("_"):
        return node.name == "__init__"
    return any(ast.unparse(each) == "property" for each in node.decorator_list)
