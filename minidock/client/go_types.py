"""The Go types that Docker's client has for what the API tells, so that a template sees what it sees there.

JSON does not say that a state is a struct whose fields have an order, that a duration is not a number, of what kind a
null is, or what a field that was left out would be. :func:`typed` adds it: templates then print, and find fields by,
what Go knows. Types that nobody prints are left out, and a value of theirs stays as JSON has it.

Source: https://pkg.go.dev/github.com/docker/docker@v28.2.2/api/types.
"""

from __future__ import annotations

from functools import cache
from typing import Any

# A struct's fields in Go's order: NAME (a string), NAME:TYPE, NAME=JSON:TYPE; +TYPE is embedded: its fields count as
# the struct's own. JSON's names are found whatever their case. What starts with a bracket has only another name.
_TYPES = {
    "container.InspectResponse": "+*container.ContainerJSONBase Mounts:[]container.MountPoint Config:*container.Config"
    " NetworkSettings:*container.NetworkSettings ImageManifestDescriptor:*v1.Descriptor",
    "container.ContainerJSONBase": "ID Created Path Args:[]string State:*container.State Image ResolvConfPath"
    " HostnamePath HostsPath LogPath Name RestartCount:int Driver Platform MountLabel ProcessLabel AppArmorProfile"
    " ExecIDs:[]string HostConfig:*container.HostConfig GraphDriver:storage.DriverData SizeRw:*int64 SizeRootFs:*int64",
    "container.State": "Status Running:bool Paused:bool Restarting:bool OOMKilled:bool Dead:bool Pid:int ExitCode:int"
    " Error StartedAt FinishedAt Health:*container.Health",
    "container.Health": "Status FailingStreak:int Log:[]*container.HealthcheckResult",
    "container.HealthcheckResult": "Start:time.Time End:time.Time ExitCode:int Output",
    "container.MountPoint": "Type Name Source Destination Driver Mode RW:bool Propagation",
    "container.Config": "Hostname Domainname User AttachStdin:bool AttachStdout:bool AttachStderr:bool"
    " ExposedPorts:nat.PortSet Tty:bool OpenStdin:bool StdinOnce:bool Env:[]string Cmd:strslice.StrSlice"
    " Healthcheck:*v1.HealthcheckConfig ArgsEscaped:bool Image Volumes:map[string]struct{} WorkingDir"
    " Entrypoint:strslice.StrSlice NetworkDisabled:bool MacAddress OnBuild:[]string Labels:map[string]string"
    " StopSignal StopTimeout:*int Shell:strslice.StrSlice",
    "v1.HealthcheckConfig": "Test:[]string Interval:time.Duration Timeout:time.Duration StartPeriod:time.Duration"
    " StartInterval:time.Duration Retries:int",
    "container.HostConfig": "Binds:[]string ContainerIDFile LogConfig:container.LogConfig NetworkMode"
    " PortBindings:nat.PortMap RestartPolicy:container.RestartPolicy AutoRemove:bool VolumeDriver VolumesFrom:[]string"
    " ConsoleSize:[2]uint Annotations:map[string]string CapAdd:strslice.StrSlice CapDrop:strslice.StrSlice CgroupnsMode"
    " DNS:[]string DNSOptions:[]string DNSSearch:[]string ExtraHosts:[]string GroupAdd:[]string IpcMode Cgroup"
    " Links:[]string OomScoreAdj:int PidMode Privileged:bool PublishAllPorts:bool ReadonlyRootfs:bool"
    " SecurityOpt:[]string StorageOpt:map[string]string Tmpfs:map[string]string UTSMode UsernsMode ShmSize:int64"
    " Sysctls:map[string]string Runtime Isolation +container.Resources Mounts:[]mount.Mount MaskedPaths:[]string"
    " ReadonlyPaths:[]string Init:*bool",
    "container.Resources": "CPUShares:int64 Memory:int64 NanoCPUs:int64 CgroupParent BlkioWeight:uint16"
    " BlkioWeightDevice:[]*blkiodev.WeightDevice BlkioDeviceReadBps:[]*blkiodev.ThrottleDevice"
    " BlkioDeviceWriteBps:[]*blkiodev.ThrottleDevice BlkioDeviceReadIOps:[]*blkiodev.ThrottleDevice"
    " BlkioDeviceWriteIOps:[]*blkiodev.ThrottleDevice CPUPeriod:int64 CPUQuota:int64 CPURealtimePeriod:int64"
    " CPURealtimeRuntime:int64 CpusetCpus CpusetMems Devices:[]container.DeviceMapping DeviceCgroupRules:[]string"
    " DeviceRequests:[]container.DeviceRequest KernelMemory:int64 KernelMemoryTCP:int64 MemoryReservation:int64"
    " MemorySwap:int64 MemorySwappiness:*int64 OomKillDisable:*bool PidsLimit:*int64 Ulimits:[]*units.Ulimit"
    " CPUCount:int64 CPUPercent:int64 IOMaximumIOps:uint64 IOMaximumBandwidth:uint64",
    "container.LogConfig": "Type Config:map[string]string",
    "container.RestartPolicy": "Name MaximumRetryCount:int",
    "container.DeviceMapping": "PathOnHost PathInContainer CgroupPermissions",
    "blkiodev.WeightDevice": "Path Weight:uint16",
    "blkiodev.ThrottleDevice": "Path Rate:uint64",
    "units.Ulimit": "Name Hard:int64 Soft:int64",
    "mount.Mount": "Type Source Target ReadOnly:bool Consistency BindOptions:*mount.BindOptions"
    " VolumeOptions:*mount.VolumeOptions ImageOptions:*mount.ImageOptions TmpfsOptions:*mount.TmpfsOptions"
    " ClusterOptions:*mount.ClusterOptions",
    "container.NetworkSettings": "+container.NetworkSettingsBase +container.DefaultNetworkSettings"
    " Networks:map[string]*network.EndpointSettings",
    "container.NetworkSettingsBase": "Bridge SandboxID SandboxKey Ports:nat.PortMap HairpinMode:bool"
    " LinkLocalIPv6Address LinkLocalIPv6PrefixLen:int SecondaryIPAddresses:[]network.Address"
    " SecondaryIPv6Addresses:[]network.Address",
    "container.DefaultNetworkSettings": "EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen:int IPAddress"
    " IPPrefixLen:int IPv6Gateway MacAddress",
    "network.EndpointSettings": "IPAMConfig:*network.EndpointIPAMConfig Links:[]string Aliases:[]string MacAddress"
    " DriverOpts:map[string]string GwPriority:int NetworkID EndpointID Gateway IPAddress IPPrefixLen:int IPv6Gateway"
    " GlobalIPv6Address GlobalIPv6PrefixLen:int DNSNames:[]string",
    "network.EndpointIPAMConfig": "IPv4Address IPv6Address LinkLocalIPs:[]string",
    "network.Address": "Addr PrefixLen:int",
    "nat.PortMap": "map[nat.Port][]nat.PortBinding",
    "nat.PortSet": "map[nat.Port]struct{}",
    "nat.PortBinding": "HostIP HostPort",
    "strslice.StrSlice": "[]string",
    "struct{}": "",
    "storage.DriverData": "Data:map[string]string Name",
    "image.InspectResponse": "ID RepoTags:[]string RepoDigests:[]string Parent Comment Created Container"
    " ContainerConfig:*container.Config DockerVersion Author Config:*v1.DockerOCIImageConfig Architecture Variant Os"
    " OsVersion Size:int64 VirtualSize:int64 GraphDriver:storage.DriverData RootFS:image.RootFS Metadata:image.Metadata"
    " Descriptor:*v1.Descriptor Manifests:[]image.ManifestSummary",
    "v1.DockerOCIImageConfig": "+v1.ImageConfig +v1.DockerOCIImageConfigExt",
    "v1.ImageConfig": "User ExposedPorts:map[string]struct{} Env:[]string Entrypoint:[]string Cmd:[]string"
    " Volumes:map[string]struct{} WorkingDir Labels:map[string]string StopSignal ArgsEscaped:bool",
    "v1.DockerOCIImageConfigExt": "Healthcheck:*v1.HealthcheckConfig OnBuild:[]string Shell:[]string",
    "image.RootFS": "Type Layers:[]string",
    "image.Metadata": "LastTagTime:time.Time",
    "network.Inspect": "Name ID Created:time.Time Scope Driver EnableIPv4:bool EnableIPv6:bool IPAM:network.IPAM"
    " Internal:bool Attachable:bool Ingress:bool ConfigFrom:network.ConfigReference ConfigOnly:bool"
    " Containers:map[string]network.EndpointResource Options:map[string]string Labels:map[string]string"
    " Peers:[]network.PeerInfo Services:map[string]network.ServiceInfo",
    "network.IPAM": "Driver Options:map[string]string Config:[]network.IPAMConfig",
    "network.IPAMConfig": "Subnet IPRange Gateway AuxAddress=AuxiliaryAddresses:map[string]string",
    "network.ConfigReference": "Network",
    "network.EndpointResource": "Name EndpointID MacAddress IPv4Address IPv6Address",
    "volume.Volume": "ClusterVolume:*volume.ClusterVolume CreatedAt Driver Labels:map[string]string Mountpoint Name"
    " Options:map[string]string Scope Status:map[string]any UsageData:*volume.UsageData",
    "volume.UsageData": "RefCount:int64 Size:int64",
    "system.versionInfo": "Client:system.clientVersion Server:*types.Version",
    "system.clientVersion": "Platform:*system.platformInfo Version APIVersion DefaultAPIVersion GitCommit GoVersion Os"
    " Arch BuildTime Context",
    "types.Version": "Platform:system.platformInfo Components:[]types.ComponentVersion Version APIVersion MinAPIVersion"
    " GitCommit GoVersion Os Arch KernelVersion Experimental:bool BuildTime",
    "system.platformInfo": "Name",
    "types.ComponentVersion": "Name Version Details:map[string]string",
}
_ZEROS: dict[str, Any] = {"string": "", "bool": False}


