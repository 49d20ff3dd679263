"""The whole run's frame: the host is the same afterwards, and nothing is skipped in CI."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import cgroup_tree

IN_CI = os.environ.get("CI") == "true"

# A kernel call takes as long as it takes: no deadlines. In CI the same examples every time: red means red.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if IN_CI else "default")

# A script starts what is in its background with ^C ignored, and so would be all that the run starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# In pytest's cache, for tests/second_try.py.
LEFT_BEHIND = "minidock/left_behind"

# Whatever this run starts inherits this, and so is known among the processes of other runs on this machine.
os.environ["MINIDOCK_TEST_RUN"] = str(os.getpid())
OURS = f"MINIDOCK_TEST_RUN={os.getpid()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``root`` say what they lack where there is no root."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: run `make test` as root"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skip in CI is a failure: what CI does not test is not tested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _mounts() -> set[str]:
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def _links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def _cgroups() -> set[str]:
    return {str(path) for path in cgroup_tree.directories() if "minidock" in path.name}


def _nft_tables() -> set[str]:
    if not shutil.which("nft") or os.geteuid() != 0:
        return set()
    return set(subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines())


def _processes() -> set[str]:
    """The command lines of minidock's own processes, and of the peers that tests start."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
            ours = IN_CI or OURS.encode() in (directory / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        line = b" ".join(words).decode(errors="replace")
        if ours and any(
            name in line for name in ("minidock.", "minidockd", "docker-registry", "dockerd", "containerd")
        ):
            found.add(f"{directory.name}: {line[:150]}")
    return found - {line for line in found if line.startswith(f"{os.getpid()}:")}


def _host() -> dict[str, set[str]]:
    return {
        "mounts": _mounts(),
        "links": _links(),
        "cgroups": _cgroups(),
        "nft tables": _nft_tables(),
        "processes": _processes(),
        "sysctls": {Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()},
    }


@pytest.fixture(scope="session", autouse=True)
def the_host_is_left_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Mounts, links, cgroups, nft tables and processes are the same after the whole run as before it."""
    before = _host()
    yield
    after = _host()
    left = {what: after[what] - before[what] for what in before if after[what] - before[what]}
    if (cache := getattr(request.config, "cache", None)) is not None:  # pytest -p no:cacheprovider has none
        cache.set(LEFT_BEHIND, sorted(left))
    assert not left, f"the run left behind: {left}"
