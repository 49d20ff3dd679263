"""``run``, ``create``, ``start``, ``attach``: containers with somebody, or nobody, at the other end."""

from __future__ import annotations

import os
import sys
from typing import Any

from minidock.client import terminal, walking
from minidock.client.connection import Client, Hijacked, Response, segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, table
from minidock.client.options import request
from minidock.client.run_flags import FLAGS
from minidock.client.session import Detached, Session
from minidock.errors import ErrorFromDaemon, ErrorInStream, InvalidInput, MinidockError

_DETACH_KEYS = "--detach-keys string  Override the key sequence for detaching a container\n"


def run(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock run``: 125 when the daemon refused, 126 or 127 when the program did, else the program's own status."""
    try:
        return _run(context, flags, arguments[0], arguments[1:])
    except MinidockError as error:
        print(f"minidock: {error}", file=sys.stderr)
        return _exit_code(error)


def _exit_code(error: MinidockError) -> int:
    """Docker's protocol has no code for this: its client, too, reads it from the text."""
    text = error.text if isinstance(error, ErrorFromDaemon) else ""
    if "executable file not found" in text or "no such file or directory" in text:
        return 127
    return 126 if "permission denied" in text or "is a directory" in text else 125


def _run(context: Context, flags: Flags, image: str, words: list[str]) -> int:
    body = request(flags, image, words)
    if flags["step"]:
        flags["explain"] = flags["explain"] or "compact"
        walking.check(flags["explain"])
    if flags["detach"] and flags["attach"]:
        print("conflicting options: cannot specify both --attach and --detach", file=sys.stderr)
        return 1
    if flags["detach"]:
        body |= {"AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "StdinOnce": False}
    elif body["AttachStdin"] and flags["tty"] and not terminal.is_terminal(terminal.STDIN):
        print("the input device is not a TTY", file=sys.stderr)
        return 1
    container = _create(context, flags, body)
    attached = {name: body[f"Attach{name.title()}"] for name in ("stdin", "stdout", "stderr")}
    if not attached["stdout"] and not attached["stderr"]:
        print(container, flush=True)
    if not any(attached.values()):
        _start(context.client, container, flags)
        return 0
    return _run_attached(context.client, container, flags, attached)


def _run_attached(client: Client, container: str, flags: Flags, attached: dict[str, bool]) -> int:
    """Attach, wait, start, in this order: not a byte of the output and not the exit can be missed."""
    stream = _attach(client, container, attached, flags["detach-keys"])
    session = _session(client, container, stream, flags["tty"], attached["stdin"], flags)
    with session.open():
        condition = "removed" if flags["rm"] else "next-exit"
        waiting = client.request("POST", f"/containers/{container}/wait", {"condition": condition})
        try:
            _start(client, container, flags)
        except ErrorFromDaemon:
            if flags["rm"]:
                session.wait(waiting)
            raise
        try:
            return _until_end(session, waiting, wait=attached["stdout"] or attached["stderr"])
        except Detached:
            return 0


def _until_end(session: Session, waiting: Response, wait: bool = True) -> int:
    """Copy until the container's output ends. Returns the exit status. Raises Detached when the user leaves before."""
    session.resize()
    session.run()
    if not wait:
        return 0
    status = session.wait(waiting)
    if status.get("Error"):
        raise ErrorInStream(200, f"Error waiting for container: {status['Error']['Message']}")
    return int(status["StatusCode"])


def _attach(client: Client, container: str, attached: dict[str, bool], detach_keys: str | None) -> Hijacked:
    query = {"stream": True, "detachKeys": detach_keys, **attached}
    return client.hijack(f"/containers/{segment(container)}/attach", query)


def _session(client: Client, container: str, stream: Hijacked, tty: bool, stdin: bool, flags: Flags) -> Session:
    """A session that passes signals and the terminal's size on to the container."""

    def kill(number: int) -> None:
        _ask(client, f"/containers/{container}/kill", {"signal": number})

    def resize(rows: int, columns: int) -> None:
        _ask(client, f"/containers/{container}/resize", {"h": rows, "w": columns})

    proxy = flags.get("sig-proxy", True)
    on_signal = kill if proxy else None
    detach = flags["detach-keys"] or ""
    return Session(stream, tty=tty, stdin=stdin, detach=detach, on_signal=on_signal, on_resize=resize, stays=not proxy)


def _ask(client: Client, path: str, query: dict[str, Any]) -> None:
    """A request about a container that may just have ended: that is no error."""
    try:
        client.request("POST", path, query).read()
    except ErrorFromDaemon:
        return


def _start(client: Client, container: str, flags: Flags | None = None) -> None:
    """Start a container; with ``--explain``, print the steps that it took to standard error."""
    explain = flags and flags.get("explain")
    step = flags and flags.get("step")
    query = {"explain": explain, "colour": _colour(), "mark": int(bool(step))} if explain else None
    story = client.request("POST", f"/containers/{segment(container)}/start", query).read().decode()
    if flags and explain:
        # The terminal may be raw already: then it needs the carriage return as well.
        newline = "\r\n" if flags["tty"] else "\n"
        if step:
            walking.walk(story, newline)
        else:
            print(story.replace("\n", newline), end="", file=sys.stderr, flush=True)


def _colour() -> int:
    """Whether standard error takes colour. https://no-color.org"""
    return int(terminal.is_terminal(terminal.STDERR) and not os.environ.get("NO_COLOR"))


def create(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock create``: prints the id. 125 when what was asked cannot be meant."""
    try:
        body = request(flags, arguments[0], arguments[1:])
    except InvalidInput as error:
        print(f"minidock: {error}", file=sys.stderr)
        return 125
    print(_create(context, flags, body))
    return 0


def _create(context: Context, flags: Flags, body: dict[str, Any]) -> str:
    """Create the container, pulling its image when it is missing and that is wanted. Returns the id."""
    from minidock.client import pulling

    pulling.check_policy(flags["pull"])
    if flags["cidfile"] and os.path.exists(flags["cidfile"]):
        message = "container ID file found, make sure the other container isn't running or delete"
        raise InvalidInput(f"{message} {flags['cidfile']}")
    if flags["tty"] and terminal.is_terminal(terminal.STDOUT):
        body["HostConfig"]["ConsoleSize"] = list(terminal.size())
    query = {"name": flags["name"], "platform": flags["platform"], "explain": bool(flags["explain"])}

    def post() -> dict[str, Any]:
        return dict(context.client.request("POST", "/containers/create", query, body).json())

    created = pulling.with_image(context, body["Image"], flags["pull"], flags["platform"], flags["quiet"], post)
    for warning in created.get("Warnings") or []:
        print(f"WARNING: {warning}", file=sys.stderr)
    if flags["cidfile"]:
        with open(flags["cidfile"], "w") as file:
            file.write(created["Id"])
    return str(created["Id"])


def start(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock start``: one or more; ``-a`` and ``-i`` join one."""
    if flags["checkpoint"] or flags["checkpoint-dir"]:
        raise InvalidInput("checkpoints are not supported")
    if not flags["attach"] and not flags["interactive"]:
        return _start_each(context.client, arguments)
    if len(arguments) > 1:
        raise InvalidInput("you cannot start and attach multiple containers at once")
    client = context.client
    inspected = client.request("GET", f"/containers/{segment(arguments[0])}/json").json()
    container, tty = inspected["Id"], inspected["Config"]["Tty"]
    stdin = flags["interactive"] and inspected["Config"]["OpenStdin"]
    stream = _attach(client, container, {"stdin": stdin, "stdout": True, "stderr": True}, flags["detach-keys"])
    session = _session(client, container, stream, tty, stdin, flags)
    with session.open():
        condition = "removed" if inspected["HostConfig"]["AutoRemove"] else "next-exit"
        waiting = client.request("POST", f"/containers/{container}/wait", {"condition": condition})
        _start(client, container)
        try:
            return _until_end(session, waiting)
        except Detached:
            return 0


def _start_each(client: Client, names: list[str]) -> int:
    failed = []
    for name in names:
        try:
            _start(client, name)
            print(name, flush=True)
        except ErrorFromDaemon as error:
            print(error, file=sys.stderr)
            failed.append(name)
    if failed:
        print(f"Error: failed to start containers: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def attach(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock attach``: join a running container."""
    client = context.client
    waiting = client.request("POST", f"/containers/{segment(arguments[0])}/wait")
    inspected = client.request("GET", f"/containers/{segment(arguments[0])}/json").json()
    state = inspected["State"]
    if not state["Running"]:
        raise InvalidInput("You cannot attach to a stopped container, start it first")
    if state["Paused"]:
        raise InvalidInput("You cannot attach to a paused container, unpause it first")
    container, tty = inspected["Id"], inspected["Config"]["Tty"]
    stdin = not flags["no-stdin"] and inspected["Config"]["OpenStdin"]
    if tty and stdin and not terminal.is_terminal(terminal.STDIN):
        raise InvalidInput("the input device is not a TTY")
    stream = _attach(client, container, {"stdin": stdin, "stdout": True, "stderr": True}, flags["detach-keys"])
    session = _session(client, container, stream, tty, stdin, flags)
    with session.open():
        if session.on_resize:
            # A program at a terminal redraws when the size changes: so make it change.
            rows, columns = terminal.size()
            session.on_resize(rows + 1, columns + 1)
        return _until_end(session, waiting)


RUN = Command(
    "run",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create and run a new container from an image",
    run,
    table(
        f"""
        -d, --detach      Run container in background and print container ID
            {_DETACH_KEYS}
            --sig-proxy   Proxy received signals to the process (default true)
            --pull string   Pull image before running ("always", "missing", "never") (default "missing")
            --step        Wait for Enter between the steps that --explain shows
        """,
        *FLAGS,
    ),
    interspersed=False,
)
CREATE = Command(
    "create",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create a new container",
    create,
    table(
        """--pull string   Pull image before creating ("always", "|missing", "never") (default "missing")""",
        *FLAGS,
    ),
    interspersed=False,
)
START = Command(
    "start",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Start one or more stopped containers",
    start,
    table("""
    -a, --attach                  Attach STDOUT/STDERR and forward signals
        --checkpoint string       Restore from this checkpoint
        --checkpoint-dir string   Use a custom checkpoint storage directory
        --detach-keys string      Override the key sequence for detaching a container
    -i, --interactive             Attach container's STDIN
"""),
)
ATTACH = Command(
    "attach",
    "[OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
    attach,
    table(f"""
            {_DETACH_KEYS}
            --no-stdin    Do not attach STDIN
            --sig-proxy   Proxy all received signals to the process (default true)
    """),
)
