"""cgroup v2 controls devices with a program: the kernel runs it at every open and mknod, and obeys its verdict.

The program is eBPF (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE). It is given ``struct bpf_cgroup_dev_ctx``, three words of 32
bits: the first has the type of device in its lower half and the wanted accesses in its upper half, then come major and
minor. It returns 1 to allow. :func:`assemble` writes it, :func:`attach` loads it and fastens it to a cgroup.

How rules become a program: *for each kind of access, the last matching rule decides*. So we go through the rules from
the last to the first with the accesses not yet decided in a register. A matching rule that allows takes its accesses
out, and when none is left the verdict is 1. A matching rule that denies gives 0 if one of its accesses is still there.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from minidock.kernel.cgroups.resources import DeviceRule
from minidock.kernel.notation import choice
from minidock.kernel.syscalls.seam import invoke

# linux/bpf_common.h and linux/bpf.h: opcode = class | size or source | operation
LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W     dst = *(u32 *)(src + offset)
MOVE = 0xBF  # BPF_ALU64 | BPF_MOV | BPF_X        dst = src
MOVE_IMMEDIATE = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
AND = 0x57  # BPF_ALU64 | BPF_AND | BPF_K
SHIFT_RIGHT = 0x77  # BPF_ALU64 | BPF_RSH | BPF_K
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K    if dst == immediate, skip `offset` instructions
JUMP_NOT_EQUAL = 0x55  # BPF_JMP | BPF_JNE | BPF_K
EXIT = 0x95  # BPF_JMP | BPF_EXIT                 return r0

VERDICT, CONTEXT, TYPE, WANTED, MAJOR, MINOR, SCRATCH = range(7)  # registers r0 to r6
TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
ACCESSES = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_MKNOD, …_READ, …_WRITE

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_COMMANDS = {
    _PROG_LOAD: "BPF_PROG_LOAD",
    _PROG_ATTACH: "BPF_PROG_ATTACH",
    _PROG_DETACH: "BPF_PROG_DETACH",
    _PROG_GET_FD_BY_ID: "BPF_PROG_GET_FD_BY_ID",
    _PROG_QUERY: "BPF_PROG_QUERY",
}
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6  # BPF_CGROUP_DEVICE
_ALLOW_MULTI = 2  # BPF_F_ALLOW_MULTI


def instruction(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    """One ``struct bpf_insn``: 8 bytes."""
    return struct.pack("<BBhi", opcode, src << 4 | dst, offset, immediate)


def assemble(rules: Iterable[DeviceRule]) -> bytes:
    """The program that decides as ``rules``, taken in order, do."""
    program = [
        instruction(LOAD_WORD, TYPE, CONTEXT, 0),
        instruction(MOVE, WANTED, TYPE),
        instruction(AND, TYPE, immediate=0xFFFF),
        instruction(SHIFT_RIGHT, WANTED, immediate=16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8),
    ]
    for rule in reversed(list(rules)):
        program += _rule(rule)
    return b"".join([*program, *_return(1)])


def _rule(rule: DeviceRule) -> list[bytes]:
    access = sum(ACCESSES[letter] for letter in set(rule.access))
    if rule.allow:
        decide = [
            instruction(AND, WANTED, immediate=~access & 7),
            instruction(JUMP_NOT_EQUAL, WANTED, offset=2, immediate=0),
            *_return(1),
        ]
    else:
        decide = [
            instruction(MOVE, SCRATCH, WANTED),
            instruction(AND, SCRATCH, immediate=access),
            instruction(JUMP_EQUAL, SCRATCH, offset=2, immediate=0),
            *_return(0),
        ]
    must_equal = [(TYPE, TYPES.get(rule.type)), (MAJOR, rule.major), (MINOR, rule.minor)]
    tests = [(register, value) for register, value in must_equal if value is not None]
    length = len(tests) + len(decide)
    skip = [
        instruction(JUMP_NOT_EQUAL, register, offset=length - position - 1, immediate=value)
        for position, (register, value) in enumerate(tests)
    ]
    return skip + decide


def _return(verdict: int) -> list[bytes]:
    return [instruction(MOVE_IMMEDIATE, VERDICT, immediate=verdict), instruction(EXIT)]


def attach(directory: Path, rules: Iterable[DeviceRule]) -> None:
    """Make ``rules`` the ones that hold in the cgroup ``directory`` (version 2), instead of those attached before.

    Several programs may be attached, and all must allow. So the new one comes first and the old ones go after it: there
    is no moment without control. They all vanish with the cgroup. Raises ``SystemCallFailed``.
    """
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        before = _attached(group)
        program = _load(assemble(rules))
        try:
            _bpf(
                _PROG_ATTACH, struct.pack("=IIII", group, program, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI), str(directory)
            )
        finally:
            os.close(program)
        for identifier in before:
            old = _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", identifier, 0, 0), str(identifier))
            try:
                _bpf(_PROG_DETACH, struct.pack("=III", group, old, _ATTACH_CGROUP_DEVICE), str(directory))
            finally:
                os.close(old)
    finally:
        os.close(group)


def _load(program: bytes) -> int:
    """Have the kernel verify and compile it; the descriptor of the program."""
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQ", _PROG_TYPE_CGROUP_DEVICE, len(program) // 8, ctypes.addressof(code), ctypes.addressof(licence)
    )
    return _bpf(_PROG_LOAD, attributes, "BPF_PROG_TYPE_CGROUP_DEVICE")


def _attached(group: int) -> list[int]:
    """The ids of the programs attached to this very group (64 at most: the kernel's own limit)."""
    ids = (ctypes.c_uint32 * 64)()
    # target_fd, attach_type, query_flags, attach_flags (out), prog_ids, prog_cnt (in and out)
    attributes = ctypes.create_string_buffer(
        struct.pack("=IIIIQI", group, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), len(ids)), 64
    )
    _bpf(_PROG_QUERY, attributes, "BPF_CGROUP_DEVICE")
    (count,) = struct.unpack_from("=I", attributes, 24)
    return list(ids[:count])


def _bpf(command: int, attributes: bytes | ctypes.Array[ctypes.c_char], operand: str) -> int:
    """bpf(2). ``attributes`` is the start of ``union bpf_attr``; the rest, up to 128 bytes, counts as zero."""
    buffer = attributes if isinstance(attributes, ctypes.Array) else ctypes.create_string_buffer(attributes, 128)
    what = f"{_COMMANDS[command]}, {operand}"
    return invoke("bpf", (command, choice(_COMMANDS)), buffer, len(buffer), operand=what)
