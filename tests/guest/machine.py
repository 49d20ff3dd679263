"""One run of a virtual machine: a job goes in on a disk, its output comes out live, its results at the end.

The machine needs nothing of the host but qemu: no KVM (used if it works), no network, no mount, no root. The job is a
raw tar archive as the second disk. Two virtio serial ports lead out: one for what the job prints, one for a tar archive
of its results. The image is never written to: qemu keeps what changes (``-snapshot``), or has a copy, where the machine
is to be started again.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.guest.image import Image

CPUS, MEMORY = 2, "2048"
BOOT_LIMIT = 120.0
"""Seconds. A machine that has not begun its job by then hangs, and is started once more. 10 to 45 are usual."""
KVM_LIMIT = 30.0

MACHINES = {
    "x86_64": ("qemu-system-x86_64", "q35", "ttyS0"),
    "aarch64": ("qemu-system-aarch64", "virt", "ttyAMA0"),
}
EMULATED = ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max"]
ACCELERATED = ["-accel", "kvm", "-cpu", "host"]


class MachineFailed(Exception):
    """The machine did not boot, or did not come to an end; the message ends with its console."""


def run(image: Image, job: Path, results: Path, *, limit: float, systemd: bool = False) -> int:
    """Run ``job`` (a tar archive with ``checkout/`` and ``run``) and unpack what it leaves into ``results``.

    ``limit`` is in seconds, for all of it. Returns the job's exit status. Raises :class:`MachineFailed`.
    """
    deadline = time.monotonic() + limit
    with tempfile.TemporaryDirectory(prefix="minidock-disk-") as directory:
        disk = Path(directory, "disk.img") if systemd else image.disk
        if systemd:
            subprocess.run(["cp", "--sparse=always", "--reflink=auto", image.disk, disk], check=True)
        # A job that reboots has given no results yet. The next boot is another qemu: after a reset, an emulated machine
        # is many times slower.
        for may_reboot in (True, False) if systemd else (False,):
            status = _boot(image, disk, job, results, deadline, systemd, may_reboot)
            if status is not None:
                return status
    raise AssertionError


def _boot(
    image: Image, disk: Path, job: Path, results: Path, deadline: float, systemd: bool, may_reboot: bool
) -> int | None:
    attempts = [(ACCELERATED, KVM_LIMIT)] if _kvm_may_work(image) else []
    attempts += [(EMULATED, BOOT_LIMIT)] * 2
    for number, (acceleration, boot_limit) in enumerate(attempts, 1):
        with _Machine(image, disk, job, acceleration, systemd) as machine:
            if machine.boots(boot_limit):
                return machine.finish(deadline, results, may_reboot)
        if acceleration is ACCELERATED:
            print("/dev/kvm is there, but no guest boots on it: emulating", file=sys.stderr)
            (image.directory / "kvm-does-not-work").touch()
        else:
            print(f"the guest did not boot in {boot_limit:.0f} s", file=sys.stderr)
        if number == len(attempts):
            raise MachineFailed(f"no boot; the console's last words:\n{machine.console}")
    raise AssertionError


def _kvm_may_work(image: Image) -> bool:
    """Some hosts have a /dev/kvm on which no kernel boots: tried once, and remembered beside the image."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and not (image.directory / "kvm-does-not-work").exists()


class _Machine:
    """A qemu process; its first line of output is the boot's end."""

    def __init__(self, image: Image, disk: Path, job: Path, acceleration: list[str], systemd: bool) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="minidock-guest-")
        self.directory = Path(self._scratch.name)
        command = _command(image, disk, job, acceleration, systemd, self.directory)
        self.process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(self.directory / "errors").open("wb"),
            env=os.environ | {"TMPDIR": str(self.directory)},  # where -snapshot writes
        )
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def __enter__(self) -> _Machine:
        return self

    def __exit__(self, *exception: object) -> None:
        """Whatever happens, no qemu stays behind."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _pass_on(self) -> None:
        assert self.process.stdout
        if self.process.stdout.readline().strip() == b"started":
            self._started.set()
        while data := self.process.stdout.read(65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    @property
    def console(self) -> str:
        """The last lines of what qemu and the kernel said."""
        files = [path for name in ("errors", "console") if (path := self.directory / name).exists()]
        return "\n".join(line for path in files for line in path.read_text(errors="replace").splitlines()[-30:])

    def boots(self, limit: float) -> bool:
        """Whether the job begins within ``limit`` seconds."""
        deadline = time.monotonic() + limit
        while not self._started.wait(0.1):
            if self.process.poll() is not None or time.monotonic() > deadline:
                return False
        return True

    def finish(self, deadline: float, results: Path, may_reboot: bool) -> int | None:
        """Wait for the end; the job's status, or None: it goes on after a reboot. Raises MachineFailed."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise MachineFailed(f"not done in time; the console's last words:\n{self.console}") from None
        self._reader.join()
        written = (self.directory / "results").read_bytes()
        if may_reboot and not written:
            return None
        results.mkdir(exist_ok=True)
        try:
            subprocess.run(["tar", "-x", "-C", str(results)], input=written, check=True)
            return int((results / "status").read_text())
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise MachineFailed(f"no results ({error}); the console's last words:\n{self.console}") from None


def _command(image: Image, disk: Path, job: Path, acceleration: list[str], systemd: bool, scratch: Path) -> list[str]:
    """``no_timer_check``: without it some emulated boots hang on a busy host."""
    program, kind, console = MACHINES[platform.machine()]
    line = f"root=/dev/vda rw console={console} no_timer_check mitigations=off quiet panic=-1 guest.tests "
    line += "systemd.unified_cgroup_hierarchy=1" if systemd else "init=/usr/local/sbin/guest-init"
    return [
        *(program, "-M", kind, *acceleration, "-smp", str(CPUS), "-m", MEMORY),
        *("-nodefaults", "-display", "none", "-device", "virtio-rng-pci"),
        "-no-reboot",  # qemu ends instead
        *("-serial", f"file:{scratch}/console"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", line),
        *([] if systemd else ["-snapshot"]),
        *("-drive", f"file={disk},if=none,id=root,format=raw,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=root"),
        *("-drive", f"file={job},if=none,id=job,format=raw", "-device", "virtio-blk-pci,drive=job"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", "file,id=output,path=/dev/stdout", "-device", "virtserialport,chardev=output"),
        *("-chardev", f"file,id=results,path={scratch}/results", "-device", "virtserialport,chardev=results"),
    ]
