"""``exec``: one more process in a running container."""

from __future__ import annotations

from typing import Any

from minidock.client import options, terminal
from minidock.client.connection import Client, segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.session import Session
from minidock.errors import ErrorFromDaemon, InvalidInput


def execute(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock exec``: the program's own exit status; 126 or 127 when it did not start."""
    if flags["interactive"] and flags["tty"] and not flags["detach"] and not terminal.is_terminal(terminal.STDIN):
        raise InvalidInput("the input device is not a TTY")
    client = context.client
    body = _request(flags, arguments[1:])
    path = f"/containers/{segment(arguments[0])}/exec"
    identifier = client.request("POST", path, body=body).json()["Id"]
    if flags["detach"]:
        client.request("POST", f"/exec/{identifier}/start", body={"Detach": True, "Tty": flags["tty"]}).read()
        return 0
    return _attached(client, identifier, flags, body.get("ConsoleSize"))


def _request(flags: Flags, command: list[str]) -> dict[str, Any]:
    attached = not flags["detach"]
    body: dict[str, Any] = {
        "AttachStdin": attached and flags["interactive"],
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Tty": flags["tty"],
        "Privileged": flags["privileged"],
        "Cmd": command,
        "Env": options.environment(flags),
        "User": flags["user"] or "",
        "WorkingDir": flags["workdir"] or "",
        "DetachKeys": flags["detach-keys"] or "",
    }
    if flags["tty"] and terminal.is_terminal(terminal.STDOUT):
        body["ConsoleSize"] = list(terminal.size())
    return body


def _attached(client: Client, identifier: str, flags: Flags, size: list[int] | None) -> int:
    def resize(rows: int, columns: int) -> None:
        try:
            client.request("POST", f"/exec/{identifier}/resize", {"h": rows, "w": columns}).read()
        except ErrorFromDaemon:
            return  # it has ended already

    body = {"Detach": False, "Tty": flags["tty"]} | ({"ConsoleSize": size} if size else {})
    stream = client.hijack(f"/exec/{identifier}/start", body=body)
    detach = flags["detach-keys"] or ""
    session = Session(stream, tty=flags["tty"], stdin=flags["interactive"], detach=detach, on_resize=resize)
    with session.open():
        session.resize()
        session.run()
    return int(client.request("GET", f"/exec/{identifier}/json").json()["ExitCode"] or 0)


EXEC = Command(
    "exec",
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    "Execute a command in a running container",
    execute,
    table("""
    -d, --detach               Detached mode: run command in the background
        --detach-keys string   Override the key sequence for detaching a container
    -e, --env list             Set environment variables
        --env-file list        Read in a file of environment variables
    -i, --interactive          Keep STDIN open even if not attached
        --privileged           Give extended privileges to the command
    -t, --tty                  Allocate a pseudo-TTY
    -u, --user string          Username or UID (format: "<name|uid>[:<group|gid>]")
    -w, --workdir string       Working directory inside the container
"""),
    interspersed=False,
)
