"""The instructions that change nothing but the image's configuration: ENV, LABEL, EXPOSE, USER, CMD …

:func:`apply` is a function from one configuration to the next. ``docker commit --change`` and ``docker import
--change`` use it as well.

Source: moby, builder/dockerfile/dispatchers.go (the classic builder), whose words stand in the history too.
"""

from __future__ import annotations

import json
import posixpath
import re
import signal
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from minidock import units
from minidock.build import syntax
from minidock.build.syntax import Command, Instruction
from minidock.errors import InvalidInput
from minidock.oci.image import ContainerDefaults, Healthcheck

SHELL = ["/bin/sh", "-c"]
_SHORTEST = 1_000_000
"""In nanoseconds: what a health check's times must at least be."""

Expand = Callable[[str], str]


def apply(instruction: Instruction, config: ContainerDefaults, expand: Expand) -> tuple[ContainerDefaults, str]:
    """The configuration after ``instruction``, and how the image's history tells of it.

    Raises InvalidInput, also for an instruction that does more than that.
    """
    change, told = _change(instruction, config, expand)
    return msgspec.structs.replace(config, **change), f"{instruction.keyword} {told}"


def _change(instruction: Instruction, config: ContainerDefaults, expand: Expand) -> tuple[dict[str, Any], str]:
    match instruction:
        case syntax.Env(pairs=pairs):
            added = [f"{expand(name)}={expand(value)}" for name, value in pairs]
            return {"env": with_variables(config.env, added)}, " ".join(added)
        case syntax.Label(pairs=pairs):
            labels = {expand(name): expand(value) for name, value in pairs}
            return {"labels": config.labels | labels}, " ".join(f"{name}={value}" for name, value in labels.items())
        case syntax.Expose(ports=words):
            texts = [text for word in words for text in expand(word).split()]
            ports: dict[str, Any] = {port: {} for text in texts for port in _ports(text)}
            return {"exposed_ports": config.exposed_ports | ports}, " ".join(sorted(texts))
        case syntax.Volume(paths=words):
            paths = [expand(word) for word in words]
            return {"volumes": config.volumes | {path: {} for path in paths}}, f"[{' '.join(paths)}]"
        case syntax.User(value=value):
            return {"user": expand(value)}, expand(value)
        case syntax.Workdir(value=value):
            path = absolute(expand(value), config)
            return {"working_dir": path}, path
        case syntax.StopSignal(value=value):
            return {"stop_signal": _signal(expand(value))}, expand(value)
        case syntax.OnBuild(value=value):
            trigger = value + "".join(["\n" * bool(instruction.heredocs), *map(str, instruction.heredocs)])
            return {"on_build": [*config.on_build, trigger]}, value
        case syntax.Cmd(command=command):
            line = command_line(command, config)
            return {"cmd": line}, _quoted(line)
        case syntax.Entrypoint(command=command):
            line = command_line(command, config)
            return {"entrypoint": line}, _quoted(line)
        case syntax.Shell(command=command):
            return {"shell": list(command.words)}, f"[{' '.join(command.words)}]"
        case syntax.HealthCheck():
            return {"healthcheck": _health(instruction)}, instruction.arguments()
    raise InvalidInput(f"{instruction.keyword} is not a valid change command")


def with_variables(env: Sequence[str], added: Sequence[str]) -> list[str]:
    """``env`` with some entries ``name=value`` more; one that was there before is replaced at its place."""
    return [f"{name}={value}" for name, value in variables([*env, *added]).items()]


def variables(env: Sequence[str]) -> dict[str, str]:
    """Entries ``name=value`` as a dict; of two with one name the later one counts."""
    return dict(entry.partition("=")[::2] for entry in env)


def absolute(path: str, config: ContainerDefaults) -> str:
    """``path`` from the root, clean; a relative one counts from the working directory."""
    if not path:
        raise InvalidInput("cannot normalize nothing")
    clean = posixpath.normpath(posixpath.join("/", config.working_dir, path))
    return clean[1:] if clean.startswith("//") else clean


def destination(path: str, config: ContainerDefaults) -> str:
    """The same of where files are copied to: a slash at its end says that it is written as a directory."""
    is_directory = path.endswith(("/", "/.")) or path == "."
    return absolute(path, config).rstrip("/") + "/" if is_directory else absolute(path, config)


def command_line(command: Command, config: ContainerDefaults) -> list[str]:
    """The words that are run: a command in shell form is run by the shell."""
    return [*(config.shell or SHELL), command.words[0]] if command.shell else list(command.words)


def _quoted(words: list[str]) -> str:
    return f"[{' '.join(json.dumps(word) for word in words)}]"


def _ports(text: str) -> list[str]:
    """``80``, ``80/udp`` and ``8000-8002`` as ``80/tcp`` and so on. A host's port before a colon means nothing here."""
    numbers, slash, protocol = text.rpartition(":")[2].partition("/")
    first, dash, last = numbers.partition("-")
    last = last if dash else first
    if not (units.is_number(first) and units.is_number(last) and 0 < int(first) <= int(last) < 65536):
        raise InvalidInput(f"Invalid containerPort: {numbers}")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise InvalidInput(f"invalid proto: {protocol}")
    return [f"{number}/{protocol}" for number in range(int(first), int(last) + 1)]


def _signal(text: str) -> str:
    name = re.sub(r"[+-]\d+$", "", text.upper().removeprefix("SIG"))
    if f"SIG{name}" in signal.Signals.__members__ or (units.is_number(text) and 1 <= int(text) <= signal.SIGRTMAX):
        return text
    raise InvalidInput(f"Invalid signal: {text}")


def _health(check: syntax.HealthCheck) -> Healthcheck:
    if check.command is None:
        return Healthcheck(test=["NONE"])
    kind = "CMD-SHELL" if check.command.shell else "CMD"
    if check.retries and not units.is_number(check.retries):
        raise InvalidInput(f"--retries must be a whole number, not {check.retries!r}")
    return Healthcheck(
        test=[kind, *check.command.words],
        interval=_time("interval", check.interval),
        timeout=_time("timeout", check.timeout),
        start_period=_time("start-period", check.start_period),
        start_interval=_time("start-interval", check.start_interval),
        retries=int(check.retries or 0),
    )


def _time(name: str, text: str) -> int:
    value = units.parse_duration(text) if text else 0
    if value < 0 or 0 < value < _SHORTEST:
        raise InvalidInput(f"Interval {name!r} cannot be less than 1ms")
    return value