class Struct:
    """A struct: ``fields`` in Go's order, an embedded struct among them. ``document`` is the JSON it came from."""

    def __init__(self, name: str, fields: dict[str, Any], document: dict[str, Any], embedded: tuple[str, ...]) -> None:
        self.type, self.fields, self.document, self._embedded = name, fields, document, embedded

    def get(self, name: str) -> Any:
        """A field, or one of an embedded struct. Raises KeyError."""
        if name in self.fields:
            return self.fields[name]
        for inner in self._embedded:
            if isinstance(self.fields[inner], Struct) and self.fields[inner].has(name):
                return self.fields[inner].get(name)
        raise KeyError(name)

    def has(self, name: str) -> bool:
        try:
            self.get(name)
        except KeyError:
            return False
        return True


class Ulimit(Struct):
    """``units.Ulimit``, which prints itself."""

    def string(self) -> str:
        """``nofile=1024:2048``."""
        return f"{self.fields['Name']}={self.fields['Soft']}:{self.fields['Hard']}"


class Map(dict[str, Any]):
    """A map whose type is known: what it lacks is no error."""

    def __init__(self, name: str, values: dict[str, Any], element: str) -> None:
        super().__init__(values)
        self.type, self.element = name, element


class List(list[Any]):
    """A slice whose type is known."""

    def __init__(self, name: str, values: list[Any]) -> None:
        super().__init__(values)
        self.type = name


