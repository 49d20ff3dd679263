"""The daemon's options: the command line and a configuration file with the same names, as dockerd has them.

What is said in both places is a conflict, and an unknown name is an error: a typing mistake in the file that opens the
daemon to the network must not pass silently.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from minidock import units
from minidock.errors import InvalidInput
from minidock.messages import DEFAULT_HOST
from minidock.networks.addresses import parse_subnet6

DEFAULT_CONFIG_FILE = Path("/etc/minidock/daemon.json")
CGROUP_DRIVER = "native.cgroupdriver"
CGROUP_DRIVERS = ("cgroupfs", "systemd")
LOG_LEVELS = ("debug", "info", "warn", "error")


@dataclass
class Config:
    """How one daemon runs. Two daemons with different roots, bridges and hosts do not disturb each other."""

    hosts: list[str] = field(default_factory=lambda: [DEFAULT_HOST])
    data_root: Path = Path("/var/lib/minidock")
    exec_root: Path = Path("/run/minidock")
    log_level: str = "info"
    bridge: str = "minidock0"
    bip: str = ""
    ipv6: bool = False
    fixed_cidr_v6: str = ""
    default_address_pools: list[str] = field(default_factory=list)
    group: str = "minidock"
    insecure_registries: list[str] = field(default_factory=list)
    registry_mirrors: list[str] = field(default_factory=list)
    trusted_realms: list[str] = field(default_factory=list)
    live_restore: bool = False
    exec_opts: list[str] = field(default_factory=list)
    tlsverify: bool = False
    tlscacert: str = ""
    tlscert: str = ""
    tlskey: str = ""
    insecure_tcp_without_authentication: bool = False
    log_driver: str = "json-file"
    log_opts: dict[str, Any] = field(default_factory=dict)
    runtimes: dict[str, Any] = field(default_factory=dict)
    """Other OCI runtimes by name: ``{"crun": {"path": "/usr/bin/crun"}}``; only in the file."""
    builder: dict[str, Any] = field(default_factory=dict)
    """``{"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}``, as dockerd has it; only in the file."""

    def build_cache_limit(self) -> int | None:
        """How many bytes builds may keep; without a wish a tenth of the disk, None: as many as they like."""
        wish = self.builder.get("gc", {})
        if not wish.get("enabled", True):
            return None
        if wish.get("defaultKeepStorage"):
            return units.parse_size(wish["defaultKeepStorage"])
        disk = os.statvfs(self.data_root)
        return disk.f_blocks * disk.f_frsize // 10

    @property
    def cgroup_driver(self) -> str:
        """Who makes containers' cgroups: we (``cgroupfs``) or ``systemd``, at our request."""
        return dict(option.partition("=")[::2] for option in self.exec_opts).get(CGROUP_DRIVER, "cgroupfs")


def load(arguments: list[str] | None = None) -> Config:
    """Read the command line and the configuration file. Raises InvalidInput; ``--help`` exits."""
    flags = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    file = flags.pop("config_file", None)
    if "log_opts" in flags:
        flags["log_opts"] = dict(option.partition("=")[::2] for option in flags["log_opts"])
    said = _read_file(file or DEFAULT_CONFIG_FILE, required=file is not None)
    conflicts = [
        f"{_option(name)}: (from flag: {flags[name]}, from file: {said[name]})" for name in said if name in flags
    ]
    if conflicts:
        raise InvalidInput(
            "the following directives are specified both as a flag and in the configuration file: "
            + ", ".join(conflicts)
        )
    config = Config(**(said | flags))
    config.data_root, config.exec_root = Path(config.data_root).absolute(), Path(config.exec_root).absolute()
    _check(config)
    return config


class _Parser(argparse.ArgumentParser):
    """A wrong flag gets one line, not the list of all that there are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see '{self.prog} --help')\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="minidockd", description="The minidock daemon.", allow_abbrev=False)
    add = parser.add_argument
    add("-H", "--host", dest="hosts", action="append", metavar="URL", help="unix://PATH, tcp://ADDRESS:PORT or fd://")
    add("--data-root", metavar="DIR", help="images, containers and records (/var/lib/minidock)")
    add("--exec-root", metavar="DIR", help="running state (/run/minidock)")
    add("-l", "--log-level", choices=LOG_LEVELS)
    add("--bridge", metavar="NAME", help='the default network\'s bridge (minidock0), or "none"')
    add("--bip", metavar="CIDR", help="the bridge's address and the network's size, such as 172.20.0.1/16 (a free one)")
    add("--ipv6", action="store_const", const=True, help="the default network has IPv6 addresses too")
    add("--fixed-cidr-v6", metavar="CIDR", help="and they are in this subnet, such as fd12::/64 (a free one)")
    pools = "where new networks' subnets come from, such as base=10.10.0.0/16,size=24"
    add("--default-address-pool", dest="default_address_pools", action="append", metavar="POOL", help=pools)
    add("-G", "--group", help="who besides root may use the unix socket (minidock)")
    add("--insecure-registry", dest="insecure_registries", action="append", metavar="HOST[:PORT] or CIDR")
    add("--registry-mirror", dest="registry_mirrors", action="append", metavar="URL", help="a mirror of Docker Hub")
    realms = "a registry's token server on another host, which may see the registry's passwords"
    add("--trusted-realm", dest="trusted_realms", action="append", metavar="HOST[:PORT]", help=realms)
    drivers = "native.cgroupdriver=cgroupfs|systemd: who makes cgroups, this daemon (the default) or systemd"
    add("--exec-opt", dest="exec_opts", action="append", metavar="NAME=VALUE", help=drivers)
    add("--live-restore", action="store_const", const=True, help="stopping the daemon leaves containers running")
    add("--tlsverify", action="store_const", const=True, help="TLS on every tcp:// host, and clients show certificates")
    add("--tlscacert", metavar="FILE", help="who must have signed the clients' certificates")
    add("--tlscert", metavar="FILE", help="the daemon's own certificate")
    add("--tlskey", metavar="FILE", help="and its key")
    insecure = "listen on any tcp:// address: whoever reaches it is root on this machine"
    add("--insecure-tcp-without-authentication", action="store_const", const=True, help=insecure)
    add("--log-driver", metavar="NAME", help="where output is kept unless a container says otherwise (json-file)")
    add("--log-opt", dest="log_opts", action="append", metavar="KEY=VALUE", help="an option of that log driver")
    add("--config-file", type=Path, metavar="FILE", help=f"a JSON file with the same names ({DEFAULT_CONFIG_FILE})")
    return parser


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(), object_pairs_hook=_without_repetition)
    except FileNotFoundError:
        if required:
            raise InvalidInput(f"{path}: no such configuration file") from None
        return {}
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}: line {error.lineno}, column {error.colno}: {_not_json(error)}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from None
    except RecursionError:
        raise InvalidInput(f"{path}: not JSON that anybody means: nested too deeply") from None
    if not isinstance(document, dict):
        raise InvalidInput(f'{path}: not a JSON object, such as {{"log-level": "debug"}}')
    defaults = {_option(item.name): (item.name, getattr(Config(), item.name)) for item in fields(Config)}
    unknown = sorted(set(document) - set(defaults))
    if unknown:
        raise InvalidInput(
            f"{path}: the following directives don't match any configuration option: {', '.join(unknown)}"
        )
    said: dict[str, Any] = {}
    for option, value in document.items():
        name, default = defaults[option]
        value = _pools(value) if name == "default_address_pools" else value
        wanted = str if isinstance(default, Path) else type(default)
        texts = not isinstance(value, list) or all(isinstance(item, str) for item in value)
        if type(value) is not wanted or not texts:
            raise InvalidInput(f"{path}: {option} must be {_KINDS[wanted]}, not {json.dumps(value)[:60]}")
        said[name] = value
    return said


_KINDS: dict[type, str] = {str: "a string", bool: "true or false", list: "a list of strings", dict: "an object"}


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the file: of two values of one name it would be chance which is meant. Raises InvalidInput."""
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise InvalidInput(f"{name} is there twice")
        document[name] = value
    return document


def _not_json(error: json.JSONDecodeError) -> str:
    """What is wrong at that place: what people write by mistake is called by its name."""
    rest = error.doc[error.pos :].lstrip()
    before = error.doc[: error.pos].rstrip()
    if not rest:
        return "the file ends too early" if before else "the file is empty"
    if rest.startswith(("//", "#", "/*")):
        return "JSON has no comments"
    after = rest.lstrip(",").lstrip()[:1]  # Python 3.13 points to the comma, older ones behind it
    if after in ("}", "]") and (rest.startswith(",") or before.endswith(",")):
        return f"a comma too many before the {after}"
    if rest[0] == "'":
        return "JSON's strings are in double quotes"
    if "Extra data" in error.msg:
        return f"there is more after the end of the JSON: {rest[0]}"
    if "delimiter" in error.msg:
        return f"a {error.msg.split()[1][1]} is missing before {rest.split()[0][:20]}"
    if "property name" in error.msg:
        return f"a name in double quotes has to stand here, not {rest.split()[0][:20]}"
    if "string" in error.msg or "control" in error.msg:
        return "a string does not end on its line"
    return f"not JSON: {rest.split()[0][:20]}"


def _pools(value: Any) -> Any:
    """The file says ``{"base": …, "size": …}`` where the command line says ``base=…,size=…``, as with Docker."""
    if not isinstance(value, list):
        return value
    return [
        ",".join(f"{key}={word}" for key, word in item.items()) if isinstance(item, dict) else item for item in value
    ]


def _option(name: str) -> str:
    return name.replace("_", "-")


def _check(config: Config) -> None:
    for host in config.hosts:
        check_host(config, host)
    if config.tlsverify and not (config.tlscacert and config.tlscert and config.tlskey):
        raise InvalidInput("--tlsverify needs --tlscacert, --tlscert and --tlskey")
    for name, value in config.log_opts.items():
        if not isinstance(value, str):
            raise InvalidInput(f"log-opts: {name} must be a string")
    for name, runtime in config.runtimes.items():
        if not isinstance(runtime, dict) or not isinstance(runtime.get("path"), str) or not runtime["path"]:
            raise InvalidInput(f'runtimes: {name} needs a path, as in {{"{name}": {{"path": "/usr/bin/{name}"}}}}')
    _check_builder(config.builder)
    if config.log_level not in LOG_LEVELS:
        raise InvalidInput(f"log-level {config.log_level!r} is none of {', '.join(LOG_LEVELS)}")
    for option in config.exec_opts:
        name, _, value = option.partition("=")
        if name != CGROUP_DRIVER or value not in CGROUP_DRIVERS:
            raise InvalidInput(f"exec-opt {option!r} is not {CGROUP_DRIVER}={' or '.join(CGROUP_DRIVERS)}")
    try:
        ipaddress.IPv4Interface(config.bip or "172.17.0.1/16")
    except ValueError as error:
        raise InvalidInput(f"bip {config.bip!r}: {error}") from None
    if config.fixed_cidr_v6:
        if not config.ipv6:
            raise InvalidInput("--fixed-cidr-v6 needs --ipv6")
        parse_subnet6(config.fixed_cidr_v6)


def _check_builder(builder: dict[str, Any]) -> None:
    known = {"enabled": bool, "defaultKeepStorage": str}
    wish = builder.get("gc", {})
    if set(builder) - {"gc"} or not isinstance(wish, dict) or any(type(wish[x]) is not known.get(x) for x in wish):
        raise InvalidInput('builder is {"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}: nothing else is known')
    units.parse_size(wish.get("defaultKeepStorage") or "0")


def check_host(config: Config, host: str) -> None:
    """Whoever reaches the API is root on this machine: clients on other machines have to show who they are.

    Raises InvalidInput.
    """
    place = parse_host(host)
    if place is None or isinstance(place, Path) or ipaddress.ip_address(place[0]).is_loopback:
        return
    if not config.tlsverify and not config.insecure_tcp_without_authentication:
        raise InvalidInput(
            f"host {host!r} would give root on this machine to whoever can reach it: use unix://, tcp://127.0.0.1, "
            "or --tlsverify with --tlscacert, --tlscert and --tlskey (or --insecure-tcp-without-authentication)"
        )


def parse_host(host: str) -> Path | tuple[str, int] | None:
    """Where to listen: a unix socket's path, or an address and a port (2375). None: on systemd's sockets (``fd://``).

    Raises InvalidInput.
    """
    if host == "fd://":
        return None
    url = urlsplit(host)
    if url.scheme == "unix" and url.path and not url.netloc:
        return Path(url.path)
    if url.scheme != "tcp" or not url.hostname:
        raise InvalidInput(f"host {host!r} is none of unix:///PATH, tcp://ADDRESS:PORT and fd://")
    try:
        address, port = ipaddress.ip_address(url.hostname.replace("localhost", "127.0.0.1")), url.port
    except ValueError:
        raise InvalidInput(f"host {host!r}: not an address and a port") from None
    return str(address), 2375 if port is None else port
