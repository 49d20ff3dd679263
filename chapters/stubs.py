"""From the engine's function to the file that a student fills in: signature and docstring stay, the body goes.

Beside it stands what the student may use of the engine: the fields of each type in the signature, and what the
exercise offers besides, so that nobody has to look for it in the file that has the solution.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator

from chapters.course import Exercise
from chapters.outline import outline

_TODO = "raise NotImplementedError"


def stub(exercise: Exercise) -> str:
    """The file's text."""
    module = ast.parse(inspect.getsource(exercise.module))
    definition = next(
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and node.name == exercise.name
    )
    emptied = _empty(definition)
    imports = _imports(emptied, module, exercise.module.__name__, exercise.uses)
    task = textwrap.fill(" ".join(exercise.task.split()), 100, initial_indent="# ", subsequent_indent="# ")
    last = f"# When done: python -m chapters check {exercise.id}"
    head = f"# Exercise {exercise.id}: {exercise.title}\n#\n{task}\n#\n{last}"
    parts = [head, "from __future__ import annotations", imports, _offered(exercise, emptied)]
    return "\n\n".join(part for part in parts if part) + f"\n\n\n{ast.unparse(emptied)}\n"


def _offered(exercise: Exercise, definition: ast.stmt) -> str:
    """As a comment: what types of the signature have in them, and what the exercise offers."""
    names = dict.fromkeys([*_types(definition, exercise), *exercise.uses])
    if not names:
        return ""
    outlines = "\n\n".join(outline(each) for each in names)
    return textwrap.indent(f"What you may use:\n\n{outlines}", "# ", lambda _line: True).replace("# \n", "#\n")


def _types(definition: ast.stmt, exercise: Exercise) -> Iterator[str]:
    """The engine's own classes among the names in a signature."""
    for node in ast.walk(definition):
        meant = getattr(exercise.module, node.id, None) if isinstance(node, ast.Name) else None
        if isinstance(meant, type) and meant.__module__.startswith("minidock.") and meant.__name__ != exercise.name:
            yield f"{meant.__module__}:{meant.__name__}"


def _empty(node: ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) -> ast.stmt:
    """The same definition without its body."""
    documented = ast.get_docstring(node) is not None
    if isinstance(node, ast.ClassDef):
        public = (
            inner for inner in node.body if not getattr(inner, "name", "").startswith("_") or _is_constructor(inner)
        )
        node.body = [
            _empty(inner) if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) else inner for inner in public
        ]
        return node
    node.body = [*node.body[: 1 if documented else 0], ast.parse(_TODO).body[0]]
    return node


def _is_constructor(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


def _imports(definition: ast.stmt, module: ast.Module, name: str, uses: Iterable[str]) -> str:
    """The import lines for what is offered, and for the names that are left: in annotations, decorators, bases."""
    wanted = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
    wanted |= {node.value.id for node in ast.walk(definition) if _is_attribute_of_name(node)}  # type: ignore[attr-defined]
    plain: list[str] = []
    named: dict[str, set[str]] = defaultdict(set)
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module not in (None, "__future__"):
            named[str(node.module)] |= {
                ast.unparse(each) for each in node.names if (each.asname or each.name) in wanted
            }
        elif isinstance(node, ast.Import):
            # import dns.rrset gives a meaning to dns
            plain += [
                f"import {ast.unparse(each)}"
                for each in node.names
                if (each.asname or each.name.split(".")[0]) in wanted
            ]
    named[name] = {each for node in module.body for each in _defines(node)} & wanted - {getattr(definition, "name", "")}
    for each in uses:
        source, _, path = each.partition(":")
        named[source].add(path.partition(".")[0])
    lines = [f"from {source} import {', '.join(sorted(names))}" for source, names in sorted(named.items()) if names]
    return "\n".join([*plain, *lines])


def _is_attribute_of_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def _defines(node: ast.stmt) -> list[str]:
    """The names that a statement of the module's top level gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []
