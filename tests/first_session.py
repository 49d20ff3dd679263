"""README.md's first session, which the book shows too: typed, and compared with what stands there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def replay(run: Callable[[str], str]) -> None:
    """Type each command; ``run`` returns what it printed, errors too. Only ids, numbers and times may differ."""
    for command, expected in session():
        typed = [line.removeprefix("/ # ") for line in expected if line.startswith("/ # ")]
        if typed:  # in the container: here without a terminal, and so without a prompt
            command = f"echo '{'; '.join(typed)}' | {command.replace(' -it ', ' -i ')}"
            expected = [line for line in expected if not line.startswith("/ # ")]
        shown = run(command)
        assert like(shown.splitlines(), expected), f"{command}\n{shown}"


def session() -> list[tuple[str, list[str]]]:
    """The commands of README.md's first session, and the lines that each prints there."""
    text = README.read_text().split("<!-- first session -->")[1].split("<!-- end of first session -->")[0]
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("# "):
                found.append((line.removeprefix("# "), []))
            else:
                found[-1][1].append(line)
    return found


def like(shown: list[str], expected: list[str]) -> bool:
    """Whether the lines are the same but for numbers and spaces; a line ``…`` stands for any lines."""
    patterns = [r"(.*\n)*" if line == "…" else re.escape(plain(line)) + r"\n" for line in expected]
    return re.fullmatch("".join(patterns), "".join(f"{plain(line)}\n" for line in shown)) is not None


def plain(line: str) -> str:
    """A line without what differs from time to time: identifiers, numbers, "Less than a second", column widths."""
    line = re.sub(r"\b[0-9a-f]{12}(…|[0-9a-f]{52})?(?![0-9a-f])", "ID", line)
    line = re.sub(r"Less than a second|\d+ seconds?", "N seconds", line)
    return " ".join(re.sub(r"\d+(\.\d+)?", "N", line).split())
