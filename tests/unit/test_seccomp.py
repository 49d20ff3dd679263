"""Compiled filters, run by an interpreter of classic BPF, against a direct reading of the profile."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidock.daemon.seccomp_profile
from minidock.daemon.seccomp_profile import default_profile, expand
from minidock.errors import InvalidInput, InvalidSpec
from minidock.kernel import capabilities, classic_bpf, seccomp
from minidock.kernel.seccomp import ALLOW, AUDIT_X86_64, KILL_PROCESS, X32_BIT, Condition, Profile, Rule

ENOSYS = 0x00050000 | 38
EPERM = 0x00050000 | 1
AUDIT = dict(seccomp.ARCHITECTURES.values())


@dataclass(frozen=True)
class SystemCall:
    """What a filter sees: ``struct seccomp_data`` without the instruction pointer."""

    number: int
    audit: int
    args: Sequence[int] = (0, 0, 0, 0, 0, 0)


def run(program: bytes, call: SystemCall) -> int:
    """Interpret a classic BPF program as the kernel does; a jump out of it, or an unknown instruction, is an error."""
    data = b"".join(
        value.to_bytes(size, "little")
        for value, size in [(call.number, 4), (call.audit, 4), (0, 8), *((a, 8) for a in call.args)]
    )
    instructions = list(classic_bpf.INSTRUCTION.iter_unpack(program))
    accumulator = position = 0
    while True:
        code, if_true, if_false, operand = instructions[position]
        position += 1
        match code:
            case 0x20:
                assert operand % 4 == 0
                accumulator = int.from_bytes(data[operand : operand + 4], "little")
            case 0x54:
                accumulator &= operand
            case 0x05:
                position += operand
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x25:
                position += if_true if accumulator > operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(f"instruction {code:#x} is not one of ours")


def read(profile: Profile, call: SystemCall) -> int:
    """What the profile says about the call, by the letter: no ranges, no halves of 64 bits, no jumps."""
    names = [name for name in profile.architectures if seccomp.ARCHITECTURES[name][1] == call.audit]
    if not names:
        return KILL_PROCESS
    if call.audit == AUDIT_X86_64:
        if call.number == 0xFFFFFFFF:
            return profile.unknown_answer
        wanted = "SCMP_ARCH_X32" if call.number >= X32_BIT else "SCMP_ARCH_X86_64"
        if wanted not in names:
            return KILL_PROCESS
        names = [wanted]
    table = seccomp.numbers()[seccomp.ARCHITECTURES[names[0]][0]]
    base = X32_BIT if names[0] == "SCMP_ARCH_X32" else 0
    named = {table[name] for rule in profile.rules for name in rule.names if name in table}
    ordinary = [number for number in named if number - base < 0xF0000]
    if call.number not in named:
        beyond = ordinary and call.number > max(ordinary)
        return profile.unknown_answer if beyond else profile.default_answer
    rules = [rule for rule in profile.rules if call.number in {table.get(name) for name in rule.names}]
    rules = [rule for rule in rules if rule.answer != profile.default_answer]
    for rule in rules:
        if not rule.conditions:
            return rule.answer
    for rule in rules:
        if all(_holds(condition, call.args[condition.index]) for condition in rule.conditions):
            return rule.answer
    return profile.default_answer


def _holds(condition: Condition, argument: int) -> bool:
    value = condition.value
    return {
        "EQ": argument == value,
        "NE": argument != value,
        "LT": argument < value,
        "LE": argument <= value,
        "GT": argument > value,
        "GE": argument >= value,
        "MASKED_EQ": argument & value == condition.value_two,
    }[condition.operator]


# Few names, so that rules collide; close numbers and far ones, one that each architecture lacks, and one nobody has.
_NAMES = ["read", "write", "clone", "socket", "personality", "mseal", "open", "mmap2", "arch_prctl", "set_tls", "fly"]
_INTERESTING = [0, 1, 2, 39, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, 0x7E020000, (1 << 64) - 1]
_values = st.sampled_from(_INTERESTING) | st.integers(min_value=0, max_value=(1 << 64) - 1)
_operators = st.sampled_from(["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"])
_conditions = st.builds(Condition, st.integers(0, 5), _operators, _values, _values)
_answers = st.sampled_from([ALLOW, EPERM, ENOSYS, KILL_PROCESS, 0x7FFC0000, 0])


_rules = st.builds(
    Rule,
    names=st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True).map(tuple),
    answer=_answers,
    conditions=st.lists(_conditions, max_size=3).map(tuple),
)


_profiles = st.builds(
    Profile,
    default_answer=_answers,
    unknown_answer=_answers,
    architectures=st.lists(st.sampled_from(sorted(seccomp.ARCHITECTURES)), min_size=1, unique=True).map(tuple),
    rules=st.lists(_rules, max_size=8).map(tuple),
)


@st.composite
def _profile_and_call(draw: st.DrawFn) -> tuple[Profile, SystemCall]:
    profile = draw(_profiles)
    table = seccomp.numbers()[draw(st.sampled_from(sorted(AUDIT)))]
    known = sorted(table[name] for name in _NAMES if name in table)
    near = st.sampled_from(known).flatmap(lambda number: st.integers(max(0, number - 1), number + 1))
    number = draw(
        near | st.sampled_from([0, X32_BIT - 1, X32_BIT, 0xFFFFFFFF, 0x7FFFFFFF]) | st.integers(0, 0xFFFFFFFF)
    )
    # Values that conditions compare with, and their neighbours, are where mistakes are.
    compared = [condition.value for rule in profile.rules for condition in rule.conditions] or [0]
    compared += [condition.value_two for rule in profile.rules for condition in rule.conditions]
    argument = st.sampled_from(compared).flatmap(lambda value: st.sampled_from([value, value - 1, value + 1])) | _values
    args = tuple(value % (1 << 64) for value in draw(st.lists(argument, min_size=6, max_size=6)))
    return profile, SystemCall(number, draw(st.sampled_from([*AUDIT.values(), 0xC0000015])), args)


@given(_profile_and_call())
@settings(max_examples=200)
def test_a_program_answers_as_the_profile_reads(case: tuple[Profile, SystemCall]) -> None:
    """Whatever the profile and the call, compiling changed nothing."""
    profile, call = case
    assert run(seccomp.compile_profile(profile), call) == read(profile, call)


def test_far_jumps() -> None:
    """A program much longer than a conditional jump reaches answers right too, for every call and every border."""
    operators = ["EQ", "NE", "LT", "LE", "GT", "GE"]
    rules = tuple(
        Rule(
            (name,),
            0x00050000 | number,
            (Condition(number % 6, operators[number % 6], number << 28), Condition(5, "NE", 0)),
        )
        for number, name in enumerate(["read", "write", "socket", "clone", "mseal"] * 16, start=1)
    )
    profile = Profile(EPERM, ENOSYS, ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"), rules)
    program = seccomp.compile_profile(profile)
    assert len(program) // 8 > 4 * 255
    table = seccomp.numbers()["x86_64"]
    for name in ("read", "write", "socket", "clone", "mseal", "open"):
        for number in range(84):
            for difference in (-1, 0, 1):
                args = [max(0, (number << 28) + difference)] * 6
                call = SystemCall(table[name], AUDIT_X86_64, args)
                assert run(program, call) == read(profile, call)


def test_no_jump_of_any_program_is_longer_than_its_field() -> None:
    """A profile with 700 conditions on one call compiles: nothing overflows, nothing recurses too deep."""
    rules = tuple(Rule(("read",), ALLOW, (Condition(0, "EQ", value),)) for value in range(700))
    profile = Profile(EPERM, ENOSYS, ("SCMP_ARCH_X86_64",), rules)
    program = seccomp.compile_profile(profile)
    for value in (0, 1, 350, 699, 700, 1 << 32):
        call = SystemCall(0, AUDIT_X86_64, (value, 0, 0, 0, 0, 0))
        assert run(program, call) == (ALLOW if value < 700 else EPERM)


def test_a_profile_too_large_for_the_kernel_is_refused() -> None:
    """The kernel takes 4096 instructions: we say so before it says EINVAL."""
    rules = tuple(Rule(("read",), ALLOW, (Condition(0, "EQ", value),)) for value in range(1100))
    with pytest.raises(InvalidSpec, match="4096"):
        seccomp.compile_profile(Profile(EPERM, ENOSYS, ("SCMP_ARCH_X86_64",), rules))


@pytest.mark.parametrize(
    "broken",
    [
        {"defaultAction": "SCMP_ACT_NONSENSE"},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86_64"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_FLY"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1},
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 70000},
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 5}],
        },
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}
            ],
        },
    ],
    ids=["action", "architecture", "flag", "errno without ERRNO", "large errno", "errno for KILL", "argument 6"],
)
def test_invalid_profiles_are_errors(broken: dict[str, Any]) -> None:
    """What cannot be meant is refused, and never loaded as something else."""
    with pytest.raises(InvalidSpec):
        seccomp.parse(broken)


def test_what_the_specification_leaves_open_is_as_in_runc() -> None:
    """Two conditions on one argument are alternatives, ERRNO means EPERM, other machines' architectures say nothing."""
    profile = seccomp.parse(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [
                {
                    "names": ["read", "only_in_the_future"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (3, 4)],
                }
            ],
        }
    )
    assert (profile.default_answer, profile.unknown_answer, profile.flags) == (EPERM, ENOSYS, 2)
    assert profile.architectures == ("SCMP_ARCH_X86_64",)
    program = seccomp.compile_profile(profile)
    answers = [run(program, SystemCall(0, AUDIT_X86_64, (first, 0, 0, 0, 0, 0))) for first in (3, 4, 5)]
    assert answers == [ALLOW, ALLOW, EPERM]


