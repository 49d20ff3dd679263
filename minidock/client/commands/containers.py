"""Short commands about containers: one request for each name, and the name printed when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.errors import ErrorFromDaemon, MinidockError

_SEVERAL = "[OPTIONS] CONTAINER [CONTAINER...]"


def for_each(names: list[str], action: Callable[[str], str | None]) -> int:
    """Do ``action`` for each name, print what it returns. Errors are printed, the rest goes on; 1 if there was one."""
    code = 0
    for name in names:
        try:
            text = action(name)
            if text is not None:
                print(text, flush=True)
        except MinidockError as error:
            print(error, file=sys.stderr)
            code = 1
    return code


def _post(context: Context, verb: str, query: dict[str, Any] | None = None) -> Callable[[str], str]:
    def action(name: str) -> str:
        context.client.request("POST", f"/containers/{segment(name)}/{verb}", query).read()
        return name

    return action


def _stop(context: Context, flags: Flags, names: list[str]) -> int:
    return for_each(names, _post(context, "stop", {"t": flags["timeout"], "signal": flags["signal"]}))


def _restart(context: Context, flags: Flags, names: list[str]) -> int:
    return for_each(names, _post(context, "restart", {"t": flags["timeout"], "signal": flags["signal"]}))


def _kill(context: Context, flags: Flags, names: list[str]) -> int:
    return for_each(names, _post(context, "kill", {"signal": flags["signal"]}))


def _pause(context: Context, flags: Flags, names: list[str]) -> int:
    return for_each(names, _post(context, "pause"))


def _unpause(context: Context, flags: Flags, names: list[str]) -> int:
    return for_each(names, _post(context, "unpause"))


def _rename(context: Context, flags: Flags, names: list[str]) -> int:
    try:
        context.client.request("POST", f"/containers/{segment(names[0])}/rename", {"name": names[1]}).read()
    except ErrorFromDaemon as error:
        print(f"{error}\nError: failed to rename container named {names[0]}", file=sys.stderr)
        return 1
    return 0


def _wait(context: Context, flags: Flags, names: list[str]) -> int:
    def action(name: str) -> str:
        return str(context.client.request("POST", f"/containers/{segment(name)}/wait").json()["StatusCode"])

    return for_each(names, action)


def _rm(context: Context, flags: Flags, names: list[str]) -> int:
    query = {"force": flags["force"], "v": flags["volumes"], "link": flags["link"]}

    def action(name: str) -> str | None:
        try:
            context.client.request("DELETE", f"/containers/{segment(name)}", query).read()
        except ErrorFromDaemon as error:
            if not (flags["force"] and error.status == 404):
                raise
            print(error, file=sys.stderr)  # what is not there does not have to be removed: no failure
            return None
        return name

    return for_each(names, action)


_SIGNAL = table("-s, --signal string  Signal to send to the container")
_STOPPING = (*_SIGNAL, *table("-t, --timeout int  Seconds to wait before killing the container"))
_ONE_OR_MORE = "CONTAINER [CONTAINER...]"

STOP = Command("stop", _SEVERAL, "Stop one or more running containers", _stop, _STOPPING)
RESTART = Command("restart", _SEVERAL, "Restart one or more containers", _restart, _STOPPING)
KILL = Command("kill", _SEVERAL, "Kill one or more running containers", _kill, _SIGNAL)
PAUSE = Command("pause", _ONE_OR_MORE, "Pause all processes within one or more containers", _pause)
UNPAUSE = Command("unpause", _ONE_OR_MORE, "Unpause all processes within one or more containers", _unpause)
RENAME = Command("rename", "CONTAINER NEW_NAME", "Rename a container", _rename)
WAIT = Command("wait", _ONE_OR_MORE, "Block until one or more containers stop, then print their exit codes", _wait)
RM = Command(
    "rm",
    _SEVERAL,
    "Remove one or more containers",
    _rm,
    table("""
    -f, --force     Force the removal of a running container (uses SIGKILL)
    -l, --link      Remove the specified link
    -v, --volumes   Remove anonymous volumes associated with the container
"""),
)
