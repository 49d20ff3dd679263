"""Waiting for processes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest

from minidock.kernel import syscalls


@pytest.mark.timeout(20)
def test_who_waits_hears_a_signal_that_did_not_wake_it() -> None:
    """One that another thread took, or that came just before the call: Python's handler runs all the same."""
    child = subprocess.Popen(["sleep", "60"])

    def take() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: os.kill(child.pid, signal.SIGTERM))
    try:
        threading.Thread(target=take).start()
        assert syscalls.wait_for(child.pid).signal == signal.SIGTERM
    finally:
        signal.signal(signal.SIGUSR1, before)
        child.returncode = 0  # reaped already
