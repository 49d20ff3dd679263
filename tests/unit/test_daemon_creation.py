"""What image and request say together, by Docker's rules."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.daemon import binds, creation, defaults, limits, names, spec
from minidock.daemon.signals import signal_number
from minidock.errors import InvalidInput
from minidock.kernel import capabilities as powers
from minidock.messages import ContainerConfig, ContainerCreate, HostConfig, Ulimit, decode, encode
from minidock.oci.image import ContainerDefaults

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2)
environments = st.lists(st.sampled_from(["A=1", "A=2", "B=", "C"]), max_size=3)


@given(entrypoint=st.none() | words, command=st.none() | words, image_entrypoint=words, image_command=words)
def test_an_entrypoint_drops_the_image_s_command(
    entrypoint: list[str] | None, command: list[str] | None, image_entrypoint: list[str], image_command: list[str]
) -> None:
    """The table of Docker's documentation, "Understand how CMD and ENTRYPOINT interact", with overrides."""
    image = ContainerDefaults(entrypoint=image_entrypoint, cmd=image_command)
    merged = creation.merge(ContainerCreate(entrypoint=entrypoint, cmd=command), image)
    if entrypoint:
        expected = entrypoint + (command or [])
    elif entrypoint is None:
        expected = image_entrypoint + (command or image_command)
    else:
        expected = command or image_command
    if expected:
        assert creation.arguments(merged) == expected
    else:
        with pytest.raises(InvalidInput, match="no command specified"):
            creation.arguments(merged)


@given(environments, environments)
def test_the_request_s_environment_wins(asked: list[str], image: list[str]) -> None:
    """Each name of the image is there unless the request has it too; nothing else is lost or made up."""
    merged = creation.merge(ContainerCreate(env=asked), ContainerDefaults(env=image)).env or []
    chosen = {entry.partition("=")[0] for entry in asked}
    assert merged == asked + [entry for entry in image if entry.partition("=")[0] not in chosen]


def test_one_empty_word_resets_the_entrypoint() -> None:
    """``--entrypoint ""`` reaches the engine as a list of one empty word."""
    merged = creation.merge(ContainerCreate(entrypoint=[""], cmd=["x"]), ContainerDefaults(entrypoint=["y"]))
    assert creation.arguments(merged) == ["x"]


ALL = set(powers.known())
DEFAULTS = set(defaults.CAPABILITIES)
capability_lists = st.lists(st.sampled_from(["ALL", "CHOWN", "cap_chown", "NET_ADMIN", "SYS_TIME"]), max_size=3)


@given(capability_lists, capability_lists)
def test_capabilities_against_a_model_of_sets(add: list[str], drop: list[str]) -> None:
    """Dropping ALL and adding some leaves those; a name that is added is there, whatever else is dropped."""
    full = {name if name == "ALL" else "CAP_" + name.upper().removeprefix("CAP_") for name in add}
    granted = set(spec.capabilities(HostConfig(cap_add=add, cap_drop=drop)))
    assert full - {"ALL"} <= granted <= ALL
    if not add and not drop:
        assert granted == DEFAULTS
    if "ALL" in drop:
        assert granted == full - {"ALL"}
    elif "ALL" in full:
        dropped = {"CAP_" + name.upper().removeprefix("CAP_") for name in drop}
        assert granted == (ALL - dropped) | (full - {"ALL"})


@given(st.builds(HostConfig, memory=st.integers(-1, 2**40), memory_swap=st.integers(-1, 2**40),
                 nano_cpus=st.integers(-1, 2**40), cpu_shares=st.integers(-1, 2**20), pids_limit=st.integers(-1, 100),
                 cpuset_cpus=st.sampled_from(["", "0", "0-0", "x", "3-1", "-1", "9999"])))  # fmt: skip
