"""Bundles for tests: busybox as the root file system, and a config.json as Docker would write it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")
APPLETS = """
    sh cat ls id echo sleep true false mount umount hostname stat touch mkdir ln rm mknod dmesg unshare ps kill env pwd
    readlink sync dd head grep ip tty stty chmod chown ulimit nproc find wc sort chroot setsid mv cp printf seq uname
""".split()  # noqa: SIM905
PASSWD = "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/bin/false\nguest:x:1000:1000::/home/guest:/bin/sh\n"
GROUP = "root:x:0:\nbin:x:1:guest\ntty:x:5:\naudio:x:29:guest\nguest:x:1000:\n"

CAPABILITIES = """
    CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP CAP_SETPCAP
    CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE
""".split()  # noqa: SIM905
MASKED = """
    /proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi
    /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware
""".split()  # noqa: SIM905
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {
        "destination": "/sys/fs/cgroup",
        "type": "cgroup",
        "source": "cgroup",
        "options": ["ro", "nosuid", "noexec", "nodev"],
    },
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
    {
        "destination": "/dev/shm",
        "type": "tmpfs",
        "source": "shm",
        "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
    },
]


def rootfs(path: Path) -> Path:
    """Make a root file system of busybox at ``path``."""
    for directory in ("bin", "dev", "etc", "proc", "sys", "root", "tmp", "home/guest", "var"):
        (path / directory).mkdir(parents=True)
    (path / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, path / "bin/busybox")
    for applet in APPLETS:
        (path / "bin" / applet).symlink_to("busybox")
    (path / "etc/passwd").write_text(PASSWD)
    (path / "etc/group").write_text(GROUP)
    return path


def config(*args: str, **process: Any) -> dict[str, Any]:
    """A config.json as Docker would write it, to run ``args``; keywords change the process."""
    sets = dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)
    return {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {
            "cwd": "/",
            "args": list(args),
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            "user": {"uid": 0, "gid": 0, "additionalGids": [0]},
            "capabilities": sets,
            "noNewPrivileges": False,
            **process,
        },
        "hostname": "testhost",
        "mounts": json.loads(json.dumps(MOUNTS)),
        "linux": {
            "namespaces": [{"type": type} for type in ("mount", "uts", "ipc", "pid", "network")],
            "resources": {"devices": [{"allow": False, "access": "rwm"}, *_device_rules()]},
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READONLY),
        },
    }


def _device_rules() -> list[dict[str, Any]]:
    """What Docker allows: the default devices, terminals, and mknod of anything."""
    numbers = [
        ("c", 1, 3),
        ("c", 1, 5),
        ("c", 1, 7),
        ("c", 1, 8),
        ("c", 1, 9),
        ("c", 5, 0),
        ("c", 5, 1),
        ("c", 5, 2),
        ("c", 136, None),
    ]
    anything = [{"allow": True, "type": type, "access": "m"} for type in "cb"]
    return anything + [{"allow": True, "type": t, "major": a, "minor": b, "access": "rwm"} for t, a, b in numbers]


def write(bundle: Path, spec: dict[str, Any]) -> Path:
    """Write ``spec`` as the bundle's config.json."""
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(spec))
    return bundle


def make(bundle: Path, *args: str, **process: Any) -> Path:
    """A whole bundle that runs ``args``: rootfs and config.json."""
    rootfs(bundle / "rootfs")
    return write(bundle, config(*args, **process))
