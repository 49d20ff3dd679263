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
from minidock.client.flags import HELP, Command, parse, parse_flags, table
from minidock.errors import InvalidArguments, InvalidFlag, MinidockError

# Where each command lives: module and name within minidock.client.commands. Several names may lead to one place.
COMMANDS = {
    "attach": "run.ATTACH",
    "build": "build.BUILD",
    "commit": "archives.COMMIT",
    "completion": "system.COMPLETION",
    "cp": "copy.CP",
    "create": "run.CREATE",
    "diff": "looking.DIFF",
    "events": "events.EVENTS",
    "exec": "exec.EXEC",
    "export": "archives.EXPORT",
    "history": "history.HISTORY",
    "images": "images.IMAGES",
    "import": "archives.IMPORT",
    "info": "system.INFO",
    "inspect": "inspect.INSPECT",
    "kill": "containers.KILL",
    "load": "archives.LOAD",
    "login": "registry.LOGIN",
    "logout": "registry.LOGOUT",
    "logs": "logs.LOGS",
    "pause": "containers.PAUSE",
    "port": "looking.PORT",
    "ps": "ps.PS",
    "pull": "images.PULL",
    "push": "registry.PUSH",
    "rename": "containers.RENAME",
    "restart": "containers.RESTART",
    "rm": "containers.RM",
    "rmi": "images.RMI",
    "run": "run.RUN",
    "save": "archives.SAVE",
    "search": "registry.SEARCH",
    "start": "run.START",
    "stats": "stats.STATS",
    "stop": "containers.STOP",
    "tag": "images.TAG",
    "top": "looking.TOP",
    "unpause": "containers.UNPAUSE",
    "update": "update.UPDATE",
    "version": "system.VERSION",
    "wait": "containers.WAIT",
}


def _also(names: str, **more: str) -> dict[str, str]:
    """A group's commands: those that have a name of their own too, and ``more``."""
    return {name: COMMANDS[name] for name in names.split()} | more


# A group's name: what its help says, and its commands. Docker lists a command's names in the order of the groups here,
# with the name that needs no group before those of "system".
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "container": (
        "Manage containers",
        _also("attach commit cp create diff exec export kill logs pause port rename restart rm run start stats stop")
        | _also("top unpause update wait", inspect="inspect.CONTAINER", ls="ps.PS")
        | {"list": "ps.PS", "ps": "ps.PS", "prune": "prune.CONTAINERS", "remove": "containers.RM"},
    ),
    "image": (
        "Manage images",
        _also("build history import load pull push save tag", inspect="inspect.IMAGE", ls="images.IMAGES")
        | {"list": "images.IMAGES", "prune": "prune.IMAGES", "rm": "images.RMI", "remove": "images.RMI"},
    ),
    "network": (
        "Manage networks",
        {name: f"networks.{name.upper()}" for name in ("connect", "create", "disconnect", "ls", "rm")}
        | {"list": "networks.LS", "remove": "networks.RM", "inspect": "inspect.NETWORK", "prune": "prune.NETWORKS"},
    ),
    "volume": (
        "Manage volumes",
        {name: f"volumes.{name.upper()}" for name in ("create", "ls", "rm")}
        | {"list": "volumes.LS", "remove": "volumes.RM", "inspect": "inspect.VOLUME", "prune": "prune.VOLUMES"},
    ),
    "system": (
        "Manage minidock",
        _also("events info", df="disk.DF", prune="prune.SYSTEM", stop="system.STOP")
        | {"dial-stdio": "system.DIAL_STDIO"},
    ),
    "context": (
        "Manage contexts",
        {name: f"contexts.{name.upper()}" for name in ("create", "inspect", "ls", "rm", "show", "update", "use")}
        | {name: f"context_archives.{name.upper()}" for name in ("export", "import")}
        | {"list": "contexts.LS", "remove": "contexts.RM"},
    ),
    "manifest": (
        "Manage Docker image manifests and manifest lists",
        {name: f"manifest.{name.upper()}" for name in ("annotate", "create", "inspect", "push", "rm")},
    ),
    "builder": ("Manage builds", _also("build", prune="prune.BUILDER")),
}

