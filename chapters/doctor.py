"""``python -m chapters doctor``: can this machine do all that the course does? What is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chapters.course import AS_ROOT
from minidock.errors import MinidockError
from minidock.kernel import cgroups, features, syscalls


@dataclass(frozen=True)
class Finding:
    """One thing that the course needs (or would like: ``needed`` is False)."""

    what: str
    good: bool
    found: str
    remedy: str
    needed: bool = True


def examine() -> list[Finding]:
    """Look at everything. Changes nothing that lasts."""
    missing = features.missing()
    return [
        Finding("Linux", sys.platform == "linux", platform.release(), "cd vagrant && vagrant up"),
        Finding("Python", sys.version_info >= (3, 11), platform.python_version(), "3.11 or newer is needed"),
        Finding("root", os.geteuid() == 0, f"uid {os.geteuid()}", f"{AS_ROOT} …"),
        Finding("kernel", not missing, _names(missing) or "has what it needs", "; ".join(f.remedy for f in missing)),
        _cgroups(),
        _overlay(),
        _user_namespaces(),
        Finding("nft", shutil.which("nft") is not None, shutil.which("nft") or "not found", "apt install nftables"),
        _busybox(),
        _surroundings(),
    ]


def _names(missing: list[features.Feature]) -> str:
    return "lacks " + ", ".join(feature.name for feature in missing) if missing else ""


def _cgroups() -> Finding:
    layout = cgroups.detect()
    lacking = list(layout.missing)
    found = layout.kind + (f", without {', '.join(lacking)}" if lacking else "")
    remedy = "boot with systemd.unified_cgroup_hierarchy=1, or use the virtual machine"
    return Finding("cgroups", "memory" not in lacking and "pids" not in lacking, found, remedy)


def _overlay() -> Finding:
    """Overlay on what temporary files are on: inside a container that is often an overlay itself, which may fail."""
    remedy = "put TMPDIR on another file system (a tmpfs or an ext4 volume): overlay on overlay does not always work"
    if os.geteuid() != 0:
        return Finding("overlay", False, "only root can try", "run the doctor as root")
    with tempfile.TemporaryDirectory() as directory:
        for name in ("lower", "upper", "work", "merged"):
            (Path(directory) / name).mkdir()
        data = f"lowerdir={directory}/lower,upperdir={directory}/upper,workdir={directory}/work"
        try:
            syscalls.mount("overlay", f"{directory}/merged", "overlay", 0, data)
        except MinidockError as error:
            return Finding("overlay", False, str(error), remedy)
        syscalls.umount2(f"{directory}/merged", 0)
    return Finding("overlay", True, f"works on {tempfile.gettempdir()}", remedy)


def _user_namespaces() -> Finding:
    setting = Path("/proc/sys/user/max_user_namespaces")
    number = int(setting.read_text()) if setting.exists() else 0
    remedy = "sysctl user.max_user_namespaces=15000"
    return Finding("user namespaces", number > 0, f"at most {number}", remedy, needed=False)


def _busybox() -> Finding:
    place = shutil.which("busybox")
    found = place or "not found: the tiny image gets the shell's own libraries instead"
    return Finding("busybox", place is not None, found, "apt install busybox-static", needed=False)


def _surroundings() -> Finding:
    """Where we are: some places look like Linux and lack the half of it."""
    if "microsoft" in platform.release().lower():
        return Finding("place", "WSL2" in platform.release(), "WSL", "use WSL 2, with systemd=true in /etc/wsl.conf")
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        remedy = "start it with --privileged and a volume for /var/lib/minidock, or use the virtual machine"
        return Finding("place", False, "inside a container", remedy, needed=False)
    return Finding("place", True, "a machine of its own", "")
