"""Who may look into the daemon's directories: root, and nobody else (CVE-2021-41091, CVE-2024-25621)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.harness import running_daemon

pytestmark = pytest.mark.root

AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_nobody_sees_what_is_inside() -> None:
    """Whoever knows every name by heart still reaches nothing below the roots: a layer may hold setuid programs."""
    with running_daemon() as daemon:
        daemon.ok("run", "-d", "--name", "one", "tiny", "sleep", "1000")
        daemon.root.chmod(0o755)  # the temporary directory's own mode must not be what protects them
        roots = [daemon.root / "data", daemon.root / "exec"]
        names = [path for root in roots for path in root.rglob("*") if path.relative_to(root).parts[1:]]
        inside = [path for path in names if path.parent != daemon.root / "exec" / "containers"]
        assert any(path.name == "busybox" for path in inside) and any(path.name == "config.json" for path in inside)
        seen = subprocess.run([*AS_NOBODY, "stat", "--format=%n", *map(str, inside)], capture_output=True, text=True)
        assert seen.stdout == ""
        listed = [line for root in roots for line in _listing(root)]
        assert listed == []


def _listing(root: Path) -> list[str]:
    """What nobody can list: every directory below ``root`` is tried."""
    directories = [str(path) for path in (root, *root.rglob("*")) if path.is_dir() and not path.is_symlink()]
    done = subprocess.run([*AS_NOBODY, "ls", "-A", *directories], capture_output=True, text=True, env=dict(os.environ))
    return [line for line in done.stdout.splitlines() if line]