def test_without_architectures_it_is_the_machines_own() -> None:
    """A profile that names none is for native programs; all others are killed."""
    (architecture,) = seccomp.parse({"defaultAction": "SCMP_ACT_ALLOW"}).architectures
    assert architecture.removeprefix("SCMP_ARCH_").lower() == os.uname().machine


# --- the default profile ---------------------------------------------------------------------------------------------

DOCKERS = frozenset(capabilities.names(0xA80425FB))


def _default(capabilities: frozenset[str] = DOCKERS, machine: str = "x86_64") -> bytes:
    text = (Path(minidock.daemon.seccomp_profile.__file__).parent / "seccomp_default.json").read_text()
    return seccomp.compile_profile(seccomp.parse(expand(json.loads(text), capabilities, machine, "6.1.0")))


_X86 = ["x86_64", "x86", "x32"]
_ALL = [(name, "x86_64") for name in _X86] + [("aarch64", "aarch64"), ("arm", "aarch64")]


def _call(architecture: str, name: str, *args: int) -> SystemCall:
    number = seccomp.numbers()[architecture][name]
    return SystemCall(number, AUDIT[architecture], [*args, 0, 0, 0, 0, 0, 0][:6])


@pytest.mark.parametrize(("architecture", "machine"), _ALL)
def test_the_default_profile_denies(architecture: str, machine: str) -> None:
    """The kernel's doors that Docker shuts are shut through every architecture's entrance."""
    program = _default(machine=machine)
    denied = (
        "mount umount2 pivot_root unshare setns sethostname setdomainname keyctl add_key request_key bpf "
        "perf_event_open userfaultfd kexec_load init_module finit_module delete_module reboot swapon swapoff syslog "
        "acct quotactl "
        "open_by_handle_at move_mount fsopen open_tree mount_setattr io_uring_setup io_uring_enter process_madvise kcmp"
    )
    for name in denied.split():
        if name in seccomp.numbers()[architecture]:
            assert run(program, _call(architecture, name)) == EPERM, name
    assert run(program, _call(architecture, "clone3")) == ENOSYS