GLOBAL_FLAGS = table("""
        --config string      Location of client config files (default "~/.docker")
    -c, --context string     Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and
                             default context set with "minidock context use")
    -D, --debug              Show where an error came from
    -H, --host list          Daemon socket to connect to
    -l, --log-level string   Set the logging level ("debug", "info", "warn", "error", "fatal") (default "info")
        --tls                Use TLS; implied by --tlsverify
        --tlscacert string   Trust certs signed only by this CA (default "~/.docker/ca.pem")
        --tlscert string     Path to TLS certificate file (default "~/.docker/cert.pem")
        --tlskey string      Path to TLS key file (default "~/.docker/key.pem")
        --tlsverify          Use TLS and verify the remote
    -v, --version            Print version information and quit
""")


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
        return _dispatch(Context(flags), rest)
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

        print("\n".join(completion.candidates(rest)))
        return 0
    if name == "help":
        return run([*rest, "--help"])
    if name == "registry":
        # A program of its own: it needs no daemon, and the client imports nothing of it.
        os.execv(sys.executable, [sys.executable, "-I", "-m", "minidock.registry.server", *rest])
    if name in GROUPS:
        return _dispatch_group(context, name, rest)
    if name not in COMMANDS:
        raise InvalidArguments(f"unknown command: minidock {name}")
    return _run(context, load(COMMANDS[name])._replace(name=name), rest)


def _dispatch_group(context: Context, group: str, words: list[str]) -> int:
    summary, places = GROUPS[group]
    if not words or words[0] in ("--help", "-h"):
        lines = [f"Usage:  minidock {group} COMMAND", "", summary, "", "Commands:", *_listing(places), ""]
        print("\n".join([*lines, f"Run 'minidock {group} COMMAND --help' for more information on a command."]))
        return 0
    if words[0] not in places:
        raise InvalidArguments(f"unknown command: minidock {group} {words[0]}")
    name = next(name for name, place in places.items() if place == places[words[0]])  # "ls", also for "list"
    return _run(context, load(places[name])._replace(name=f"{group} {name}"), words[1:])


def _run(context: Context, command: Command, words: list[str]) -> int:
    flags, arguments = parse(command, words)
    if flags["help"]:
        from minidock.client.usage import usage

        print(usage(command, _names(command.name)))
        return 0
    return command.run(context, flags, arguments)


def load(place: str) -> Command:
    """Import a command."""
    module, _, name = place.partition(".")
    command: Command = getattr(importlib.import_module(f"minidock.client.commands.{module}"), name)
    return command


def _names(name: str) -> list[str]:
    """Every name of the command that is called ``name``, or nothing when that is the only one."""
    group, _, word = name.rpartition(" ")
    place = (GROUPS[group][1] if group else COMMANDS)[word]
    names = [f"{group} {word}" for group, (_, places) in GROUPS.items() for word in places if places[word] == place]
    alone = [word for word in COMMANDS if COMMANDS[word] == place]
    after = sum(name.startswith(("container ", "image ", "network ", "volume ", "system ")) for name in names)
    names[after:after] = alone
    return names if len(names) > 1 else []


def _listing(places: dict[str, str]) -> list[str]:
    """One line for each command, by its first name."""
    first = {place: name for name, place in reversed(places.items())}
    return [f"  {name:<11} {load(place).summary}" for place, name in sorted(first.items(), key=lambda item: item[1])]


def _command_name(words: list[str]) -> str:
    """``run`` and a space, or nothing when the words name no command: to say whose help may help."""
    try:
        _, rest = parse_flags((*GLOBAL_FLAGS, HELP), words, interspersed=False)
    except InvalidFlag:
        return ""
    if rest and rest[0] in GROUPS:
        known = len(rest) > 1 and rest[1] in GROUPS[rest[0]][1]
        return f"{rest[0]} {rest[1]} " if known else f"{rest[0]} "
    return f"{rest[0]} " if rest and rest[0] in COMMANDS else ""


def _overview() -> str:
    from minidock.client.usage import describe

    lines = ["Usage:  minidock [OPTIONS] COMMAND", "", "Docker, written to be read", "", "Commands:"]
    lines += _listing(COMMANDS)
    lines += ["", "Management Commands:"]
    lines += [f"  {name:<11} {summary}" for name, (summary, _) in sorted(GROUPS.items())]
    lines += ["  registry    Serve a registry of your own"]
    lines += ["", "Global Options:", *describe(GLOBAL_FLAGS)]
    return "\n".join([*lines, "", "Run 'minidock COMMAND --help' for more information on a command."])
