"""``{engine} minidock.kernel.mounts.parse_line``: show an object of the engine, by name, as it is in its file.

A book that copies code is wrong after the first change; one that points at line numbers, after the first insertion.
"""

from __future__ import annotations

import importlib
import inspect
from difflib import unified_diff
from itertools import groupby
from pathlib import Path
from types import ModuleType

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.directives.code import LiteralInclude
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from chapters import course

ROOT = Path(__file__).parent.parent.parent


class Engine(LiteralInclude):
    """literalinclude with ``:pyobject:``; the file and the object come from the dotted name."""

    def run(self) -> list[nodes.Node]:
        """The object's source under a caption that says where it is."""
        name = self.arguments[0]
        module, qualified = split(name)
        file = Path(inspect.getsourcefile(module) or "").resolve()
        self.arguments[0] = f"/../{file.relative_to(ROOT)}"
        self.options.setdefault("language", "python")
        if qualified:
            self.options["pyobject"] = qualified
        where = f"{file.relative_to(ROOT)}" + (f": {qualified}" if qualified else "")
        self.options.setdefault("caption", self._link(where, module.__name__, qualified))
        return super().run()

    def _link(self, where: str, module: str, qualified: str) -> str:
        """To the annotated source, where the engine has it; the course's own files are not there."""
        if not module.startswith("minidock."):
            return where
        return f"{{py:obj}}`{where} <{module}.{qualified}>`" if qualified else f"{{py:mod}}`{where} <{module}>`"


class Introduced(SphinxDirective):
    """``{introduced} 3``: what of the engine is new in chapter 3, with links to it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A list, a module a line."""
        names = course.chapter(self.arguments[0]).introduces
        lines = []
        for module, group in groupby(names, lambda name: name.rpartition(".")[0]):
            objects = ", ".join(f"{{py:obj}}`{name.rpartition('.')[2]} <{name}>`" for name in group)
            lines.append(f"- {{py:mod}}`{module.removeprefix('minidock.')} <{module}>`: {objects}")
        found = nodes.container(classes=["introduced"])
        self.state.nested_parse(StringList(lines), self.content_offset, found)
        return [found]


class Changes(SphinxDirective):
    """``{changes} 3``: chapter 3's program as what has changed in it since chapter 2."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A unified diff without its file names; what two chapters have in common is left out where it is long."""
        number = int(self.arguments[0])
        files = [course.chapter(str(each)).folder / "container.py" for each in (number - 1, number)]
        for file in files:
            self.env.note_dependency(str(file))
        old, new = (file.read_text().partition('"""\n\n')[2].splitlines() for file in files)
        _, _, *lines = unified_diff(old, new, n=30, lineterm="")
        text = "\n".join(line for line in lines if not line.startswith("@@"))
        return [nodes.literal_block(text, text, language="diff")]


def split(name: str) -> tuple[ModuleType, str]:
    """``minidock.kernel.mounts.Mount.shared``: a module, and ``Mount.shared``; an alias is followed to its own file."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        found = module
        for part in parts[length:]:
            found = getattr(found, part)
        rest = parts[length:]
        if rest and hasattr(found, "__module__") and found.__module__ != module.__name__:
            return importlib.import_module(found.__module__), found.__qualname__
        return module, ".".join(rest)
    raise ValueError(f"{name}: no such object")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("engine", Engine)
    app.add_directive("introduced", Introduced)
    app.add_directive("changes", Changes)
    return {"version": "1", "parallel_read_safe": True}
