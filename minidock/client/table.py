"""Lists as Docker shows them: columns, ``--format``, ``--quiet``."""

from __future__ import annotations

from minidock.client.template import Record, Template, TemplateError
from minidock.client.template_functions import FUNCTIONS, Function

# In a table's heading a function must not change the column's name, nor take it apart.
_IN_HEADINGS = {
    name: FUNCTIONS[name]._replace(call=lambda heading, *_: heading)
    for name in ("json", "title", "lower", "upper", "truncate", "split")
} | {"join": Function(lambda heading, _: heading, "ss")}


def write(rows: list[Record], headings: Record, form: str, default: str) -> str:
    """The text of a list.

    ``form`` is what the user gave to ``--format``: nothing or ``table`` (then it is the template ``default``), ``table
    TEMPLATE``, ``json``, or a template alone. Raises TemplateError.
    """
    table = form in ("", "table") or form.startswith("table ")
    text = default if form in ("", "table") else form.removeprefix("table") if table else form
    if form == "json":
        text = "{{json .}}"
    text = text.strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    lines = [f"{line}\n" for line in _render(text, rows, headings, table)]
    return align("".join(lines)) if table else "".join(lines)


def _render(text: str, rows: list[Record], headings: Record, table: bool) -> list[str]:
    try:
        template = Template(text)
        lines = [template.render(row) for row in rows]
        return [Template(text, functions=_IN_HEADINGS).render(headings), *lines] if table else lines
    except TemplateError as error:
        raise TemplateError(f"template parsing error: {error}") from None


def align(text: str, least: int = 10, padding: int = 3) -> str:
    """Turn tabs into columns, as Go's ``text/tabwriter`` does.

    A cell is what a tab ends. Neighbouring lines that have a cell at the same place form a column, as wide as its
    widest cell and ``padding``, but not narrower than ``least``. What follows a line's last tab is not padded.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    _align_from(lines, 0, 0, len(lines), least, padding)
    return "\n".join("".join(cells) for cells in lines)


def _align_from(lines: list[list[str]], column: int, start: int, end: int, least: int, padding: int) -> None:
    """Pad ``column`` of the lines from ``start`` to ``end``, and the columns to its right."""
    line = start
    while line < end:
        if column >= len(lines[line]) - 1:
            line += 1
            continue
        block = line
        while block < end and column < len(lines[block]) - 1:
            block += 1
        width = max([least, *(len(cells[column]) + padding for cells in lines[line:block])])
        for cells in lines[line:block]:
            cells[column] = cells[column].ljust(width)
        _align_from(lines, column + 1, line, block, least, padding)
        line = block
