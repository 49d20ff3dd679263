"""``top``: the processes of a container, as ps(1) shows them."""

from __future__ import annotations

import asyncio
import re

from minidock.daemon import spec
from minidock.daemon.records import Record
from minidock.errors import InvalidInput, KernelFeatureMissing
from minidock.kernel import cgroups
from minidock.messages import Top


async def top(record: Record, arguments: str) -> Top:
    """Run the host's ps over the container's processes. Raises InvalidInput with what ps says."""
    if not re.fullmatch(r"[-a-zA-Z0-9 ,=:]*", arguments):
        raise InvalidInput(f"invalid ps arguments: {arguments!r}")
    members = {str(pid) for pid in cgroups.at(spec.cgroups_path(record)).processes()}
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", *arguments.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise KernelFeatureMissing("top needs ps on this machine: apt install procps") from None
    output, errors = await process.communicate()
    if process.returncode:
        raise InvalidInput(f"ps: {errors.decode(errors='replace').strip()}")
    lines = output.decode(errors="replace").splitlines()
    titles = lines[0].split()
    if "PID" not in titles:
        raise InvalidInput("Couldn't find PID field in ps output")
    column = titles.index("PID")
    # The last column is the command, which has blanks of its own.
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    return Top(titles=titles, processes=[row for row in rows if len(row) > column and row[column] in members])
