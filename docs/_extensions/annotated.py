"""The annotated source: a page a module, what is said of each object beside its code, in reading order.

The pages are made anew at each build, from the files themselves and from what the course and the tests know of them:
which chapter introduces an object, which tests use it, which man pages its docstring names.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

from docutils.nodes import Element
from engine import split
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

from chapters import course

ROOT = Path(__file__).parent.parent.parent
PAGES = ROOT / "docs" / "source"

ORDER = "errors units database globs dockerignore kernel oci content containers images registry networks build messages"
FLOORS = [*ORDER.split(), "daemon", "client"]
"""From the kernel up, as in the reading order."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_MAN_PAGE = re.compile(r"\b([a-z_][a-z0-9_.-]*)\(([1-8])\)")


class Module:
    """One file of the engine, parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.lines = path.read_text().splitlines()
        self.tree = ast.parse("\n".join(self.lines))
        self.floor = parts[1].removesuffix(".py")
        self._described: set[str] = set()

    def page(self, before: Module | None, after: Module | None) -> str:
        """The whole page, in reStructuredText, with the way to its neighbours in reading order."""
        title = self.name.removeprefix("minidock.")
        doc = ast.get_docstring(self.tree) or ""
        start = self.tree.body[0].end_lineno if doc else 0
        ways = [f":doc:`{word} <{there.name}>`" for word, there in (("previous", before), ("next", after)) if there]
        way = " · ".join([*ways, ":doc:`all modules <index>`"])
        # Not in a table of contents: the theme would repeat the names of all modules on every page.
        parts = [
            ":orphan:",
            f"{title}\n{'=' * len(title)}",
            way,
            f".. py:module:: {self.name}",
            doc,
            self._about(),
        ]
        parts += self._rows(self.tree.body[1:] if doc else self.tree.body, start or 0, len(self.lines), "")
        return "\n\n".join(part for part in [*parts, way] if part) + "\n"

    @property
    def first_line(self) -> str:
        """What it is, in a sentence."""
        line = (ast.get_docstring(self.tree) or "").partition("\n")[0]
        return re.sub(r":\w+:`([^`]*)`", r"``\1``", line)

    def _about(self) -> str:
        facts = [f":file:`{self.path.relative_to(ROOT)}`", f"{len(self.lines)} lines"]
        facts.append(taught(self.name))
        if tests := sorted({test for test, names in uses().items() if self.name in names}):
            facts.append("tests: " + ", ".join(f":file:`{test}`" for test in tests[:6]))
        return ".. rst-class:: about\n\n" + " · ".join(facts)

    def _rows(self, body: list[ast.stmt], start: int, end: int, inside: str) -> list[str]:
        """One row for each definition, and for each documented name; what stands between two is a row without words."""
        rows = []
        for node, following in zip(body, [*body[1:], None], strict=False):
            last = node.end_lineno or 0
            if isinstance(node, Definition):
                first = self._with_comments(_first_line(node), start)
                found = self._definition(node, first, last, inside)
            elif (name := _name(node)) and (doc := _string(following)) and following is not None:
                first, last = self._with_comments(node.lineno - 1, start), following.end_lineno or 0
                code = self._code(first, node.end_lineno or 0)
                found = [self._row("attribute" if inside else "data", f"{inside}{name}", "", doc, code)]
            else:
                continue
            if between := self._code(start, first):
                rows.append(_row("", between))
            rows += found
            start = last
        if rest := self._code(start, end):
            rows.append(_row("", rest))
        return rows

    def _definition(self, node: Definition, first: int, last: int, inside: str) -> list[str]:
        doc = ast.get_docstring(node) or ""
        hidden = range(node.body[0].lineno - 1, node.body[0].end_lineno or 0) if doc else range(0)
        name = f"{inside}{node.name}"
        if not isinstance(node, ast.ClassDef):
            kind = "method" if inside else "function"
            return [self._row(kind, name, f"({_arguments(node.args)})", doc, self._code(first, last, hidden))]
        body = node.body[1:] if doc else node.body
        pairs = zip(body, [*body[1:], None], strict=False)
        parts = [item for item, after in pairs if isinstance(item, Definition) or (_name(item) and _string(after))]
        head = self._with_comments(_first_line(parts[0]), hidden.stop or node.lineno) if parts else last
        row = self._row("class", name, "", doc, self._code(first, head, hidden), _value(node, "man"))
        return [row, *self._rows(body, head, last, f"{name}.")] if parts else [row]

    def _row(self, kind: str, name: str, arguments: str, doc: str, code: str, man: str = "") -> str:
        """The directive makes the name known to the whole book: every mention of it leads here."""
        options = ["no-contents-entry"]
        if name in self._described:
            options.append("no-index")
        elif any(part.startswith("_") for part in name.split(".")):
            options.append("no-index-entry")
        self._described.add(name)
        head = f".. py:{kind}:: {name}{arguments}\n" + "\n".join(f"   :{option}:" for option in options)
        says = "\n\n".join(filter(None, (doc, self._links(name, f"{doc} {man}"))))
        return _row(f"{head}\n\n{_indent(says)}", code)

    def _links(self, name: str, doc: str) -> str:
        pages = dict.fromkeys(f":manpage:`{page}({section})`" for page, section in _MAN_PAGE.findall(doc))
        facts = list(pages)
        full = f"{self.name}.{name}"
        facts += [f"introduced in {_chapter(one)}" for one in course.chapters() if full in one.introduces]
        facts += [exercises()[full]] if full in exercises() else []
        tests = sorted(test for test, names in uses().items() if full in names)
        facts += [f":file:`{test}`" for test in tests[:3]]
        return ".. rst-class:: about\n\n" + " · ".join(facts) if facts else ""

    def _with_comments(self, line: int, floor: int) -> int:
        while line > floor and self.lines[line - 1].lstrip().startswith("#"):
            line -= 1
        return line

    def _code(self, start: int, end: int, hidden: range = range(0)) -> str:
        return "\n".join(self.lines[number] for number in range(start, end) if number not in hidden).strip("\n")

    def imports(self) -> set[str]:
        """The modules of the engine that this one needs when it is loaded."""
        found = set()
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{item.name}" for item in node.names)}
        return found


def _first_line(node: ast.stmt) -> int:
    """Counted from 0, decorators and all."""
    decorators = node.decorator_list if isinstance(node, Definition) else []
    return min([node.lineno, *(item.lineno for item in decorators)]) - 1


def _name(node: ast.stmt) -> str:
    """What an assignment names; "" for all else."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) else ""


