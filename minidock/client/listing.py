"""What all lists have in common: ``--format``, ``--filter``, ``--quiet``, and the user's own formats in config.json."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minidock.client import table
from minidock.client.flags import Flag
from minidock.client.template import Record

_SEE = "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"
_TABLE = (
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n"
)
_OTHER = (
    f"'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\n{_SEE}"
)

#: ``--format`` of a list
FORMAT = Flag("format", "", "string", f"Format output using a custom template:\n{_TABLE}{_OTHER}", "")
#: ``--format`` of one document
VIEW = Flag("format", "f", "string", f"Format output using a custom template:\n{_OTHER}", "")


def filters(texts: list[str]) -> dict[str, dict[str, bool]]:
    """``["status=exited", …]`` as the API takes it: ``{"status": {"exited": true}}``."""
    result: dict[str, dict[str, bool]] = {}
    for text in texts:
        name, _, value = text.partition("=")
        result.setdefault(name.strip().lower(), {})[value.strip()] = True
    return result


def configured(name: str, form: str, quiet: bool = False) -> str:
    """The ``--format`` that was given, or the user's own for this list: ``psFormat`` and its kind in config.json."""
    if form or quiet:
        return form
    from minidock.client import config

    return config.setting(name)


def show(rows: Sequence[Record], headings: Record, form: str, default: str) -> None:
    """Print a list. Raises TemplateError."""
    print(table.write(list(rows), headings, form, default), end="")


def labels(document: dict[str, object]) -> str:
    """``a=b,c=d``."""
    found = document.get("Labels")
    return ",".join(f"{name}={found[name]}" for name in sorted(found)) if isinstance(found, dict) else ""


def natural(name: str) -> list[tuple[str, int]]:
    """A key to sort names by, where ``web9`` comes before ``web10``."""
    return [(letters, int(digits or 0)) for letters, digits in re.findall(r"(\D*)(\d*)", name)]