@pytest.mark.parametrize(("architecture", "machine"), _ALL)
def test_the_default_profile_looks_at_arguments(architecture: str, machine: str) -> None:
    """Sockets by family, clone by its namespace flags, personality by value."""
    program = _default(machine=machine)
    families = {family: run(program, _call(architecture, "socket", family, 1)) for family in range(50)}
    assert {family for family, answer in families.items() if answer == EPERM} == {38, 40, 46, 47, 48, 49}
    assert run(program, _call(architecture, "clone", 17)) == ALLOW
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert run(program, _call(architecture, "clone", 17 | flag)) == EPERM
    assert run(program, _call(architecture, "personality", 0xFFFFFFFF)) == ALLOW
    assert run(program, _call(architecture, "personality", 0x0040000)) == EPERM  # ADDR_NO_RANDOMIZE


def test_no_way_round_the_socket_rule() -> None:
    """The kernel cuts the family to 32 bits, the filter does not; and socketcall hides it in memory: both are shut."""
    program = _default()
    assert run(program, _call("x86_64", "socket", (1 << 32) + 40, 1)) == EPERM
    assert run(program, _call("x86", "socketcall", 1)) == EPERM


@pytest.mark.parametrize(("architecture", "machine"), _ALL)
def test_calls_of_the_future_do_not_exist(architecture: str, machine: str) -> None:
    """A C library that tries a call younger than the profile is told to fall back."""
    base = X32_BIT if architecture == "x32" else 0
    assert run(_default(machine=machine), SystemCall(base + 1000, AUDIT[architecture])) == ENOSYS


