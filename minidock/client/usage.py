"""What ``--help`` prints, to the letter as Docker's command line does (Go's ``cobra`` and ``pflag``)."""

from __future__ import annotations

from minidock.client.flags import HELP, Command, Flag


def usage(command: Command, names: list[str] | None = None) -> str:
    """A command's help. ``names`` are all names that it goes by, when there are several."""
    lines = [f"Usage:  minidock {command.name} {command.arguments}".rstrip(), "", command.long or command.summary]
    if names:
        lines += ["", "Aliases:", "  " + ", ".join(f"minidock {name}" for name in names)]
    if command.flags:
        # Every command has --help; Docker's says so only where -h means something else.
        taken = any(flag.short == "h" for flag in command.flags)
        shown = tuple(sorted((*command.flags, HELP))) if taken else command.flags
        lines += ["", "Options:", *describe(shown)]
    return "\n".join(lines)


def describe(flags: tuple[Flag, ...]) -> list[str]:
    """One line, or several, for each flag: ``  -m, --memory bytes   Memory limit``, as wide as a terminal."""
    import shutil

    heads = []
    for flag in flags:
        kind = "" if flag.kind == "bool" else f" {flag.kind}"
        heads.append(f"  {f'-{flag.short}, ' if flag.short else '    '}--{flag.name}{kind}")
    indent = max(len(head) for head in heads) + 3
    width = shutil.get_terminal_size().columns - 1 - indent
    lines = []
    for head, flag in zip(heads, flags, strict=True):
        first, *more = _wrap(flag.help, width)
        lines.append((head.ljust(indent) + first).rstrip())
        lines += [(" " * indent + line).rstrip() for line in more]
    return lines


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width``. pflag breaks five columns earlier, unless all that is left fits."""
    slop = 5
    if width < 24:
        return text.split("\n")
    lines = []
    while len(text) >= width:
        room = text[: width - slop]
        newline = room.find("\n")
        end = max(room.rfind(" "), room.rfind("\t")) if newline < 0 else room.rfind("\n")
        if end <= 0:
            break
        lines += text[:end].split("\n")
        text = text[end + 1 :]
    return lines + text.split("\n")
