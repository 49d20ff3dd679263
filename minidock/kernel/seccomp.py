"""A seccomp profile becomes a classic BPF program that the kernel runs before every system call. seccomp(2).

A profile is the object ``linux.seccomp`` of an OCI runtime-spec: rules by system call *name*. The kernel only knows
numbers, and each architecture has its own; a 64-bit kernel also takes the calls of its 32-bit kin. So the program asks
first for the architecture, then for the number, and then, where a rule has conditions, for the arguments.

Design: a rule set is a function from numbers to answers which is constant over long ranges. For each architecture we
make the sorted list of ranges and search it by halves: about seven comparisons instead of hundreds.

What is not in the runtime-spec is as runc (with libseccomp) has it: a rule without conditions outweighs those with,
a rule that repeats the default says nothing, and calls younger than a profile answer ENOSYS, see :func:`_ranges`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from errno import ENOSYS, EPERM
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from minidock.errors import InvalidSpec
from minidock.kernel import syscalls
from minidock.kernel.classic_bpf import AND, EQUAL, GREATER, GREATER_OR_EQUAL, LOAD, Assembler

# linux/seccomp.h: the answer's upper 16 bits say what to do, its lower 16 bits are data, for instance an errno.
KILL_PROCESS = 0x80000000
ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": ALLOW,
}
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
_OPERATORS = {f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")}
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": syscalls.SECCOMP_FILTER_FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": syscalls.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": syscalls.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": syscalls.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}

# The column in syscall_numbers.json, and the number by which the kernel calls the architecture (linux/audit.h).
# x32 is x86_64 with 32-bit pointers: the same architecture to the kernel, its calls marked by bit 30.
AUDIT_X86_64 = 0xC000003E
ARCHITECTURES = {
    "SCMP_ARCH_X86_64": ("x86_64", AUDIT_X86_64),
    "SCMP_ARCH_X86": ("x86", 0x40000003),
    "SCMP_ARCH_X32": ("x32", AUDIT_X86_64),
    "SCMP_ARCH_AARCH64": ("aarch64", 0xC00000B7),
    "SCMP_ARCH_ARM": ("arm", 0x40000028),
}
_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
X32_BIT = 0x40000000
_NOT_A_CALL = 0xFFFFFFFF  # a tracer writes -1 into the number to skip a call: it is nobody's x32 call
_ARM_PRIVATE = 0xF0000  # where arm's private calls begin (cacheflush, set_tls), far above all others


class Condition(Struct, frozen=True):
    """A test of one argument, as unsigned 64-bit number. ``MASKED_EQ``: argument & value == value_two."""

    index: int
    operator: str
    value: int
    value_two: int = 0


class Rule(Struct, frozen=True):
    """The kernel's ``answer`` to these calls, when all conditions hold."""

    names: tuple[str, ...]
    answer: int
    conditions: tuple[Condition, ...] = ()


class Profile(Struct, frozen=True):
    """A ``linux.seccomp`` object, checked. ``unknown_answer`` is for calls younger than the profile."""

    default_answer: int
    unknown_answer: int
    architectures: tuple[str, ...]
    rules: tuple[Rule, ...]
    flags: int = 0


def parse(seccomp: Mapping[str, Any]) -> Profile:
    """Check a runtime-spec's ``linux.seccomp`` (as JSON has it). Raises :class:`InvalidSpec`.

    Architectures other than those of x86 and arm are left out: this kernel never runs their programs.
    """
    default_action = seccomp["defaultAction"]
    default = _answer(default_action, seccomp.get("defaultErrnoRet"))
    names = seccomp.get("architectures") or [_NATIVE[os.uname().machine]]
    for name in names:
        if not name.startswith("SCMP_ARCH_"):
            raise InvalidSpec(f"seccomp: {name!r} is no architecture, they are SCMP_ARCH_X86_64 and its like")
    for flag in seccomp.get("flags") or ():
        if flag not in _FLAGS:
            raise InvalidSpec(f"seccomp: unknown flag {flag!r}")
    return Profile(
        default_answer=default,
        unknown_answer=default if default_action in _PERMISSIVE else _ERRNO | ENOSYS,
        architectures=tuple(name for name in names if name in ARCHITECTURES),
        rules=tuple(rule for entry in seccomp.get("syscalls") or () for rule in _parse_rule(entry)),
        flags=sum({_FLAGS[flag] for flag in seccomp.get("flags") or ()}),
    )