def test_capabilities_open_their_calls() -> None:
    """CAP_SYS_ADMIN opens mount and clone3, CAP_SYS_PTRACE kcmp; without CAP_SYS_CHROOT there is no chroot."""
    admin = _default(DOCKERS | {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"})
    for name in ("mount", "clone3", "kcmp", "unshare"):
        assert run(admin, _call("x86_64", name, 0x20000)) == ALLOW
    assert run(_default(), _call("x86_64", "chroot")) == ALLOW
    assert run(_default(DOCKERS - {"CAP_SYS_CHROOT"}), _call("x86_64", "chroot")) == EPERM


def test_every_name_in_the_default_profile_exists() -> None:
    """A misspelt name would allow nothing and be missed by nobody."""
    known = {name for table in seccomp.numbers().values() for name in table}
    everything = frozenset(capabilities.NAMES)
    for machine in ("x86_64", "aarch64"):
        text = (Path(minidock.daemon.seccomp_profile.__file__).parent / "seccomp_default.json").read_text()
        for rule in json.loads(text)["syscalls"]:
            assert set(rule["names"]) <= known
        assert _default(everything, machine)


def test_the_default_profile_of_this_machine_loads_as_it_is() -> None:
    """What the engine asks for is a runtime-spec object with this machine's architecture first."""
    profile = default_profile(DOCKERS)
    assert set(profile) == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    assert all(set(rule) <= {"names", "action", "errnoRet", "args"} for rule in profile["syscalls"])
    assert seccomp.parse(profile).architectures[0].removeprefix("SCMP_ARCH_").lower() == os.uname().machine


_ONLY = {"defaultAction": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"includes": {"caps": ["CAP_KILL"]}}, True),
        ({"includes": {"caps": ["CAP_KILL", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_KILL", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"includes": {"arches": ["amd64", "arm64"]}}, True),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.10"}}, False),
        ({"excludes": {"minKernel": "6.1"}}, False),
        ({"includes": {}, "excludes": None}, True),
    ],
    ids=str,
)
def test_what_decides_about_a_rule(condition: dict[str, Any], kept: bool) -> None:
    """All of includes must hold, none of excludes; versions are compared as numbers."""
    profile = {**_ONLY, "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG", **condition}]}
    expanded = expand(profile, frozenset({"CAP_KILL"}), "x86_64", "6.9.3-amd64")
    assert bool(expanded["syscalls"]) == kept


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {},
        {**_ONLY, "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]},
        {**_ONLY, "syscalls": [{"action": "SCMP_ACT_LOG"}]},
        {**_ONLY, "syscalls": [{"name": "read", "names": ["write"], "action": "SCMP_ACT_LOG"}]},
    ],
    ids=["no object", "no default", "both forms of architectures", "no names", "name and names"],
)
def test_profiles_that_are_none(broken: Any) -> None:
    """A user's file that is no profile is an error for the user."""
    with pytest.raises(InvalidInput):
        expand(broken, frozenset(), "x86_64", "6.1")


def test_the_spelling_before_2017() -> None:
    """A rule with a single name still counts."""
    expanded = expand({**_ONLY, "syscalls": [{"name": "read", "action": "SCMP_ACT_LOG"}]}, frozenset(), "x86_64", "6.1")
    assert expanded["syscalls"] == [{"names": ["read"], "action": "SCMP_ACT_LOG"}]
