"""What goes into the guest: the checkout as it is now, uncommitted changes and all, and a script to run in it."""

from __future__ import annotations

import compileall
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from py_compile import PycInvalidationMode

from tests.guest.image import PROJECT

INSIDE = "/job/checkout"


def pack(archive: Path, script: str) -> None:
    """Write the tar archive that ``guest-init`` unpacks: ``checkout/`` and ``run``."""
    with tempfile.TemporaryDirectory(prefix="minidock-checkout-") as directory:
        checkout = Path(directory, "checkout")
        _copy_checkout(checkout)
        _install(checkout, Path(directory, "bin"))
        _compile(checkout)
        Path(directory, "run").write_text(script)
        subprocess.run(["tar", "-C", directory, "-cf", str(archive), "checkout", "bin", "run"], check=True)


def _copy_checkout(checkout: Path) -> None:
    """The files that git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():  # git also lists what was just deleted
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, checkout / name)


def _install(checkout: Path, commands: Path) -> None:
    """pip would take long in the guest. All that it would add: the package's name and version, and the commands."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    information = checkout / f"minidock-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: minidock\nVersion: {project['version']}\n")
    commands.mkdir()
    for name, entry in project["scripts"].items():
        module, _, function = entry.partition(":")
        (commands / name).write_text(f"#!/usr/bin/python3\nfrom {module} import {function}\n{function}()\n")
        (commands / name).chmod(0o755)


def _compile(checkout: Path) -> None:
    """The guest is slow, and this Python is often of its version. If not, it compiles for itself."""
    compileall.compile_dir(
        checkout,
        quiet=2,
        stripdir=str(checkout),
        prependdir=INSIDE,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