def _parse_rule(entry: Mapping[str, Any]) -> Iterable[Rule]:
    names, answer = tuple(entry["names"]), _answer(entry["action"], entry.get("errnoRet"))
    conditions = tuple(map(_parse_condition, entry.get("args") or ()))
    if len({condition.index for condition in conditions}) == len(conditions):
        return [Rule(names, answer, conditions)]
    # Two conditions on one argument: runc has always read them as alternatives, and profiles rely on it.
    return [Rule(names, answer, (condition,)) for condition in conditions]


def _parse_condition(argument: Mapping[str, Any]) -> Condition:
    index, operator = argument["index"], argument["op"]
    value, value_two = argument["value"], argument.get("valueTwo", 0)
    if operator not in _OPERATORS or not 0 <= index < 6 or not (0 <= value < 1 << 64 and 0 <= value_two < 1 << 64):
        raise InvalidSpec(f"seccomp: bad condition on argument {index}: {operator} {value}")
    return Condition(index, operator.removeprefix("SCMP_CMP_"), value, value_two)


def _answer(action: str, errno: int | None) -> int:
    if action not in _ACTIONS:
        raise InvalidSpec(f"seccomp: unknown action {action!r}")
    if errno is not None and (action not in _WITH_ERRNO or not 0 <= errno < 1 << 16):
        raise InvalidSpec(f"seccomp: {action} cannot answer with errno {errno}")
    return _ACTIONS[action] | (0 if action not in _WITH_ERRNO else EPERM if errno is None else errno)


@cache
def numbers() -> dict[str, dict[str, int]]:
    """The numbers of all system calls by architecture (``x86_64``, ``x86``, ``x32``, ``aarch64``, ``arm``) and name."""
    table = msgspec.json.decode((Path(__file__).parent / "syscall_numbers.json").read_bytes())
    return {
        architecture: {name: row[column] for name, row in table["numbers"].items() if row[column] is not None}
        for column, architecture in enumerate(table["architectures"])
    }


# Offsets in struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6].
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16


def compile_profile(profile: Profile) -> bytes:
    """The program for a profile. A call of an architecture that it does not name kills the process."""
    out = Assembler()
    kill = out.answer(KILL_PROCESS)
    audit_numbers = {ARCHITECTURES[name][1] for name in profile.architectures}
    place = kill
    for audit in sorted(audit_numbers):
        ranges = _ranges(profile, audit, out)
        search = out.then(LOAD, _NUMBER, _search(ranges, out))
        # The architecture is loaded again for each candidate: the search before may have left anything.
        place = out.then(LOAD, _ARCHITECTURE, out.branch(EQUAL, audit, search, place))
    return out.program()


def _ranges(profile: Profile, audit: int, out: Assembler) -> list[tuple[int, int]]:
    """The sorted (first number, place of its answer); each range ends where the next one begins."""
    if audit != AUDIT_X86_64:
        name = next(name for name in profile.architectures if ARCHITECTURES[name][1] == audit)
        return _merged(_table_ranges(profile, name, 0, out))
    ranges = [(0, out.answer(KILL_PROCESS)), (X32_BIT, out.answer(KILL_PROCESS))]
    if "SCMP_ARCH_X86_64" in profile.architectures:
        ranges = [*_table_ranges(profile, "SCMP_ARCH_X86_64", 0, out), ranges[1]]
    if "SCMP_ARCH_X32" in profile.architectures:
        ranges = [*ranges[:-1], *_table_ranges(profile, "SCMP_ARCH_X32", X32_BIT, out)]
    return _merged([*ranges, (_NOT_A_CALL, out.answer(profile.unknown_answer))])