def test_limits_are_refused_or_become_what_the_kernel_takes(host: HostConfig) -> None:
    """Either an error, or: swap counts memory too, a quota is CPUs times the period, no limit is none."""
    try:
        limits.check(host)
    except InvalidInput as error:
        assert "\n" not in str(error)
        return
    asked = limits.resources(creation.with_defaults(host), [])
    if host.memory:
        assert asked.memory is not None and asked.memory.limit == host.memory
        assert asked.memory.swap in (-1, host.memory * 2, host.memory_swap)
    if host.nano_cpus:
        assert asked.cpu is not None and asked.cpu.period == 100_000
        assert asked.cpu.quota == host.nano_cpus // 10_000 <= (os.cpu_count() or 1) * 100_000
    assert (asked.pids is None) == ((host.pids_limit or 0) <= 0)


@given(st.integers(-1, 2**62), st.integers(-1, 2**62))
def test_ulimits_hold_soft_to_hard(soft: int, hard: int) -> None:
    """-1 is unlimited, and more than anything."""
    order = [2**64 - 1 if value == -1 else value for value in (soft, hard)]
    if order[0] > order[1]:
        with pytest.raises(InvalidInput):
            limits.rlimit(Ulimit(name="nofile", soft=soft, hard=hard))
    else:
        made = limits.rlimit(Ulimit(name="nofile", soft=soft, hard=hard))
        assert (made.type, made.soft, made.hard) == ("RLIMIT_NOFILE", *order)


@given(st.text(alphabet="/ab.:,rwo", max_size=12))
def test_any_text_after_v_is_refused_or_a_clean_mount(text: str) -> None:
    """Whatever is typed, the destination is absolute, has no dots, and is not the root."""
    try:
        found = binds.attached(ContainerConfig(), HostConfig(binds=[text]))
    except Exception as error:
        assert type(error).__name__ in ("InvalidInput", "NotImplementedYet")
        return
    (item,) = found
    parts = item.destination.split("/")
    assert parts[0] == "" and len(parts) > 1 and not {"", ".", ".."} & set(parts[1:])
    assert item.source.startswith("/") if item.kind == "bind" else item.anonymous == (not item.name)


def test_shallow_mounts_come_first() -> None:
    """A mount on /a must not hide an earlier one on /a/b; an anonymous volume gives way to a bind."""
    host = HostConfig(binds=["/x:/a/b", "/y:/a"], tmpfs={"/a/b/c": "exec,size=1m"})
    found = binds.attached(ContainerConfig(volumes={"/v": {}, "/a": {}}), host)
    assert [item.destination for item in found] == ["/a", "/v", "/a/b", "/a/b/c"]
    assert found[0].kind == "bind" and found[1].kind == "volume"
    assert found[3].options == ["nosuid", "nodev", "exec", "size=1m"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("KILL", 9),
        ("sigterm", 15),
        ("9", 9),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_signals_have_several_spellings(text: str, number: int) -> None:
    """With and without SIG, in any case, as a number, relative to the real-time signals."""
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "SIGNONSENSE", "RTMIN+99", "KILL+1", "RTMIN+"])
def test_signals_that_are_none_are_refused(text: str) -> None:
    """An unknown signal is an error, not 0."""
    with pytest.raises(InvalidInput, match="invalid signal"):
        signal_number(text)


@given(st.text(max_size=8))
def test_names_never_become_paths(name: str) -> None:
    """A name that is taken holds no slash, no dot at its beginning, and nothing that is not printable ASCII."""
    try:
        taken = names.check(name)
    except InvalidInput:
        return
    assert len(taken) > 1 and taken[0].isalnum() and taken.isascii() and "/" not in taken and taken.isprintable()


def test_invented_names_are_names_and_new() -> None:
    """A thousand containers without a name get a thousand names."""
    taken: set[str] = set()
    for _ in range(1000):
        name = names.invent(taken)
        assert names.check(name) == name and name not in taken
        taken.add(name)


@given(st.builds(HostConfig, memory=st.integers(), binds=st.none() | words, privileged=st.booleans()))
def test_documents_come_back_as_they_went(host: HostConfig) -> None:
    """A HostConfig through JSON is the same HostConfig, nulls and all."""
    assert decode(encode(ContainerCreate(host_config=host)), ContainerCreate).host_config == host
