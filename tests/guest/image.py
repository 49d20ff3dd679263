"""The guest's disk: Debian packages, Python packages and a first process, as an ext4 file; no loop device, no mount.

mmdebstrap unpacks Debian into a directory, pip adds what the tests import, ``mke2fs -d`` makes the directory a disk.
The result is kept, under a name made of all that goes in: whoever changes the recipe gets another disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SIZE = "3G"  # sparse: some 400 MB are used

KERNELS = {"x86_64": "linux-image-cloud-amd64", "aarch64": "linux-image-cloud-arm64"}
PACKAGES = {
    "to boot": ["systemd-sysv", "dbus", "udev", "kmod", "initramfs-tools"],
    "for the engine": ["python3", "nftables", "ca-certificates"],
    "for its tests": ["procps", "iproute2", "iputils-ping", "strace", "libcap2-bin", "attr", "busybox-static", "make"],
    "in our runtime's place": ["runc", "crun"],
}
TEST_REQUIREMENTS = ["pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "docker", "jsonschema"]
"""Of the project's development dependencies, those that tests import; not those that check style or make the book."""
MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "ext4"]
"""All that has to be loaded before the root file system is there: a small initrd is unpacked sooner."""
UNWANTED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"]
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""Each Debian's own Python."""


class Image(NamedTuple):
    """What qemu boots: never changed once it is there."""

    disk: Path
    kernel: Path
    initrd: Path

    @property
    def directory(self) -> Path:
        """Where it all is, and what is known about it."""
        return self.disk.parent


def suite() -> str:
    """The Debian inside: ``MINIDOCK_GUEST_SUITE``, or the host's own, or Debian 12."""
    name = os.environ.get("MINIDOCK_GUEST_SUITE") or platform.freedesktop_os_release().get("VERSION_CODENAME")
    return name if name in PYTHONS else "bookworm"


def cache() -> Path:
    """Where images are kept: ``XDG_CACHE_HOME/minidock/guest``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minidock/guest"


def image() -> Image:
    """The image of today's recipe, from the cache or made now (one to two minutes)."""
    directory = cache() / f"{suite()}-{_key()}"
    cache().mkdir(parents=True, exist_ok=True)
    with _lock(cache() / "lock"):
        if not directory.exists():
            print(f"making the guest's image: {directory}", file=sys.stderr, flush=True)
            _clean()
            with tempfile.TemporaryDirectory(dir=cache(), prefix="making-") as scratch:
                _make(Path(scratch))
                (Path(scratch) / "image").rename(directory)
        os.utime(directory)
    return Image(directory / "disk.img", directory / "vmlinuz", directory / "initrd.img")


def _key() -> str:
    """A new Debian update does not change it, and need not."""
    docker = Path(shutil.which("docker") or "/nowhere")
    recipe = [suite(), platform.machine(), *_requirements(), str(docker.stat().st_size if docker.exists() else 0)]
    recipe += [(HERE / name).read_text() for name in ("image.py", "guest-init", "guest.service")]
    return hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]


def _packages() -> list[str]:
    return [KERNELS[platform.machine()], *(name for names in PACKAGES.values() for name in names)]


def _requirements() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *TEST_REQUIREMENTS]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Two runs at once make one image, and the second uses it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _clean() -> None:
    """Take away what a killed run left half made, and images that nobody has used for a fortnight."""
    for directory in [path for path in cache().iterdir() if path.is_dir()]:
        if directory.name.startswith("making-") or time.time() - directory.stat().st_mtime > 14 * 86400:
            shutil.rmtree(directory)


def _make(scratch: Path) -> None:
    root, product = scratch / "root", scratch / "image"
    product.mkdir()
    _unpack_debian(root)
    _install_python_packages(root)
    _configure(root)
    shutil.copy(next(root.glob("boot/vmlinuz-*")), product / "vmlinuz")
    shutil.copy(next(root.glob("boot/initrd.img-*")), product / "initrd.img")
    _run("truncate", "-s", SIZE, str(product / "disk.img"))
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1", "-d", str(root), str(product / "disk.img"))


def _unpack_debian(root: Path) -> None:
    """The initrd is made once, while the kernel is installed, so what it holds must be said before."""
    modules = " ".join(MODULES).replace(" ", "\\n")
    say = (
        'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d" && '
        'printf "MODULES=list\\nCOMPRESS=gzip\\n" > "$1/etc/initramfs-tools/conf.d/guest" && '
        f'printf "{modules}\\n" > "$1/usr/share/initramfs-tools/modules.d/guest"'
    )
    unread = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--mode=root",
        "--format=directory",
        "--aptopt=APT::Install-Recommends false",
        *unread,
        f"--essential-hook={say}",
        f"--include={','.join(_packages())}",
        suite(),
        str(root),
    )


def _install_python_packages(root: Path) -> None:
    """Wheels for the guest's Python, fetched by the host's pip, as Debian's own ``dist-packages`` for local ones.

    They are compiled now: the guest is some eight times slower.
    """
    version = PYTHONS[suite()]
    target = f"usr/local/lib/python{version}/dist-packages"
    (root / target).mkdir(parents=True, exist_ok=True)
    (root / target / "checkout.pth").write_text("/job/checkout\n")  # as an editable installation
    machine = platform.machine()
    tags = [f"--platform={tag}_{machine}" for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    only = [f"--python-version={version}", "--implementation=cp", "--only-binary=:all:", *tags]
    _run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        f"--target={root / target}",
        *only,
        *_requirements(),
    )
    _run("chroot", str(root), "python3", "-m", "compileall", "-q", f"/{target}", f"/usr/lib/python{version}")


def _configure(root: Path) -> None:
    docker = shutil.which("docker")
    if docker:  # the client's version is the host's, so that the same tests see the same client
        shutil.copy(docker, root / "usr/local/bin/docker")
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    (root / "etc/fstab").write_text("")  # the kernel's command line says where the root is
    units = root / "etc/systemd/system"
    for unit in UNWANTED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    shutil.copy(HERE / "guest-init", root / "usr/local/sbin/guest-init")
    shutil.copy(HERE / "guest.service", units / "guest.service")
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/guest.service").symlink_to("/etc/systemd/system/guest.service")
    for path in [*root.glob("var/lib/apt/lists/*_*"), *root.glob("var/cache/apt/archives/*.deb")]:
        path.unlink()


def _run(*command: str) -> None:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(["nice", *command], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
