"""Tests that install a service and reboot: only in a guest made for it (``python -m tests.guest --systemd``)."""

from __future__ import annotations

import os

import pytest

if os.environ.get("MINIDOCK_GUEST") != "systemd":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def the_host_is_left_as_it_was() -> None:
    """Not here: this machine is thrown away."""