def _table_ranges(profile: Profile, architecture: str, first: int, out: Assembler) -> list[tuple[int, int]]:
    """The ranges of one architecture's table, from ``first`` on.

    Above the newest call that the profile names begins the unknown. C libraries try young calls and fall back to old
    ones on ENOSYS, but not on EPERM: a profile older than the libraries would break them.
    """
    table = numbers()[ARCHITECTURES[architecture][0]]
    rules: dict[int, list[Rule]] = {}
    for rule in profile.rules:
        for name in rule.names:
            if name in table:  # a profile names the calls of all architectures
                rules.setdefault(table[name], []).append(rule)
    newest = max((number for number in rules if number - first < _ARM_PRIVATE), default=-1)
    default = out.answer(profile.default_answer)
    beyond = out.answer(profile.unknown_answer) if newest >= 0 else default
    ranges = [(first, default)]
    for number in sorted(rules):
        decision = _decide(rules[number], profile.default_answer, out)
        ranges += [(number, decision), (number + 1, default if number < newest else beyond)]
    return ranges


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without empty ranges (of two with the same beginning the later counts) and without needless borders."""
    merged: list[tuple[int, int]] = []
    for first, place in dict(ranges).items():
        if not merged or merged[-1][1] != place:
            merged.append((first, place))
    return merged


def _search(ranges: list[tuple[int, int]], out: Assembler) -> int:
    """Find the range of the number in the accumulator, by halves."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    yes, no = _search(ranges[middle:], out), _search(ranges[:middle], out)
    return out.branch(GREATER_OR_EQUAL, ranges[middle][0], yes, no)


def _decide(rules: list[Rule], default: int, out: Assembler) -> int:
    """The rules for one call: one without conditions decides; otherwise the first whose conditions hold."""
    rules = [rule for rule in rules if rule.answer != default]
    for rule in rules:
        if not rule.conditions:
            return out.answer(rule.answer)
    place = out.answer(default)
    for rule in reversed(rules):
        yes, otherwise = out.answer(rule.answer), place
        for condition in reversed(rule.conditions):
            yes = _test(condition, yes, otherwise, out)
        place = yes
    return place


def _test(condition: Condition, yes: int, no: int, out: Assembler) -> int:
    """Compare a 64-bit argument with a machine of 32 bits: first the upper half, and if it is equal the lower one."""
    low = _ARGUMENTS + 8 * condition.index  # both our architectures are little endian: the lower half comes first
    high = low + 4
    value_high, value_low = condition.value >> 32, condition.value & 0xFFFFFFFF
    if condition.operator == "MASKED_EQ":
        two_high, two_low = condition.value_two >> 32, condition.value_two & 0xFFFFFFFF
        low_place = out.then(LOAD, low, out.then(AND, value_low, out.branch(EQUAL, two_low, yes, no)))
        return out.then(LOAD, high, out.then(AND, value_high, out.branch(EQUAL, two_high, low_place, no)))
    if condition.operator in ("NE", "LT", "LE"):  # the opposite of EQ, GE, GT
        yes, no = no, yes
    if condition.operator in ("EQ", "NE"):
        low_place = out.then(LOAD, low, out.branch(EQUAL, value_low, yes, no))
        return out.then(LOAD, high, out.branch(EQUAL, value_high, low_place, no))
    comparison = GREATER if condition.operator in ("GT", "LE") else GREATER_OR_EQUAL
    low_place = out.then(LOAD, low, out.branch(comparison, value_low, yes, no))
    equal = out.branch(EQUAL, value_high, low_place, no)
    return out.then(LOAD, high, out.branch(GREATER, value_high, yes, equal))


def load(program: bytes, flags: int = 0) -> int:
    """Judge every later system call of this thread and its children by ``program``: for good.

    Needs no_new_privs, or CAP_SYS_ADMIN. Returns a listener's descriptor when ``flags`` ask for one, otherwise 0.
    """
    return syscalls.seccomp_set_filter(program, flags)
