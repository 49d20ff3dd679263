"""``top``, ``port``, ``diff``: what goes on in a container, how to reach it, what it has changed."""

from __future__ import annotations

from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags
from minidock.client.listing import natural
from minidock.client.table import align
from minidock.errors import InvalidInput


def top(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock top``: the container's processes, as ``ps`` shows them."""
    query = {"ps_args": " ".join(arguments[1:])}
    found = context.client.request("GET", f"/containers/{segment(arguments[0])}/top", query).json()
    lines = ["\t".join(cells) for cells in (found["Titles"], *(found["Processes"] or []))]
    print(align("".join(f"{line}\n" for line in lines), least=20), end="")
    return 0


def port(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock port``: where on the host the container's ports are."""
    name, wanted = arguments[0], arguments[1] if len(arguments) > 1 else ""
    inspected = context.client.request("GET", f"/containers/{segment(name)}/json").json()
    published = inspected["NetworkSettings"]["Ports"] or {}
    if wanted:
        number, _, protocol = wanted.partition("/")
        if not number.isdigit():
            raise InvalidInput(f'Error: invalid port ({number}): strconv.ParseUint: parsing "{number}": invalid syntax')
        found = published.get(f"{number}/{protocol or 'tcp'}") or []
        if not found:
            raise InvalidInput(f"Error: No public port '{wanted}' published for {name}")
        lines = [_address(binding) for binding in found]
    else:
        lines = [f"{inside} -> {_address(one)}" for inside, bindings in published.items() for one in bindings or []]
    for line in sorted(lines, key=natural):
        print(line)
    return 0


def _address(binding: dict[str, str]) -> str:
    host = binding["HostIp"]
    return f"[{host}]:{binding['HostPort']}" if ":" in host else f"{host}:{binding['HostPort']}"


def diff(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock diff``: files that are changed, added or deleted."""
    for change in context.client.request("GET", f"/containers/{segment(arguments[0])}/changes").json() or []:
        print("CAD"[change["Kind"]], change["Path"])
    return 0


TOP = Command(
    "top",
    "CONTAINER [ps OPTIONS]",
    "Display the running processes of a container",
    top,
    number=(1, None),
    interspersed=False,
)
PORT = Command(
    "port", "CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container", port
)
DIFF = Command("diff", "CONTAINER", "Inspect changes to files or directories on a container's filesystem", diff)
