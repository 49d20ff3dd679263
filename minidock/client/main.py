"""``minidock``: the command line.

It says nothing itself: every command is one or a few requests to the daemon, and words about the answer. Commands are
imported when they are called, because a person waits for the interpreter too.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import NoReturn

from minidock.client.context import Context
from minidock.client.flags import HELP, Command, Flag, describe, parse, parse_flags, usage
from minidock.errors import InvalidArguments, InvalidFlag, MinidockError

# Where each command lives: module and name within minidock.client.commands.
COMMANDS = {
    "attach": "run.ATTACH",
    "completion": "system.COMPLETION",
    "create": "run.CREATE",
    "events": "system.EVENTS",
    "exec": "exec.EXEC",
    "images": "images.IMAGES",
    "import": "images.IMPORT",
    "info": "system.INFO",
    "inspect": "inspect.INSPECT",
    "kill": "containers.KILL",
    "logs": "logs.LOGS",
    "pause": "containers.PAUSE",
    "ps": "ps.PS",
    "pull": "images.PULL",
    "rename": "containers.RENAME",
    "restart": "containers.RESTART",
    "rm": "containers.RM",
    "rmi": "images.RMI",
    "run": "run.RUN",
    "start": "run.START",
    "stop": "containers.STOP",
    "tag": "images.TAG",
    "unpause": "containers.UNPAUSE",
    "version": "system.VERSION",
    "wait": "containers.WAIT",
}

GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "container": (
        "Manage containers",
        {name: place for name, place in COMMANDS.items() if place.partition(".")[0] in ("run", "exec", "containers")}
        | {"inspect": "inspect.CONTAINER", "logs": "logs.LOGS", "ls": "ps.PS", "list": "ps.PS", "ps": "ps.PS"},
    ),
    "image": (
        "Manage images",
        {name: COMMANDS[name] for name in ("import", "pull", "tag")}
        | {"inspect": "inspect.IMAGE", "ls": "images.IMAGES", "list": "images.IMAGES"}
        | {"rm": "images.RMI", "remove": "images.RMI"},
    ),
    "system": (
        "Manage minidock",
        {"events": "system.EVENTS", "info": "system.INFO", "stop": "system.STOP"},
    ),
}

GLOBAL_FLAGS = (
    Flag("host", "H", "list", "Daemon socket to connect to (default unix:///run/minidock.sock)"),
    Flag("version", "v", "bool", "Print version information and quit"),
    Flag("debug", "D", "bool", "Show where an error came from"),
)


def main() -> NoReturn:
    """The entry point: parse, run, say what went wrong in one line, exit."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        die_of_broken_pipe()
    # Nothing is left to be done by destructors; the interpreter's own farewell takes milliseconds.
    sys.stderr.flush()
    os._exit(code)


def die_of_broken_pipe() -> NoReturn:
    """End as a program ends whose reader has gone: ``minidock ps | head -1``."""
    from minidock.client import streams

    streams.die_of_broken_pipe()


def run(words: list[str]) -> int:
    """Run the command that ``words`` name. Returns the exit code; prints every error."""
    debug = False
    try:
        flags, rest = parse_flags((*GLOBAL_FLAGS, HELP), words, interspersed=False)
        debug = flags["debug"]
        if flags["version"]:
            from minidock.client.commands.system import own_version

            print(f"minidock version {own_version()}")
            return 0
        if flags["help"] or not rest:
            print(_overview())
            return 0
        return _dispatch(Context(flags["host"]), rest)
    except (InvalidFlag, InvalidArguments) as error:
        prefix = "minidock: " if isinstance(error, InvalidArguments) else ""
        print(f"{prefix}{error} (see 'minidock {_command_name(words)}--help')", file=sys.stderr)
        return error.exit_code
    except MinidockError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        return error.exit_code if error.exit_code != 125 else 1
    except BrokenPipeError:
        die_of_broken_pipe()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        if debug:
            raise
        print(f"minidock: {error}", file=sys.stderr)
        return 1


def _dispatch(context: Context, words: list[str]) -> int:
    name, rest = words[0], words[1:]
    if name == "__complete":
        from minidock.client import completion

        print("\n".join(completion.candidates(context, rest)))
        return 0
    if name == "help":
        return run([*rest, "--help"])
    if name == "registry":
        # A program of its own: it needs no daemon, and the client imports nothing of it.
        os.execv(sys.executable, [sys.executable, "-m", "minidock.registry.server", *rest])
    if name in GROUPS:
        return _dispatch_group(context, name, rest)
    if name not in COMMANDS:
        raise InvalidArguments(f"unknown command: minidock {name}")
    return _run(context, load(COMMANDS[name]), rest)


def _dispatch_group(context: Context, group: str, words: list[str]) -> int:
    summary, places = GROUPS[group]
    if not words or words[0] in ("--help", "-h"):
        listing = [f"  {name:<12}{load(places[name]).summary}" for name in sorted(places)]
        print("\n".join([f"Usage:  minidock {group} COMMAND", "", summary, "", "Commands:", *listing]))
        return 0
    if words[0] not in places:
        raise InvalidArguments(f"unknown command: minidock {group} {words[0]}")
    return _run(context, load(places[words[0]]), words[1:])


def _run(context: Context, command: Command, words: list[str]) -> int:
    flags, arguments = parse(command, words)
    if flags["help"]:
        print(usage(command))
        return 0
    return command.run(context, flags, arguments)


def load(place: str) -> Command:
    """Import a command."""
    module, _, name = place.partition(".")
    command: Command = getattr(importlib.import_module(f"minidock.client.commands.{module}"), name)
    return command


def _command_name(words: list[str]) -> str:
    """``run ``, or nothing when the words name no command: to say whose help may help."""
    try:
        _, rest = parse_flags((*GLOBAL_FLAGS, HELP), words, interspersed=False)
    except InvalidFlag:
        return ""
    if rest and rest[0] in GROUPS:
        known = len(rest) > 1 and rest[1] in GROUPS[rest[0]][1]
        return f"{rest[0]} {rest[1]} " if known else f"{rest[0]} "
    return f"{rest[0]} " if rest and rest[0] in COMMANDS else ""


def _overview() -> str:
    lines = ["Usage:  minidock [OPTIONS] COMMAND", "", "Docker, small enough to read in a week", "", "Commands:"]
    lines += [f"  {name:<12}{load(place).summary}" for name, place in COMMANDS.items()]
    lines += ["", "Management Commands:"]
    lines += [f"  {name:<12}{summary}" for name, (summary, _) in GROUPS.items()]
    lines += ["  registry    Serve a registry of your own"]
    lines += ["", "Global Options:", *describe(GLOBAL_FLAGS)]
    return "\n".join([*lines, "", "Run 'minidock COMMAND --help' for more information on a command."])