class Nil:
    """The nil of a type: prints as Go prints it, is false, is null as JSON."""

    def __init__(self, name: str) -> None:
        self.type = name

    def __bool__(self) -> bool:
        return False

    def empty(self) -> Any:
        """What it is printed as: an empty map or list, or None."""
        under = _TYPES.get(self.type, self.type)
        return Map(self.type, {}, "any") if under[0] == "m" else List(self.type, []) if under[0] == "[" else None


class Duration(int):
    """Nanoseconds."""

    def string(self) -> str:
        """``1m30s``, ``1.5s``, ``20ms``, as Go writes it."""
        nanoseconds = abs(self)
        sign = "-" if self < 0 else ""
        for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
            if nanoseconds < size * 1000:
                return f"{sign}{_decimal(nanoseconds, size)}{unit}" if nanoseconds else "0s"
        minutes, rest = divmod(nanoseconds, 60 * 10**9)
        text = f"{minutes // 60}h{minutes % 60}m" if minutes >= 60 else f"{minutes}m" if minutes else ""
        return f"{sign}{text}{_decimal(rest, 10**9)}s"


class Time(str):
    """A moment, as RFC 3339 writes it."""

    def string(self) -> str:
        """``2006-01-02 15:04:05.999 +0000 UTC``: Go's own way, for a time in UTC."""
        day, _, clock = (self or "0001-01-01T00:00:00Z").partition("T")
        if not clock.endswith("Z"):
            return str(self)
        whole, dot, fraction = clock.removesuffix("Z").partition(".")
        fraction = fraction.rstrip("0")
        return f"{day} {whole}{dot if fraction else ''}{fraction} +0000 UTC"


