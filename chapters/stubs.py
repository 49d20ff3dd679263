"""From the engine's function to the file that a student fills in: signature and docstring stay, the body goes."""

from __future__ import annotations

import ast
import inspect
import textwrap

from chapters.course import Exercise

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
    imports = _imports(emptied, module, exercise.module.__name__)
    task = textwrap.fill(" ".join(exercise.task.split()), 100, initial_indent="# ", subsequent_indent="# ")
    last = f"# When done: python -m chapters check {exercise.id}"
    head = f"# Exercise {exercise.id}: {exercise.title}\n#\n{task}\n#\n{last}"
    parts = [head, "from __future__ import annotations", *([imports] if imports else [])]
    return "\n\n".join(parts) + f"\n\n\n{ast.unparse(emptied)}\n"


def _empty(node: ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) -> ast.stmt:
    """The same definition without its body."""
    documented = ast.get_docstring(node) is not None
    if isinstance(node, ast.ClassDef):
        for index, inner in enumerate(node.body):
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                node.body[index] = _empty(inner)
        return node
    node.body = [*node.body[: 1 if documented else 0], ast.parse(_TODO).body[0]]
    return node


def _imports(definition: ast.stmt, module: ast.Module, name: str) -> str:
    """The import lines for the names that are left: those in annotations, decorators and base classes."""
    wanted = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
    wanted |= {node.value.id for node in ast.walk(definition) if _is_attribute_of_name(node)}  # type: ignore[attr-defined]
    lines: list[str] = []
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names = [alias for alias in node.names if (alias.asname or alias.name) in wanted]
            if names:
                lines.append(ast.unparse(ast.ImportFrom(node.module, names, node.level)))
        elif isinstance(node, ast.Import):
            # import dns.rrset gives a meaning to dns
            named = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in wanted]
            lines += [ast.unparse(ast.Import([alias])) for alias in named]
    own = sorted({each for node in module.body for each in _defines(node)} & wanted - {getattr(definition, "name", "")})
    if own:
        lines.append(f"from {name} import {', '.join(own)}")
    return "\n".join(lines)


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
