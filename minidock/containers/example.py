"""``minidock-runtime spec`` and ``features``: an example config.json, and what this runtime can do."""

from __future__ import annotations

import msgspec

from minidock.containers.steps.devices import DEFAULT as DEFAULT_DEVICES
from minidock.kernel import capabilities, mounts, seccomp
from minidock.kernel.namespaces import KINDS
from minidock.oci import runtime as oci

_HARDENED = ["nosuid", "noexec", "nodev"]
_MOUNTS = [
    oci.Mount("/proc", "proc", "proc", _HARDENED),
    oci.Mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    oci.Mount(
        "/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    ),
    oci.Mount("/dev/shm", "tmpfs", "shm", [*_HARDENED, "mode=1777", "size=65536k"]),
    oci.Mount("/dev/mqueue", "mqueue", "mqueue", _HARDENED),
    oci.Mount("/sys", "sysfs", "sysfs", [*_HARDENED, "ro"]),
    oci.Mount("/sys/fs/cgroup", "cgroup", "cgroup", [*_HARDENED, "relatime", "ro"]),
]
_MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
]  # fmt: skip
_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def config() -> bytes:
    """A config.json that runs ``sh`` in ``rootfs``, read-only, with few rights."""
    rights = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    spec = oci.Spec(
        oci_version=oci.OCI_VERSION,
        root=oci.Root("rootfs", readonly=True),
        process=oci.Process(
            cwd="/",
            args=["sh"],
            env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            terminal=True,
            capabilities=oci.CapabilitySets(bounding=rights, effective=rights, permitted=rights),
            rlimits=[oci.Rlimit("RLIMIT_NOFILE", 1024, 1024)],
            no_new_privileges=True,
        ),
        hostname="minidock",
        mounts=_MOUNTS,
        linux=oci.Linux(
            namespaces=[oci.Namespace(kind) for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            resources=oci.Resources(devices=[oci.DeviceRule(False), *_default_rules()]),
            masked_paths=_MASKED,
            readonly_paths=_READONLY,
        ),
    )
    return msgspec.json.format(oci.encode(spec)) + b"\n"


def _default_rules() -> list[oci.DeviceRule]:
    """The default devices may be used, and terminals."""
    rules = [oci.DeviceRule(True, device.type, device.major, device.minor) for device in DEFAULT_DEVICES]
    return [*rules, oci.DeviceRule(True, "c", 5, 2), oci.DeviceRule(True, "c", 136)]


def features() -> bytes:
    """The runtime-spec's features document (features.md, features-linux.md)."""
    document = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": oci.OCI_VERSION,
        "hooks": list(msgspec.to_builtins(oci.Hooks(*[[oci.Hook("/")]] * 6))),
        "mountOptions": sorted({*mounts.FLAG_OPTIONS, *mounts.PROPAGATION_OPTIONS, *mounts.RECURSIVE_OPTIONS}),
        "linux": {
            "namespaces": [kind.name for kind in KINDS.values() if kind.exists],
            "capabilities": capabilities.known(),
            "cgroup": {"v1": True, "v2": True, "systemd": False},
            "seccomp": {"enabled": True, "archs": sorted(seccomp.ARCHITECTURES)},
            "apparmor": {"enabled": False},
            "selinux": {"enabled": False},
        },
    }
    return msgspec.json.encode(document)
