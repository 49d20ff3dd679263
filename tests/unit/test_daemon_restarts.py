"""Restart policies as a table: who starts again, when, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.daemon import restarts
from minidock.daemon.records import State
from minidock.errors import InvalidInput
from minidock.messages import ContainerConfig, HostConfig, RestartPolicy

names = st.sampled_from(["", *restarts.POLICIES])
states = st.builds(
    State,
    status=st.just("exited"),
    exit_code=st.sampled_from([0, 1, 137]),
    restart_count=st.integers(0, 5),
    manually_stopped=st.booleans(),
    started_ns=st.sampled_from([0, 1]),
)


@given(names, st.integers(0, 4), states)
def test_after_the_end(name: str, limit: int, state: State) -> None:
    """What was stopped by hand stays so; the others as their policy says."""
    policy = RestartPolicy(name=name, maximum_retry_count=limit if name == "on-failure" else 0)
    failed_too_often = limit > 0 and state.restart_count >= limit
    expected = {
        "always": True,
        "unless-stopped": True,
        "on-failure": state.exit_code != 0 and not failed_too_often,
    }.get(name, False)
    assert restarts.after_exit(policy, state) is (expected and not state.manually_stopped)


@given(names, states, st.booleans())
def test_at_boot(name: str, state: State, unseen: bool) -> None:
    """Nothing starts that never ran; ``always`` starts what was stopped by hand, and nobody else does."""
    starts = restarts.at_boot(RestartPolicy(name=name), state, unseen)
    if not state.started_ns or name in ("", "no"):
        assert not starts
    elif name == "always":
        assert starts
    elif state.manually_stopped:
        assert not starts
    elif name == "on-failure":
        assert starts is (unseen and state.exit_code != 0)
    else:
        assert starts


def test_pauses_double_up_to_a_minute() -> None:
    """100 ms, 200 ms, … 51.2 s, a minute, and no longer; a run of ten seconds begins anew."""
    pauses = [restarts.next_pause(0, 10**20)]
    for _ in range(11):
        pauses.append(restarts.next_pause(pauses[-1], 9 * 10**9))
    assert pauses == pytest.approx([0.1 * 2**number for number in range(10)] + [60, 60])
    assert restarts.next_pause(60, 10 * 10**9) == 0.1


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (RestartPolicy(name="sometimes"), "unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or "),
        (RestartPolicy(name="always", maximum_retry_count=2), "can only be used with 'on-failure'$"),
        (RestartPolicy(name="no", maximum_retry_count=-1), "with 'on-failure' and cannot be negative"),
        (RestartPolicy(name="on-failure", maximum_retry_count=-1), "maximum retry count cannot be negative"),
    ],
)
def test_policies_that_make_no_sense(policy: RestartPolicy, text: str) -> None:
    """Docker's words."""
    with pytest.raises(InvalidInput, match=text):
        restarts.check(HostConfig(restart_policy=policy))


def test_which_signals_count_as_stopping() -> None:
    """Any, unless the container has a stop signal: then that one and KILL."""
    assert restarts.counts_as_stopping(ContainerConfig(), 1)
    own = ContainerConfig(stop_signal="SIGQUIT")
    assert [number for number in range(1, 32) if restarts.counts_as_stopping(own, number)] == [3, 9]
