"""The eBPF program that decides about devices, against the meaning of the rules. An interpreter runs it here."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from minidock.kernel.cgroups import device_program as dp
from minidock.kernel.cgroups.resources import DeviceRule

# Few numbers, so that rules and requests meet.
small = st.integers(0, 3)
accesses = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters)))
rules = st.lists(
    st.builds(DeviceRule, st.booleans(), st.sampled_from("abc"), st.none() | small, st.none() | small, accesses),
    max_size=8,
)


def interpret(program: bytes, context: bytes) -> int:
    """Run an eBPF program of the few instructions that ours has."""
    instructions = list(struct.iter_unpack("<BBhi", program))
    registers = dict.fromkeys(range(11), 0)
    position = 0
    while True:
        opcode, pair, offset, immediate = instructions[position]
        dst, src = pair & 15, pair >> 4
        position += 1
        match opcode:
            case dp.LOAD_WORD:
                assert src == dp.CONTEXT
                (registers[dst],) = struct.unpack_from("<I", context, offset)
            case dp.MOVE:
                registers[dst] = registers[src]
            case dp.MOVE_IMMEDIATE:
                registers[dst] = immediate
            case dp.AND:
                registers[dst] &= immediate
            case dp.SHIFT_RIGHT:
                registers[dst] >>= immediate
            case dp.JUMP_EQUAL:
                position += offset if registers[dst] == immediate else 0
            case dp.JUMP_NOT_EQUAL:
                position += offset if registers[dst] != immediate else 0
            case dp.EXIT:
                return registers[0]
            case _:
                raise AssertionError(f"unknown instruction {opcode:#x}")


def allowed(ordered: list[DeviceRule], kind: str, major: int, minor: int, access: str) -> bool:
    """What the rules mean: each kind of access is decided by the last rule that matches; all must be allowed."""

    def decide(letter: str) -> bool:
        verdict = True
        for rule in ordered:
            matches = rule.type in ("a", kind) and rule.major in (None, major) and rule.minor in (None, minor)
            if matches and letter in rule.access:
                verdict = rule.allow
        return verdict

    return all(decide(letter) for letter in access)


@given(rules, st.sampled_from("bc"), small, small, accesses)
@example([DeviceRule(False), DeviceRule(True, "c", 1, 3, "rw")], "c", 1, 3, "mrw")
@example([DeviceRule(False), DeviceRule(True, "c", 1, None, "r"), DeviceRule(True, "c", None, 3, "w")], "c", 1, 3, "rw")
@example([DeviceRule(False, "b", 0, 0, "w")], "b", 0, 0, "rw")
def test_the_program_means_the_rules(ordered: list[DeviceRule], kind: str, major: int, minor: int, access: str) -> None:
    """For any rules and any request, the program's verdict is that of the rules taken in order."""
    wanted = sum(dp.ACCESSES[letter] for letter in access)
    context = struct.pack("<III", wanted << 16 | dp.TYPES[kind], major, minor)
    assert interpret(dp.assemble(ordered), context) == int(allowed(ordered, kind, major, minor, access))


def test_large_numbers_fit() -> None:
    """The largest major (12 bits) and minor (20 bits) that Linux has are compared whole."""
    program = dp.assemble([DeviceRule(False), DeviceRule(True, "b", 4095, 2**20 - 1)])
    assert interpret(program, struct.pack("<III", 2 << 16 | 1, 4095, 2**20 - 1)) == 1
    assert interpret(program, struct.pack("<III", 2 << 16 | 1, 4095, 2**20 - 2)) == 0
