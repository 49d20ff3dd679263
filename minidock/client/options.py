"""The flags that ``run`` and ``create`` share, and the request that they amount to (Engine API, ContainerCreate).

Only what was asked for is in the request: what is absent is the daemon's own default.
"""

from __future__ import annotations

import os
import posixpath
import re
from typing import Any

from minidock.client.flags import Flag, Flags, boolean
from minidock.errors import InvalidInput
from minidock.units import parse_cpus, parse_size


def _memory_swap(text: str) -> int:
    return -1 if text == "-1" else parse_size(text)


def _capability(text: str) -> str:
    """``net_admin`` as ``CAP_NET_ADMIN``; ``ALL`` is all of them."""
    name = text.strip().upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def _stream(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise InvalidInput("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def _ulimit(text: str) -> dict[str, Any]:
    """``nofile=1024:2048``, as ``{"Name", "Soft", "Hard"}``."""
    name, equals, values = text.partition("=")
    soft, _, hard = values.partition(":")
    if not equals or not re.fullmatch(r"-?\d+(:-?\d+)?", values, re.ASCII):
        raise InvalidInput(f"invalid ulimit argument: {text}")
    low, high = int(soft), int(hard or soft)
    if high != -1 and (low > high or low == -1):
        raise InvalidInput(f"ulimit soft limit must be less than or equal to hard limit: {low} > {high}")
    return {"Name": name, "Soft": low, "Hard": high}


def _mount(text: str) -> dict[str, Any]:
    """``type=bind,src=/a,dst=/b,readonly``, as the API's Mount."""
    mount: dict[str, Any] = {"Type": "volume"}
    for field in text.split(","):
        name, equals, value = field.partition("=")
        name = name.lower()
        if not equals and name not in ("readonly", "ro", "volume-nocopy"):
            raise InvalidInput(f"invalid field '{field}' must be a key=value pair")
        _mount_field(mount, name, value if equals else "true", field)
    if not mount.get("Target"):
        raise InvalidInput("target is required")
    return mount


def _mount_field(mount: dict[str, Any], name: str, value: str, field: str) -> None:
    if name == "type":
        mount["Type"] = value.lower()
    elif name in ("source", "src"):
        mount["Source"] = _host_path(value) if value.startswith(".") else value
    elif name in ("target", "dst", "destination"):
        mount["Target"] = value
    elif name in ("readonly", "ro"):
        mount["ReadOnly"] = boolean(value)
    elif name == "consistency":
        mount["Consistency"] = value
    elif name == "bind-propagation":
        mount.setdefault("BindOptions", {})["Propagation"] = value
    elif name == "tmpfs-size":
        mount.setdefault("TmpfsOptions", {})["SizeBytes"] = parse_size(value)
    elif name == "tmpfs-mode":
        mount.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
    elif name == "volume-nocopy":
        mount.setdefault("VolumeOptions", {})["NoCopy"] = boolean(value)
    else:
        raise InvalidInput(f"unexpected key '{name}' in '{field}'")


FLAGS = (
    Flag("add-host", "", "list", "Add a custom host-to-IP mapping (host:ip)"),
    Flag("attach", "a", "list", "Attach to STDIN, STDOUT or STDERR", convert=_stream),
    Flag("cap-add", "", "list", "Add Linux capabilities", convert=_capability),
    Flag("cap-drop", "", "list", "Drop Linux capabilities", convert=_capability),
    Flag("cgroup-parent", "", "string", "Optional parent cgroup for the container"),
    Flag("cgroupns", "", "string", "Cgroup namespace to use (host|private)"),
    Flag("cidfile", "", "string", "Write the container ID to the file"),
    Flag("cpu-period", "", "int", "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", "", "int", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpu-shares", "c", "int", "CPU shares (relative weight)"),
    Flag("cpus", "", "decimal", "Number of CPUs", convert=parse_cpus),
    Flag("cpuset-cpus", "", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag("cpuset-mems", "", "string", "MEMs in which to allow execution (0-3, 0,1)"),
    Flag("device", "", "list", "Add a host device to the container"),
    Flag("dns", "", "list", "Set custom DNS servers"),
    Flag("dns-option", "", "list", "Set DNS options"),
    Flag("dns-search", "", "list", "Set custom DNS search domains"),
    Flag("domainname", "", "string", "Container NIS domain name"),
    Flag("entrypoint", "", "string", "Overwrite the default ENTRYPOINT of the image"),
    Flag("env", "e", "list", "Set environment variables"),
    Flag("env-file", "", "list", "Read in a file of environment variables"),
    Flag(
        "explain", "", "string", 'Show what the kernel was asked to do ("compact", "full" or "json")', alone="compact"
    ),
    Flag("expose", "", "list", "Expose a port"),
    Flag("group-add", "", "list", "Add additional groups to join"),
    Flag("hostname", "h", "string", "Container host name"),
    Flag("init", "", "bool", "Run an init inside the container that forwards signals and reaps processes"),
    Flag("interactive", "i", "bool", "Keep STDIN open even if not attached"),
    Flag("ipc", "", "string", "IPC mode to use"),
    Flag("label", "l", "list", "Set meta data on a container"),
    Flag("label-file", "", "list", "Read in a line delimited file of labels"),
    Flag("log-driver", "", "string", "Logging driver for the container"),
    Flag("log-opt", "", "list", "Log driver options"),
    Flag("memory", "m", "bytes", "Memory limit"),
    Flag("memory-reservation", "", "bytes", "Memory soft limit"),
    Flag(
        "memory-swap",
        "",
        "bytes",
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        convert=_memory_swap,
    ),
    Flag("memory-swappiness", "", "int", "Tune container memory swappiness (0 to 100)"),
    Flag("mount", "", "list", "Attach a filesystem mount to the container", convert=_mount),
    Flag("name", "", "string", "Assign a name to the container"),
    Flag("network", "", "string", "Connect a container to a network (bridge, none, host)"),
    Flag("oom-kill-disable", "", "bool", "Disable OOM Killer"),
    Flag("oom-score-adj", "", "int", "Tune host's OOM preferences (-1000 to 1000)"),
    Flag("pid", "", "string", "PID namespace to use"),
    Flag("pids-limit", "", "int", "Tune container pids limit (set -1 for unlimited)"),
    Flag("platform", "", "string", "Set platform if server is multi-platform capable"),
    Flag("privileged", "", "bool", "Give extended privileges to this container"),
    Flag("publish", "p", "list", "Publish a container's port to the host"),
    Flag("publish-all", "P", "bool", "Publish all exposed ports to random ports"),
    Flag("pull", "", "string", 'Pull image before running ("always", "missing", "never")', "missing"),
    Flag("quiet", "q", "bool", "Suppress the pull output"),
    Flag("read-only", "", "bool", "Mount the container's root filesystem as read only"),
    Flag("restart", "", "string", "Restart policy to apply when a container exits", "no"),
    Flag("rm", "", "bool", "Automatically remove the container when it exits"),
    Flag("security-opt", "", "list", "Security Options"),
    Flag("shm-size", "", "bytes", "Size of /dev/shm"),
    Flag("stop-signal", "", "string", "Signal to stop the container"),
    Flag("stop-timeout", "", "int", "Timeout (in seconds) to stop a container"),
    Flag("sysctl", "", "list", "Sysctl options"),
    Flag("tmpfs", "", "list", "Mount a tmpfs directory"),
    Flag("tty", "t", "bool", "Allocate a pseudo-TTY"),
    Flag("ulimit", "", "list", "Ulimit options", convert=_ulimit),
    Flag("user", "u", "string", "Username or UID (format: <name|uid>[:<group|gid>])"),
    Flag("userns", "", "string", "User namespace to use"),
    Flag("uts", "", "string", "UTS namespace to use"),
    Flag("volume", "v", "list", "Bind mount a volume"),
    Flag("workdir", "w", "string", "Working directory inside the container"),
)

# Flags whose value goes into the request as it is.
_CONFIG = {
    "domainname": "Domainname",
    "hostname": "Hostname",
    "interactive": "OpenStdin",
    "stop-signal": "StopSignal",
    "stop-timeout": "StopTimeout",
    "tty": "Tty",
    "user": "User",
    "workdir": "WorkingDir",
}
_HOST_CONFIG = {
    "add-host": "ExtraHosts",
    "cap-add": "CapAdd",
    "cap-drop": "CapDrop",
    "cgroup-parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cidfile": "ContainerIDFile",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "dns": "Dns",
    "dns-option": "DnsOptions",
    "dns-search": "DnsSearch",
    "group-add": "GroupAdd",
    "init": "Init",
    "ipc": "IpcMode",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "memory-swappiness": "MemorySwappiness",
    "mount": "Mounts",
    "network": "NetworkMode",
    "oom-kill-disable": "OomKillDisable",
    "oom-score-adj": "OomScoreAdj",
    "pid": "PidMode",
    "pids-limit": "PidsLimit",
    "privileged": "Privileged",
    "publish-all": "PublishAllPorts",
    "read-only": "ReadonlyRootfs",
    "rm": "AutoRemove",
    "shm-size": "ShmSize",
    "ulimit": "Ulimits",
    "userns": "UsernsMode",
    "uts": "UTSMode",
}


def request(flags: Flags, image: str, arguments: list[str]) -> dict[str, Any]:
    """The body of ``POST /containers/create``. Raises InvalidInput."""
    config: dict[str, Any] = {"Image": image, "HostConfig": _host_config(flags)}
    config |= {field: flags[name] for name, field in _CONFIG.items() if name in flags.given}
    attached = flags["attach"] or ["stdout", "stderr"]
    config["AttachStdin"] = "stdin" in attached or flags["interactive"]
    config["AttachStdout"], config["AttachStderr"] = "stdout" in attached, "stderr" in attached
    # One client gave the container its input: when that client goes, the input ends.
    config["StdinOnce"] = flags["interactive"] and config["AttachStdin"]
    if arguments:
        config["Cmd"] = arguments
    if "entrypoint" in flags.given:
        config["Entrypoint"] = [flags["entrypoint"]]
    if entries := environment(flags):
        config["Env"] = entries
    if labels := _pairs([*_lines(flags["label-file"]), *flags["label"]]):
        config["Labels"] = labels
    if anonymous := [volume for volume in flags["volume"] if ":" not in volume]:
        config["Volumes"] = {volume: {} for volume in anonymous}
    ports = [_port(text) for text in flags["publish"]]
    exposed = [text if "/" in text else f"{text}/tcp" for text in flags["expose"]] + [port for port, _ in ports]
    if exposed:
        config["ExposedPorts"] = {port: {} for port in exposed}
    for port, binding in ports:
        config["HostConfig"].setdefault("PortBindings", {}).setdefault(port, []).append(binding)
    return config


def _host_config(flags: Flags) -> dict[str, Any]:
    host = {field: flags[name] for name, field in _HOST_CONFIG.items() if name in flags.given}
    host.setdefault("NetworkMode", "default")
    if flags["volume"]:
        binds = [_bind(volume) for volume in flags["volume"] if ":" in volume]
        host |= {"Binds": binds} if binds else {}
    if flags["tmpfs"]:
        host["Tmpfs"] = {path: options for path, _, options in (text.partition(":") for text in flags["tmpfs"])}
    if flags["device"]:
        host["Devices"] = [_device(text) for text in flags["device"]]
    if flags["sysctl"]:
        host["Sysctls"] = _pairs(flags["sysctl"])
    if flags["log-driver"] or flags["log-opt"]:
        host["LogConfig"] = {"Type": flags["log-driver"] or "", "Config": _pairs(flags["log-opt"])}
    host |= _security(flags["security-opt"])
    host["RestartPolicy"] = _restart_policy(flags["restart"])
    if flags["rm"] and host["RestartPolicy"]["Name"] != "no":
        raise InvalidInput("conflicting options: cannot specify both --restart and --rm")
    return host


def environment(flags: Flags) -> list[str]:
    """Variables of files and flags, in order. A name alone takes the value that it has here, if any."""
    from_files = [_with_value(line) for line in _lines(flags["env-file"], are_variables=True)]
    # What a file leaves without a value is dropped; a flag that does so takes the image's variable away.
    return [entry for entry in from_files if "=" in entry] + [_with_value(entry) for entry in flags["env"]]


def _with_value(entry: str) -> str:
    """``NAME=value`` as it is; ``NAME`` with the value that it has here, if it has one."""
    name, equals, _ = entry.partition("=")
    if not name:
        raise InvalidInput(f"invalid environment variable: {entry}")
    return f"{name}={os.environ[name]}" if not equals and name in os.environ else entry


def _lines(paths: list[str], are_variables: bool = False) -> list[str]:
    """The lines of files of ``NAME=value``, without comments and empty lines. Raises InvalidInput."""
    lines = []
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123 - pathlib is slow to import
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise InvalidInput(f"open {path}: {str(reason).lower()}") from None
        for line in text.splitlines():
            line = line.lstrip()
            if not line or line.startswith("#"):
                continue
            name = line.partition("=")[0]
            if are_variables and (not name or re.search(r"\s", name)):
                raise InvalidInput(f"poorly formatted environment: variable '{name}' contains whitespaces")
            lines.append(line)
    return lines


def _pairs(texts: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _bind(text: str) -> str:
    """``./here:/there`` with this directory's absolute path: the daemon is somewhere else."""
    source, colon, rest = text.partition(":")
    return f"{_host_path(source)}{colon}{rest}" if source.startswith((".", "~/")) else text


def _host_path(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - pathlib is slow to import


def _device(text: str) -> dict[str, str]:
    """``/dev/sda:/dev/xvda:rwm``, ``/dev/fuse``, ``/dev/fuse:r``."""
    parts = text.split(":")
    is_mode = re.compile(r"(?!.*(.).*\1)[rwm]{1,3}").fullmatch
    if len(parts) == 2 and is_mode(parts[1]):
        parts = [parts[0], "", parts[1]]
    source, inside, mode = (*parts, "", "")[:3]
    if len(parts) > 3 or not source:
        raise InvalidInput(f"bad format for path: {text}")
    if mode and not is_mode(mode):
        raise InvalidInput(f"bad mode specified: {mode}")
    inside = posixpath.normpath(inside or source)
    if not inside.startswith("/"):
        raise InvalidInput(f"{inside} is not an absolute path")
    return {"PathOnHost": source, "PathInContainer": inside, "CgroupPermissions": mode or "rwm"}


def _security(options: list[str]) -> dict[str, Any]:
    """SecurityOpt; a seccomp profile is read here, where its file is; ``systempaths`` is two lists of their own."""
    if not options:
        return {}
    result: dict[str, Any] = {"SecurityOpt": []}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals and name != "no-new-privileges":
            name, equals, value = option.partition(":")
            if not equals:
                raise InvalidInput(f'invalid --security-opt: "{option}"')
        if option == "systempaths=unconfined":
            result |= {"MaskedPaths": [], "ReadonlyPaths": []}
        elif name == "seccomp" and value not in ("unconfined", "builtin"):
            result["SecurityOpt"].append(f"seccomp={_profile(value)}")
        else:
            result["SecurityOpt"].append(option)
    return result


def _profile(path: str) -> str:
    import json

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
            return json.dumps(json.load(file), separators=(",", ":"), ensure_ascii=False)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"opening seccomp profile ({path}) failed: {error}") from None


def _restart_policy(text: str) -> dict[str, Any]:
    """``no``, ``always``, ``on-failure:3``."""
    name, colon, count = text.partition(":")
    if colon and not re.fullmatch(r"\d+", count, re.ASCII):
        raise InvalidInput("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name or "no", "MaximumRetryCount": int(count or 0)}


def _port(text: str) -> tuple[str, dict[str, str]]:
    """``127.0.0.1:8080:80/tcp``: the container's port, and where on the host it shall be. No ranges."""
    match = re.fullmatch(r"(?:(?:(\[[^]]*\]|[^:]*):)?(\d*):)?(\d+)(?:/(tcp|udp|sctp))?", text, re.ASCII)
    if match is None:
        raise InvalidInput(f"invalid containerPort: {text}")
    address, host_port, port, protocol = match.groups()
    return f"{port}/{protocol or 'tcp'}", {"HostIp": (address or "").strip("[]"), "HostPort": host_port or ""}