def _decimal(value: int, unit: int) -> str:
    """A number of units without rounding: ``1.5``."""
    fraction = f"{value % unit:0{len(str(unit)) - 1}d}".rstrip("0") if unit > 1 else ""
    return f"{value // unit}{'.' if fraction else ''}{fraction}"


def typed(value: Any, name: str) -> Any:
    """A JSON value as a value of a Go type; what the type does not fit stays as it is."""
    pointer = name.startswith("*")
    under = _TYPES.get(name, name)
    if (value is None and (pointer or under.startswith(("map[", "[]")))) or (value is None and name == "any"):
        return Nil(_go(name))
    if under.startswith("map[") and isinstance(value, dict):
        element = under.partition("]")[2]
        return Map(_go(name), {key: typed(inner, element) for key, inner in value.items()}, element)
    if under.startswith("[") and isinstance(value, list):
        element = under.partition("]")[2]
        return List(name, [typed(inner, element) for inner in value])
    if name.lstrip("*") in _TYPES and isinstance(value, dict | None):
        return _struct(value or {}, name)
    return _scalar(value, name.lstrip("*"))


def _scalar(value: Any, name: str) -> Any:
    if name == "time.Duration":
        return Duration(value or 0)
    if name == "time.Time":
        return Time(value or "")
    if value is None and name != "any":
        return _ZEROS.get(name, 0)
    return value


def _go(name: str) -> str:
    return name.replace("struct{}", "struct {}").replace("]any", "]interface {}")


def _struct(document: dict[str, Any], name: str) -> Struct:
    known = {key.lower(): value for key, value in document.items()}
    fields, embedded = {}, []
    for field, key, kind in _fields(name.lstrip("*")):
        if key:
            fields[field] = typed(known.get(key), kind)
        else:
            fields[field] = _struct(document, kind)
            embedded.append(field)
    kind_of_struct = Ulimit if name.endswith("units.Ulimit") else Struct
    return kind_of_struct(name, fields, document, tuple(embedded))


@cache
def _fields(name: str) -> list[tuple[str, str, str]]:
    """Of a struct: each field's name, its name in JSON (none when it is embedded) and its type."""
    found = []
    for word in _TYPES[name].split():
        field, _, kind = word.partition(":")
        field, _, key = field.partition("=")
        if field.startswith("+"):
            found.append((field.rpartition(".")[2], "", field[1:]))
        else:
            found.append((field, (key or field).lower(), kind or "string"))
    return found
