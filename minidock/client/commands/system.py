"""About the daemon: ``version``, ``info``, ``system stop``, ``system dial-stdio``; and the shell's ``completion``."""

from __future__ import annotations

import platform
import sys
from typing import Any

from minidock.client.context import Context
from minidock.client.flags import Command, Flags
from minidock.client.go_types import typed
from minidock.client.listing import VIEW
from minidock.client.template import parse_format
from minidock.client.template_functions import TemplateError, to_json
from minidock.errors import InvalidArguments, MinidockError
from minidock.units import bytes_size


def own_version() -> str:
    """This package's version."""
    from importlib.metadata import version  # slow to import

    return version("minidock")


def formatted(name: str, form: str, document: dict[str, Any], kind: str = "any") -> str:
    """A document through a template, or as JSON. ``kind`` is the Go type that it has. Raises TemplateError."""
    if form == "json":
        return to_json(document)
    template = parse_format(form, name)
    try:
        return template.render(typed(document, kind))
    except TemplateError as error:
        try:
            return template.render(document)
        except TemplateError as plainer:
            raise (error if kind != "any" else plainer) from None


def version(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock version``: the client's always, the daemon's when it answers."""
    client = {"Version": own_version(), "ApiVersion": "", "PythonVersion": platform.python_version()}
    client |= {"Os": sys.platform, "Arch": platform.machine()}
    document: dict[str, Any] = {"Client": client, "Server": None}
    failure = None
    try:
        document["Server"] = context.client.request("GET", "/version").json()
        client["ApiVersion"] = context.client.version
    except MinidockError as error:
        failure = error
    if flags["format"]:
        print(formatted("version", flags["format"], document, "system.versionInfo"))
    else:
        print(_version_text(document))
    if failure:
        raise failure
    return 0


def _version_text(document: dict[str, Any]) -> str:
    client, server = document["Client"], document["Server"]
    lines = [
        "Client: minidock",
        f" Version:           {client['Version']}",
        f" API version:       {client['ApiVersion'] or 'unknown'}",
        f" Python version:    {client['PythonVersion']}",
        f" OS/Arch:           {client['Os']}/{client['Arch']}",
    ]
    if not server:
        return "\n".join(lines)
    lines += ["", "Server:"]
    for component in server.get("Components") or []:
        details = component.get("Details") or {}
        lines += [f" {component['Name']}:", f"  {'Version:':<17}{component['Version']}"]
        if "ApiVersion" in details:
            api = f"{details['ApiVersion']} (minimum version {details.get('MinAPIVersion', '')})"
            lines += [f"  {'API version:':<17}{api}"]
        lines += [
            f"  {label + ':':<17}{details[name]}"
            for name, label in (
                ("PythonVersion", "Python version"),
                ("GoVersion", "Go version"),
                ("GitCommit", "Git commit"),
            )
            if details.get(name)
        ]
        if "Os" in details:
            lines += [f"  {'OS/Arch:':<17}{details['Os']}/{details.get('Arch', '')}"]
    return "\n".join(lines)


def info(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock info``: what the daemon runs on, and what it lacks."""
    document = context.client.request("GET", "/info").json()
    if flags["format"]:
        print(formatted("", flags["format"], document))
        return 0
    print("\n".join([f"Client: minidock\n Version:    {own_version()}\n", "Server:", *_info_lines(document)]))
    for warning in document.get("Warnings") or []:
        print(warning, file=sys.stderr)
    return 0


def _info_lines(info: dict[str, Any]) -> list[str]:
    lines = [f" Containers: {info['Containers']}"]
    lines += [f"  {state}: {info[f'Containers{state}']}" for state in ("Running", "Paused", "Stopped")]
    lines += [f" Images: {info['Images']}", f" Server Version: {info['ServerVersion']}"]
    lines += [f" Storage Driver: {info['Driver']}"]
    lines += [f"  {name}: {value}" for name, value in info.get("DriverStatus") or []]
    for label, name in (
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
    ):
        lines += [f" {label}: {info[name]}"] if info.get(name) else []
    if plugins := info.get("Plugins"):
        lines += [" Plugins:"]
        lines += [
            f"  {kind}: {' '.join(plugins[kind] or [])}" for kind in ("Volume", "Network", "Log") if plugins.get(kind)
        ]
    lines += [
        f" Runtimes: {' '.join(sorted(info.get('Runtimes') or {}))}",
        f" Default Runtime: {info.get('DefaultRuntime')}",
    ]
    if options := info.get("SecurityOptions"):
        lines += [" Security Options:", *_security_lines(options)]
    memory = bytes_size(info.get("MemTotal", 0))
    for label, value in (
        ("Kernel Version", info.get("KernelVersion")),
        ("Operating System", info.get("OperatingSystem")),
        ("OSType", info.get("OSType")),
        ("Architecture", info.get("Architecture")),
        ("CPUs", info.get("NCPU")),
        ("Total Memory", memory),
        ("Name", info.get("Name")),
        ("ID", info.get("ID")),
        ("Docker Root Dir", info.get("DockerRootDir")),
        ("Debug Mode", str(bool(info.get("Debug"))).lower()),
    ):
        lines += [f" {label}: {value}"]
    config = info.get("RegistryConfig") or {}
    names = [name for name, index in (config.get("IndexConfigs") or {}).items() if not index["Secure"]]
    registries = [*names, *(config.get("InsecureRegistryCIDRs") or [])]
    lines += [" Insecure Registries:", *(f"  {network}" for network in registries)] if registries else []
    return [*lines, f" Live Restore Enabled: {str(bool(info.get('LiveRestoreEnabled'))).lower()}"]


def _security_lines(options: list[str]) -> list[str]:
    """``name=seccomp,profile=builtin`` over two lines."""
    lines = []
    for option in options:
        pairs = [pair.partition("=") for pair in option.split(",")]
        lines += [f"  {value}" for name, _, value in pairs if name == "name"]
        lines += [f"   {name.title()}: {value}" for name, _, value in pairs if name != "name"]
    return lines


def stop(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock system stop``: end the daemon, and wait until it has ended."""
    from minidock.client import autostart

    pid = autostart.stop(context.address)
    print(f"minidock: stopped the daemon (pid {pid})", file=sys.stderr)
    return 0


def completion(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock completion bash``: what a shell needs to complete minidock's words."""
    from minidock.client.completion import SCRIPTS

    if arguments[0] not in SCRIPTS:
        raise InvalidArguments(f"unknown shell: {arguments[0]}: must be one of {', '.join(SCRIPTS)}")
    print(SCRIPTS[arguments[0]])
    return 0


def dial_stdio(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock system dial-stdio``: standard input and output become a connection to the daemon.

    What a client with ``-H ssh://machine`` runs on that machine.
    """
    from minidock.client import terminal
    from minidock.client.connection import Hijacked
    from minidock.client.session import Session
    from minidock.client.streams import Raw

    session = Session(Hijacked(context.client.address.connect(), b""), tty=False, stdin=True)
    session.output = Raw(terminal.STDOUT)
    with session.open():
        session.run()
    return 0


VERSION = Command("version", "[OPTIONS]", "Show the minidock version information", version, (VIEW,))
INFO = Command("info", "[OPTIONS]", "Display system-wide information", info, (VIEW,))
STOP = Command("system stop", "", "Stop the daemon", stop)
DIAL_STDIO = Command(
    "system dial-stdio",
    "",
    "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
    dial_stdio,
)
COMPLETION = Command("completion", "bash|zsh|fish", "Generate the autocompletion script for a shell", completion)