def _string(node: ast.stmt | None) -> str:
    """A statement that is nothing but a string: the docstring of the name before it."""
    value = node.value if isinstance(node, ast.Expr) else None
    return inspect.cleandoc(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _value(node: ast.ClassDef, name: str) -> str:
    """What a class says of itself in an attribute: the steps have their man pages in ``man``."""
    values = [item.value for item in node.body if _name(item) == name and isinstance(item, ast.Assign)]
    return str(values[0].value) if values and isinstance(values[0], ast.Constant) else ""


def _arguments(arguments: ast.arguments) -> str:
    """The names alone: their types stand beside, in the code."""
    names = [item.arg for item in [*arguments.posonlyargs, *arguments.args]]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        names.append("*")
    names += [item.arg for item in arguments.kwonlyargs]
    names += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return ", ".join(name for name in names if name not in ("self", "cls"))


def _row(says: str, code: str) -> str:
    left = f".. container:: says\n\n{_indent(says or '..')}"
    right = f".. container:: code\n\n{_indent('.. code-block:: python' + chr(10) + chr(10) + _indent(code))}"
    return f".. container:: row\n\n{_indent(left)}\n\n{_indent(right)}"


def _indent(text: str) -> str:
    return "\n".join("   " + line if line else "" for line in text.splitlines())


def taught(module: str) -> str:
    """Links to the chapters that introduce something of a module."""
    numbers = [one for one in course.chapters() if any(name.rpartition(".")[0] == module for name in one.introduces)]
    return ", ".join(map(_chapter, numbers)) or "beyond the course"


def _chapter(chapter: course.Chapter) -> str:
    return f":doc:`chapter {chapter.number} </chapters/{chapter.folder.name}>`"


@cache
def exercises() -> dict[str, str]:
    """For each object that students write: a link to the exercise."""
    page = {one.number: f"../chapters/{one.folder.name}.html" for one in course.chapters()}
    return {
        one.engine.replace(":", "."): f"`exercise {one.id} <{page[one.chapter]}#exercise-{one.chapter}-{one.number}>`__"
        for one in course.exercises()
    }


@cache
def uses() -> dict[str, set[str]]:
    """For each file of tests: the modules and objects of the engine that it names, where they are defined."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        aliases = dict(imported(tree))
        names = {name for full in aliases.values() for name in (full, full.rpartition(".")[0])}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                names.add(f"{aliases[node.value.id]}.{node.attr}")
        at_home = {handed_on().get(name, name) for name in names}
        found[str(path.relative_to(ROOT))] = at_home | {name.rpartition(".")[0] for name in at_home}
    return found


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a file imports of the engine: the name that it uses, and the full one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minidock"):
            yield from ((item.asname or item.name, f"{node.module}.{item.name}") for item in node.names)


@cache
def handed_on() -> dict[str, str]:
    """The objects that a package imports for others' convenience: the name there, and the one at home."""
    found: dict[str, str] = {}
    for path in (ROOT / "minidock").rglob("__init__.py"):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        found |= {f"{package}.{name}": full for name, full in imported(ast.parse(path.read_text()))}
    return found


def in_reading_order(modules: dict[str, Module]) -> list[Module]:
    """Floor by floor, and on a floor every module after those that it uses; a package's own file before its modules."""
    ordered: dict[str, Module] = {}

    def add(module: Module) -> None:
        if module.name in ordered:
            return
        package = module.name.rpartition(".")[0]
        if package in modules:
            add(modules[package])
        if module.path.name != "__init__.py":
            for name in sorted(module.imports() & modules.keys()):
                if modules[name].floor == module.floor and name != package:
                    add(modules[name])
        ordered.setdefault(module.name, module)

    for floor in FLOORS:
        for name in sorted(modules):
            if modules[name].floor == floor:
                add(modules[name])
    return list(ordered.values())


def write_pages(app: Sphinx) -> None:
    """Make the pages that have changed, and the table of contents; away with those of modules that are gone."""
    modules = {module.name: module for module in map(Module, sorted((ROOT / "minidock").rglob("*.py")))}
    modules = {name: module for name, module in modules.items() if module.floor in FLOORS}
    PAGES.mkdir(exist_ok=True)
    ordered = in_reading_order(modules)
    neighbours = zip(ordered, [None, *ordered], [*ordered[1:], None], strict=False)
    pages = {f"{module.name}.rst": module.page(before, after) for module, before, after in neighbours}
    pages["index.rst"] = _contents(ordered)
    for path in PAGES.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = PAGES / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _contents(ordered: list[Module]) -> str:
    parts = [inspect.cleandoc(INTRODUCTION)]
    for floor, modules in groupby(ordered, lambda module: module.floor):
        parts.append(f"{floor}\n{'-' * len(floor)}")
        parts.append("\n".join(f"- :doc:`{module.name}`: {module.first_line}" for module in modules))
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """
    The annotated source
    ====================

    The whole engine, in the order in which it can be read: floor by floor from the kernel up, and on each floor every
    module after those that it uses. What is said of an object stands beside its code, with the chapter that introduces
    it, the tests that hold it, and the man pages that it follows.
    """


def follow(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element) -> Element | None:
    """A docstring may call an object by the name that its module has it under: imported, or from a package."""
    module, target = node.get("py:module") or "minidock", node["reftarget"].lstrip(".")
    for name in (f"{module}.{target}", target):
        with contextlib.suppress(ValueError, AttributeError):
            home, qualified = split(name)
            found = env.domains.python_domain.objects.get(f"{home.__name__}.{qualified}".rstrip("."))
            if found is not None:
                return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, text, target)
    return None


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("missing-reference", follow)
    app.add_css_file("book.css")
    return {"version": "1", "parallel_read_safe": True}
