"""``top``: the processes of a container, as ps(1) shows them."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path

from minidock.daemon import spec
from minidock.daemon.records import Record
from minidock.errors import InvalidInput
from minidock.kernel import cgroups
from minidock.messages import Top


async def top(record: Record, arguments: str) -> Top:
    """Run the host's ps over the container's processes. Raises InvalidInput with what ps says.

    A host without ps (a small image of a VM has none) gets the columns of ``ps -ef`` from us.
    """
    members = await asyncio.to_thread(cgroups.at(spec.cgroups_path(record)).processes)
    if found := re.search(r"\s(\S*)=\s*(PID\S*)", arguments):
        raise InvalidInput(f'specifying "{found[0].strip()}" is not allowed')
    if "\0" in arguments:
        raise InvalidInput("an argument of ps cannot hold a zero byte")
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", *arguments.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        return Top(titles=list(_COLUMNS), processes=[row for pid in members if (row := _row(pid))])
    output, errors = await process.communicate()
    if process.returncode:
        raise InvalidInput(f"ps: {errors.decode(errors='replace').strip()}")
    return chosen(output.decode(errors="replace").split("\n"), {str(pid) for pid in members})


def chosen(lines: list[str], members: set[str]) -> Top:
    """Of what ps printed, the lines of these processes. Raises InvalidInput when it did not print their numbers."""
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidInput("Couldn't find PID field in ps output")
    column = titles.index("PID")
    # The last column is the command, which has blanks of its own.
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    return Top(titles=titles, processes=[row for row in rows if len(row) > column and row[column] in members])


_COLUMNS = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")


def _row(pid: int) -> list[str]:
    """One process as ``ps -ef`` shows it (proc_pid_stat(5)); nothing when it is gone."""
    directory = Path(f"/proc/{pid}")
    try:
        text = (directory / "stat").read_text(errors="replace")
        words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
        uid = directory.stat().st_uid
    except OSError:
        return []
    name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = (int(fields[11]) + int(fields[12])) // ticks
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / ticks
    terminal = f"pts/{int(fields[4]) & 0xFF}" if int(fields[4]) else "?"
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    started = time.strftime("%H:%M", time.localtime(began))
    return [str(uid), str(pid), fields[1], "0", started, terminal, clock, " ".join(words).strip() or f"[{name}]"]
