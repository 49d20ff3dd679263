"""The flags that ``run`` and ``create`` share, and the request that they amount to (Engine API, ContainerCreate).

Only what was asked for is in the request: what is absent is the daemon's own default.
"""

from __future__ import annotations

import os
import re
from typing import Any

from minidock.client import endpoints, ports, values
from minidock.client.flags import Flag, Flags, pairs, table
from minidock.errors import InvalidInput

_CGROUPNS = (
    "Cgroup namespace to use (host|private)\n"
    "'host':    Run the container in the Docker host's cgroup namespace\n"
    "'private': Run the container in its own private cgroup namespace\n"
    "'':        Use the cgroup namespace as configured by the\n"
    "           default-cgroupns-mode option on the daemon (default)"
)

FLAGS = table(
    """
        --add-host list                    Add a custom host-to-IP mapping (host:ip)
        --annotation map                   Add an annotation to the container (passed through to the OCI runtime)
                                           (default map[])
        --blkio-weight uint16              Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
        --blkio-weight-device list         Block IO weight (relative device weight) (default [])
        --cap-add list                     Add Linux capabilities
        --cap-drop list                    Drop Linux capabilities
        --cgroup-parent string             Optional parent cgroup for the container
        --cidfile string                   Write the container ID to the file
        --cpu-period int                   Limit CPU CFS (Completely Fair Scheduler) period
        --cpu-quota int                    Limit CPU CFS (Completely Fair Scheduler) quota
        --cpu-rt-period int                Limit CPU real-time period in microseconds
        --cpu-rt-runtime int               Limit CPU real-time runtime in microseconds
    -c, --cpu-shares int                   CPU shares (relative weight)
        --cpus decimal                     Number of CPUs
        --cpuset-cpus string               CPUs in which to allow execution (0-3, 0,1)
        --cpuset-mems string               MEMs in which to allow execution (0-3, 0,1)
        --device list                      Add a host device to the container
        --device-cgroup-rule list          Add a rule to the cgroup allowed devices list
        --device-read-bps list             Limit read rate (bytes per second) from a device (default [])
        --device-read-iops list            Limit read rate (IO per second) from a device (default [])
        --device-write-bps list            Limit write rate (bytes per second) to a device (default [])
        --device-write-iops list           Limit write rate (IO per second) to a device (default [])
        --disable-content-trust            Skip image verification (default true)
        --dns list                         Set custom DNS servers
        --dns-option list                  Set DNS options
        --dns-search list                  Set custom DNS search domains
        --domainname string                Container NIS domain name
        --entrypoint string                Overwrite the default ENTRYPOINT of the image
    -e, --env list                         Set environment variables
        --env-file list                    Read in a file of environment variables
        --expose list                      Expose a port or a range of ports
        --gpus gpu-request                 GPU devices to add to the container ('all' to pass all GPUs)
        --group-add list                   Add additional groups to join
        --health-cmd string                Command to run to check health
        --health-interval duration         Time between running the check (ms|s|m|h) (default 0s)
        --health-retries int               Consecutive failures needed to report unhealthy
        --health-start-interval duration   Time between running the check during the start period (ms|s|m|h) (default
                                           0s)
        --health-start-period duration     Start period for the container to initialize before starting health-retries
                                           countdown (ms|s|m|h) (default 0s)
        --health-timeout duration          Maximum time to allow one check to run (ms|s|m|h) (default 0s)
    -h, --hostname string                  Container host name
        --init                             Run an init inside the container that forwards signals and reaps processes
    -i, --interactive                      Keep STDIN open even if not attached
        --ip string                        IPv4 address (e.g., 172.30.100.104)
        --ip6 string                       IPv6 address (e.g., 2001:db8::33)
        --ipc string                       IPC mode to use
        --isolation string                 Container isolation technology
        --kernel-memory bytes              Kernel memory limit
    -l, --label list                       Set meta data on a container
        --label-file list                  Read in a line delimited file of labels
        --link list                        Add link to another container
        --link-local-ip list               Container IPv4/IPv6 link-local addresses
        --log-driver string                Logging driver for the container
        --log-opt list                     Log driver options
        --mac-address string               Container MAC address (e.g., 92:d0:c6:0a:29:33)
    -m, --memory bytes                     Memory limit
        --memory-reservation bytes         Memory soft limit
        --memory-swap bytes                Swap limit equal to memory plus swap: '-1' to enable unlimited swap
        --memory-swappiness int            Tune container memory swappiness (0 to 100) (default -1)
        --mount mount                      Attach a filesystem mount to the container
        --name string                      Assign a name to the container
        --network network                  Connect a container to a network
        --network-alias list               Add network-scoped alias for the container
        --no-healthcheck                   Disable any container-specified HEALTHCHECK
        --oom-kill-disable                 Disable OOM Killer
        --oom-score-adj int                Tune host's OOM preferences (-1000 to 1000)
        --pid string                       PID namespace to use
        --pids-limit int                   Tune container pids limit (set -1 for unlimited)
        --platform string                  Set platform if server is multi-platform capable
        --privileged                       Give extended privileges to this container
    -p, --publish list                     Publish a container's port(s) to the host
    -P, --publish-all                      Publish all exposed ports to random ports
    -q, --quiet                            Suppress the pull output
        --read-only                        Mount the container's root filesystem as read only
        --restart string                   Restart policy to apply when a container exits (default "no")
        --rm                               Automatically remove the container and its associated anonymous volumes when
                                           it exits
        --runtime string                   Runtime to use for this container
        --security-opt list                Security Options
        --shm-size bytes                   Size of /dev/shm
        --stop-signal string               Signal to stop the container
        --stop-timeout int                 Timeout (in seconds) to stop a container
        --storage-opt list                 Storage driver options for the container
        --sysctl map                       Sysctl options (default map[])
        --tmpfs list                       Mount a tmpfs directory
    -t, --tty                              Allocate a pseudo-TTY
        --ulimit ulimit                    Ulimit options (default [])
        --use-api-socket                   Bind mount Docker API socket and required auth
    -u, --user string                      Username or UID (format: <name|uid>[:<group|gid>])
        --userns string                    User namespace to use
        --uts string                       UTS namespace to use
    -v, --volume list                      Bind mount a volume
        --volume-driver string             Optional volume driver for the container
        --volumes-from list                Mount volumes from the specified container(s)
    -w, --workdir string                   Working directory inside the container
    -a, --attach list   Attach to STDIN, STDOUT or STDERR
        --cpu-count int            CPU count (Windows only)
        --cpu-percent int          CPU percent (Windows only)
        --io-maxbandwidth bytes    Maximum IO bandwidth limit for the system drive (Windows only)
        --io-maxiops uint          Maximum IOps limit for the system drive (Windows only)
    """,
    Flag("cgroupns", "", "string", _CGROUPNS, ""),
    Flag("explain", "", "string", 'Show what the kernel was asked to do ("compact", "full", "json")', alone="compact"),
    add_host=values.extra_host,
    attach=values.stream,
    blkio_weight_device=values.weight,
    device_cgroup_rule=values.device_rule,
    device_read_bps=values.rate(in_bytes=True),
    device_read_iops=values.rate(in_bytes=False),
    device_write_bps=values.rate(in_bytes=True),
    device_write_iops=values.rate(in_bytes=False),
    dns=values.address,
    env=values.variable,
    dns_search=values.search_domain,
    gpus=values.gpus,
    label=values.label,
    link=values.link,
    link_local_ip=values.address,
    memory_swap=values.memory_swap,
    mount=values.mount,
    network=endpoints.network,
    sysctl=values.sysctl,
    ulimit=values.ulimit,
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
            with open(path, encoding="utf-8-sig") as file:
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
