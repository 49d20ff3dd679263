"""Restart policies: which container starts again when its program has ended, and after how long.

Docker's rules. Between two starts lies a pause that doubles from 100 ms to a minute, and is forgotten after a run of
ten seconds. A container that the user stopped stays stopped, whatever its policy. When the daemon starts, ``always``
means what it says, ``unless-stopped`` remembers the user's wish, and ``on-failure`` starts only what has failed while
no daemon was there to see it.

What surprises: ``docker kill -s HUP`` counts as stopping, too, unless the container has a stop signal of its own and
HUP is not it. The program may well go on; but when it ends, it has ended.

Source: moby, ``restartmanager/restartmanager.go``, ``daemon/monitor.go``, ``daemon/kill.go``.
"""

from __future__ import annotations

import signal

from minidock.daemon.records import State
from minidock.daemon.signals import signal_number
from minidock.errors import InvalidInput
from minidock.messages import ContainerConfig, HostConfig, RestartPolicy

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
GOOD_RUN = 10.0
"""All in seconds."""
POLICIES = ("no", "always", "on-failure", "unless-stopped")


def check(host: HostConfig) -> None:
    """Raises InvalidInput, in Docker's words, for a policy that cannot be meant."""
    policy = host.restart_policy
    if policy.name not in ("", *POLICIES):
        names = "', '".join(POLICIES[:3])
        raise InvalidInput(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of '{names}', or '{POLICIES[3]}'"
        )
    if policy.name == "on-failure" and policy.maximum_retry_count < 0:
        raise InvalidInput("invalid restart policy: maximum retry count cannot be negative")
    if policy.name not in ("", "on-failure") and policy.maximum_retry_count:
        negative = " and cannot be negative" if policy.maximum_retry_count < 0 else ""
        raise InvalidInput(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{negative}")
    if host.auto_remove and policy.name not in ("", "no"):
        raise InvalidInput("can't create 'AutoRemove' container with restart policy")


def after_exit(policy: RestartPolicy, state: State) -> bool:
    """The program has just ended, as ``state`` says: is it to start again?"""
    if state.manually_stopped:
        return False
    if policy.name == "on-failure":
        limit = policy.maximum_retry_count
        return state.exit_code != 0 and (limit == 0 or state.restart_count < limit)
    return policy.name in ("always", "unless-stopped")


def at_boot(policy: RestartPolicy, state: State, unseen: bool) -> bool:
    """The daemon has just started: is this container to run again? ``unseen``: it ended while there was no daemon."""
    if not state.started_ns or state.status != "exited":
        return False
    return policy.name == "always" or (after_exit(policy, state) and (unseen or policy.name == "unless-stopped"))


def next_pause(last: float, ran_ns: int) -> float:
    """Seconds until the next start, after the pause before the ``last`` one and a run of ``ran_ns``."""
    if last == 0 or ran_ns >= GOOD_RUN * 1e9:
        return FIRST_PAUSE
    return min(last * 2, LONGEST_PAUSE)


def counts_as_stopping(config: ContainerConfig, number: int) -> bool:
    """Does a signal sent by hand mean that the user wants the container to end?"""
    return not config.stop_signal or number in (signal.SIGKILL, signal_number(config.stop_signal))
