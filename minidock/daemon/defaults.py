"""What every container gets unless it asks for something else: Docker's own defaults, as one table to read.

Source: moby, ``oci/defaults.go`` and ``oci/caps/defaults.go``.
"""

from __future__ import annotations

from minidock.oci.runtime import DeviceRule, Mount

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Root in a container keeps these 14 of the kernel's 41 powers (capabilities(7)): enough to install packages and to
# serve port 80; not enough to mount, to load modules or to change the host's network.
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

# /proc and /sys are the host's kernel talking: these files tell about the host, or change it, whoever asks.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

CGROUP_PARENT = "/minidock"
"""The cgroup below which every container has its own, counted from where cgroups are mounted."""

SYSTEMD_SLICE = "system.slice"
"""The same where systemd makes the cgroups."""

SHM_SIZE = 64 * 1024 * 1024
MINIMUM_MEMORY = 6 * 1024 * 1024
STOP_SIGNAL = "SIGTERM"
STOP_TIMEOUT = 10
"""Seconds between the stop signal and SIGKILL."""

PROC = Mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"])
DEV = Mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"])
DEVPTS = Mount(
    "/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
)
SYSFS = Mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])
CGROUP = Mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"])
MQUEUE = Mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"])


def shm(size: int) -> Mount:
    """The tmpfs behind shm_open(3); ``size`` in bytes."""
    return Mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", f"size={size}"])


# A device node needs two things: the file, and the cgroup's leave to open it. Making nodes is allowed for all devices
# (mknod has its own capability); opening only for these.
DEVICE_RULES = [
    DeviceRule(allow=False, access="rwm"),
    DeviceRule(allow=True, type="c", access="m"),
    DeviceRule(allow=True, type="b", access="m"),
    DeviceRule(allow=True, type="c", major=1, minor=3),  # null
    DeviceRule(allow=True, type="c", major=1, minor=5),  # zero
    DeviceRule(allow=True, type="c", major=1, minor=7),  # full
    DeviceRule(allow=True, type="c", major=1, minor=8),  # random
    DeviceRule(allow=True, type="c", major=1, minor=9),  # urandom
    DeviceRule(allow=True, type="c", major=5, minor=0),  # tty
    DeviceRule(allow=True, type="c", major=5, minor=1),  # console
    DeviceRule(allow=True, type="c", major=5, minor=2),  # ptmx
    DeviceRule(allow=True, type="c", major=136),  # every /dev/pts/N
]
ALL_DEVICES = [DeviceRule(allow=True, access="rwm")]

# Inside a network namespace of one's own, low ports and ping need no privilege.
NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
