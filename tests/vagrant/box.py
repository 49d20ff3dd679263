"""A Vagrant box for libvirt, made of Debian's packages alone, without a loop device or a mount.

mmdebstrap makes the root, ``mke2fs -d`` makes it a file system inside a disk image, and GRUB is put before it by hand,
which is all that grub-install would do: ``boot.img`` in the first sector, ``core.img`` before the first partition.
The box trusts Vagrant's public "insecure" key, as boxes do, and this host's certificates: it is for tests only.

Sources: the box format of vagrant-libvirt (``metadata.json``, ``Vagrantfile``, ``box.img``), grub-mkimage(1).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import struct
import subprocess
import tempfile
import uuid
from pathlib import Path

from tests.fresh.machine import cache, reach_packages

PACKAGES = """
    systemd-sysv dbus udev kmod linux-image-cloud-amd64 initramfs-tools grub-pc openssh-server sudo rsync iproute2
    ca-certificates procps python3 python3-venv nftables make bash-completion busybox-static
""".split()  # noqa: SIM905
SIZE_MIB = 4096  # sparse
FIRST_SECTOR = 2048
KEY = next(Path("/usr/share/rubygems-integration/all/gems").glob("vagrant-*/keys/vagrant.pub"), Path("/no/vagrant"))
KERNEL_LINE = "rw console=ttyS0 net.ifnames=0 no_timer_check mitigations=off quiet"  # the last two: emulation is slow
GRUB = """\
set timeout=0
search --no-floppy --fs-uuid --set=root {uuid}
linux /vmlinuz root=UUID={uuid} {line}
initrd /initrd.img
boot
"""
GRUB_MODULES = "biosdisk part_msdos ext2 normal linux search search_fs_uuid boot configfile minicmd"
UNWANTED = ("apt-daily.timer", "apt-daily-upgrade.timer", "systemd-networkd-wait-online.service")
NETWORK = "[Match]\nName=e*\n[Network]\nDHCP=yes\n[DHCPv4]\nClientIdentifier=mac\n"
BOX_VAGRANTFILE = (
    'Vagrant.configure("2") { |config| config.vm.provider(:libvirt) { |machine| machine.disk_bus = "virtio" } }\n'
)


def box() -> Path:
    """The box of today's recipe, from the cache or made now (one to two minutes)."""
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    made = cache("vagrant") / f"minidock-{key}.box"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=made.parent, prefix="making-") as scratch:
                _make(Path(scratch)).rename(made)
    return made


def _make(scratch: Path) -> Path:
    root, identity = scratch / "root", str(uuid.uuid4())
    unread = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    _run(
        "mmdebstrap", "--quiet", "--variant=minbase", *unread, f"--include={','.join(PACKAGES)}", "bookworm", str(root)
    )
    _configure(root, identity)
    disk = scratch / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(SIZE_MIB << 20)
    offset = f"offset={FIRST_SECTOR * 512},lazy_itable_init=1"
    blocks = str((SIZE_MIB - 1) * 1024)
    _run(
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-U",
        identity,
        "-E",
        offset,
        "-d",
        str(root),
        str(disk),
        f"{blocks}k",
    )
    _make_bootable(disk, root)
    _run("qemu-img", "convert", "-O", "qcow2", "-c", str(disk), str(scratch / "box.img"))
    (scratch / "metadata.json").write_text(
        json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": SIZE_MIB >> 10})
    )
    (scratch / "Vagrantfile").write_text(BOX_VAGRANTFILE)
    _run("tar", "-C", str(scratch), "-cf", str(scratch / "made.box"), "metadata.json", "Vagrantfile", "box.img")
    return scratch / "made.box"


def _configure(root: Path, identity: str) -> None:
    """What an installer asks: names, disks, network, a user, and how to boot."""
    reach_packages(root)
    (root / "etc/hostname").write_text("bookworm\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 bookworm\n")
    (root / "etc/fstab").write_text(f"UUID={identity} / ext4 rw,noatime 0 1\n")
    (root / "etc/resolv.conf").write_text("nameserver 192.168.121.1\n")  # vagrant-libvirt's own network
    (root / "etc/systemd/network/20-dhcp.network").write_text(NETWORK)
    _run("chroot", str(root), "systemctl", "--quiet", "enable", "systemd-networkd.service")
    _run("chroot", str(root), "systemctl", "--quiet", "mask", *UNWANTED)
    _run("chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", "vagrant")
    (root / "etc/sudoers.d/vagrant").write_text("vagrant ALL=(ALL) NOPASSWD: ALL\n")
    (root / "etc/ssh/sshd_config.d/vagrant.conf").write_text("UseDNS no\n")
    keys = root / "home/vagrant/.ssh"
    keys.mkdir(mode=0o700)
    shutil.copy(KEY, keys / "authorized_keys")
    _run("chroot", str(root), "chown", "-R", "vagrant:vagrant", "/home/vagrant/.ssh")
    grub = root / "boot/grub"
    shutil.copytree(root / "usr/lib/grub/i386-pc", grub / "i386-pc")
    (grub / "grub.cfg").write_text(GRUB.format(uuid=identity, line=KERNEL_LINE))
    _run("chroot", str(root), "grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-o",
         "/boot/grub/i386-pc/core.img", *GRUB_MODULES.split())  # fmt: skip


def _make_bootable(disk: Path, root: Path) -> None:
    """One bootable Linux partition in the partition table, and GRUB before it."""
    sectors = (SIZE_MIB << 11) - FIRST_SECTOR
    partition = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", FIRST_SECTOR, sectors)
    modules = root / "boot/grub/i386-pc"
    with disk.open("r+b") as file:
        file.write((modules / "boot.img").read_bytes()[:440])
        file.write(b"MDCK\0\0" + partition + bytes(48) + b"\x55\xaa")
        file.write((modules / "core.img").read_bytes())


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-3000:]}"
