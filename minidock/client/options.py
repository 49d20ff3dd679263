"""The request that the flags of ``run`` and ``create`` amount to (Engine API, ContainerCreate).

Only what was asked for is in the request: what is absent is the daemon's own default.
"""

from __future__ import annotations

import os
import re
from typing import Any

from minidock.client import endpoints, ports, values
from minidock.client.flags import Flags, pairs
from minidock.errors import InvalidInput

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
    "blkio-weight": "BlkioWeight",
    "blkio-weight-device": "BlkioWeightDevice",
    "cgroup-parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cidfile": "ContainerIDFile",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "device-cgroup-rule": "DeviceCgroupRules",
    "device-read-bps": "BlkioDeviceReadBps",
    "device-read-iops": "BlkioDeviceReadIOps",
    "device-write-bps": "BlkioDeviceWriteBps",
    "device-write-iops": "BlkioDeviceWriteIOps",
    "dns": "Dns",
    "dns-option": "DnsOptions",
    "dns-search": "DnsSearch",
    "gpus": "DeviceRequests",
    "group-add": "GroupAdd",
    "init": "Init",
    "ipc": "IpcMode",
    "isolation": "Isolation",
    "kernel-memory": "KernelMemory",
    "link": "Links",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "memory-swappiness": "MemorySwappiness",
    "mount": "Mounts",
    "oom-kill-disable": "OomKillDisable",
    "oom-score-adj": "OomScoreAdj",
    "pid": "PidMode",
    "pids-limit": "PidsLimit",
    "privileged": "Privileged",
    "publish-all": "PublishAllPorts",
    "read-only": "ReadonlyRootfs",
    "rm": "AutoRemove",
    "runtime": "Runtime",
    "shm-size": "ShmSize",
    "userns": "UsernsMode",
    "uts": "UTSMode",
    "volume-driver": "VolumeDriver",
    "volumes-from": "VolumesFrom",
}
# Flags of "name=value" that become a dictionary.
_HOST_MAPS = {"annotation": "Annotations", "storage-opt": "StorageOpt", "sysctl": "Sysctls"}
# What a namespace's mode may be. Another container's: only where the second is given.
_MODES = {"pid": ("PID", "container:"), "uts": ("UTS", ""), "userns": ("USER", ""), "cgroupns": ("CGROUP", "private")}
_WINDOWS = ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")


def request(flags: Flags, image: str, arguments: list[str]) -> dict[str, Any]:
    """The body of ``POST /containers/create``. Raises InvalidInput."""
    _check(flags)
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
    if labels := pairs([*_lines(flags["label-file"]), *flags["label"]]):
        config["Labels"] = labels
    if anonymous := [volume for volume in flags["volume"] if ":" not in volume]:
        config["Volumes"] = {volume: {} for volume in anonymous}
    if check := _health(flags):
        config["Healthcheck"] = check
    exposed, bindings = ports.requested(flags["publish"], flags["expose"])
    if exposed:
        config["ExposedPorts"] = exposed
    if bindings:
        config["HostConfig"]["PortBindings"] = bindings
    if networks := endpoints.settings(flags):
        config["NetworkingConfig"] = {"EndpointsConfig": networks}
    return config


def _check(flags: Flags) -> None:
    """Raises InvalidInput for what no daemon needs to be asked about."""
    for name in _WINDOWS:
        if name in flags.given:
            where = "a Docker daemon running on windows, but the Docker daemon is running on linux"
            raise InvalidInput(f'"--{name}" is only supported on {where}')
    if flags["use-api-socket"]:
        raise InvalidInput("--use-api-socket is not supported: mount the daemon's socket with -v")
    endpoints.mac_address(flags["mac-address"])
    swappiness = flags["memory-swappiness"]
    if not -1 <= swappiness <= 100:
        raise InvalidInput(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    for name, (what, other) in _MODES.items():
        if not (flags[name] in ("", "host", other) or (other.endswith(":") and flags[name].startswith(other))):
            raise InvalidInput(f"--{name}: invalid {what} mode")


def _host_config(flags: Flags) -> dict[str, Any]:
    host = {field: flags[name] for name, field in _HOST_CONFIG.items() if name in flags.given}
    host |= {field: pairs(flags[name]) for name, field in _HOST_MAPS.items() if flags[name]}
    host |= _capabilities(flags)
    host["NetworkMode"] = flags["network"][0]["Target"] if flags["network"] else "default"
    if flags["ulimit"]:
        host["Ulimits"] = list({limit["Name"]: limit for limit in flags["ulimit"]}.values())
    if binds := [_bind(volume) for volume in flags["volume"] if ":" in volume]:
        host["Binds"] = binds
    if flags["tmpfs"]:
        host["Tmpfs"] = {path: options for path, _, options in (text.partition(":") for text in flags["tmpfs"])}
    if flags["device"]:
        host |= _devices(flags["device"], flags["gpus"])
    if flags["log-driver"] or flags["log-opt"]:
        if flags["log-driver"] == "none" and flags["log-opt"]:
            raise InvalidInput("invalid logging opts for driver none")
        host["LogConfig"] = {"Type": flags["log-driver"], "Config": pairs(flags["log-opt"])}
    host |= _security(flags["security-opt"])
    host["RestartPolicy"] = restart_policy(flags["restart"])
    if not all("=" in option for option in flags["storage-opt"]):
        raise InvalidInput("invalid storage option")
    if "" in flags["volume"]:
        raise InvalidInput("invalid empty volume spec")
    if flags["rm"] and host["RestartPolicy"]["Name"] != "no":
        raise InvalidInput("conflicting options: cannot specify both --restart and --rm")
    return host


def _devices(texts: list[str], requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Device files; and devices of the Container Device Interface, ``vendor.com/class=name``, which are asked for."""
    named = [text for text in texts if re.fullmatch(r"[\w.-]+/[\w.-]+=[\w.:-]+", text)]
    found: dict[str, Any] = {"Devices": [values.device(text) for text in texts if text not in named]}
    if named:
        found["DeviceRequests"] = [*requests, {"Driver": "cdi", "DeviceIDs": named}]
    return found


def _capabilities(flags: Flags) -> dict[str, list[str]]:
    """What is both added and dropped is added. ``ALL`` stands for all of its kind."""
    added, dropped = ({_capability(text) for text in flags[name]} for name in ("cap-add", "cap-drop"))
    added, dropped = ({"ALL"} if "ALL" in names else names for names in (added, dropped))
    both = {"CapAdd": sorted(added), "CapDrop": sorted(dropped - added)}
    return {name: found for name, found in both.items() if found}


def _capability(text: str) -> str:
    """``net_admin`` as ``CAP_NET_ADMIN``; ``ALL`` is all of them."""
    name = text.strip().upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def _health(flags: Flags) -> dict[str, Any]:
    """``--health-*`` as a Healthcheck, times in nanoseconds."""
    fields = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start-period": "StartPeriod",
        "start-interval": "StartInterval",
        "retries": "Retries",
    }
    found = {field: flags[f"health-{name}"] for name, field in fields.items() if flags[f"health-{name}"]}
    for name, field in fields.items():
        if found.get(field, 0) < 0:
            raise InvalidInput(f"--health-{name} cannot be negative")
    if flags["health-cmd"]:
        found["Test"] = ["CMD-SHELL", flags["health-cmd"]]
    if not flags["no-healthcheck"]:
        return found
    if found:
        raise InvalidInput("--no-healthcheck conflicts with --health-* options")
    return {"Test": ["NONE"]}


def environment(flags: Flags) -> list[str]:
    """Variables of files and flags, in order. A name alone takes the value that it has here, if any."""
    from_files = [_with_value(line) for line in _lines(flags["env-file"], are_variables=True)]
    from_flags = {entry.partition("=")[0]: _with_value(entry) for entry in flags["env"]}  # the last of a name holds
    # What a file leaves without a value is dropped; a flag that does so takes the image's variable away.
    return [entry for entry in from_files if "=" in entry] + [*from_flags.values()]


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
            with open(path, encoding="utf-8-sig", newline="") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise InvalidInput(f"open {path}: {str(reason).lower()}") from None
        for line in text.split("\n"):
            line = line.removesuffix("\r").lstrip()
            if not line or line.startswith("#"):
                continue
            name = line.partition("=")[0]
            if are_variables and (not name or re.search(r"\s", name)):
                raise InvalidInput(f"poorly formatted environment: variable '{name}' contains whitespaces")
            lines.append(line)
    return lines


def _bind(text: str) -> str:
    """``./here:/there`` with this directory's absolute path: the daemon is somewhere else."""
    source, colon, rest = text.partition(":")
    return f"{values.host_path(source)}{colon}{rest}" if source.startswith((".", "~/")) else text


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
                raise InvalidInput(f'Invalid --security-opt: "{option}"')
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
        with open(path, encoding="utf-8") as file:
            return json.dumps(json.load(file), separators=(",", ":"), ensure_ascii=False)
    except (OSError, ValueError) as error:
        reason = f"open {path}: {str(error.strerror).lower()}" if isinstance(error, OSError) else error
        raise InvalidInput(f"opening seccomp profile ({path}) failed: {reason}") from None


def restart_policy(text: str) -> dict[str, Any]:
    """``no``, ``always``, ``on-failure:3``."""
    name, colon, count = text.partition(":")
    if colon and not re.fullmatch(r"\d+", count, re.ASCII):
        raise InvalidInput("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name or "no", "MaximumRetryCount": int(count or 0)}
