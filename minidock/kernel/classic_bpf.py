"""An assembler for classic BPF, the language of seccomp filters: linux/bpf_common.h, and BPF(4) of the BSDs.

The machine has an accumulator of 32 bits. It loads it from fixed places of its input, compares it with constants, jumps
forward and returns a number. A conditional jump reaches 255 instructions, which is why the program is written from its
last instruction to its first: every target is already there, and its distance is known.
"""

from __future__ import annotations

import struct

from minidock.errors import InvalidSpec

LOAD = 0x20
AND = 0x54
RETURN = 0x06
JUMP = 0x05
EQUAL = 0x15
GREATER = 0x25
GREATER_OR_EQUAL = 0x35

INSTRUCTION = struct.Struct("=HBBI")
"""``struct sock_filter``: code, distance if true, distance if not, operand."""
MAXIMUM = 4096


class Assembler:
    """Writes a program backwards. A place is a count of instructions from the end, and never moves again."""

    def __init__(self) -> None:
        self._backwards: list[bytes] = []
        self._returns: dict[int, int] = {}

    def answer(self, value: int) -> int:
        """The place of ``return value``; one for each value is enough."""
        if value not in self._returns:
            self._returns[value] = self._write(RETURN, 0, 0, value)
        return self._returns[value]

    def then(self, code: int, operand: int, following: int) -> int:
        """Change the accumulator, and go on at ``following``."""
        if following != len(self._backwards):
            self._write(JUMP, 0, 0, len(self._backwards) - following)
        return self._write(code, 0, 0, operand)

    def branch(self, code: int, operand: int, yes: int, no: int) -> int:
        """Compare the accumulator with ``operand``, and go on at ``yes`` or ``no``."""
        yes, no = self._within_reach(yes), self._within_reach(no)
        end = len(self._backwards)
        return self._write(code, end - yes, end - no, operand)

    def program(self) -> bytes:
        """The finished program, 8 bytes an instruction. Raises :class:`InvalidSpec` when the kernel would refuse it."""
        if len(self._backwards) > MAXIMUM:
            raise InvalidSpec(f"the seccomp profile needs {len(self._backwards)} instructions, {MAXIMUM} are allowed")
        return b"".join(reversed(self._backwards))

    def _within_reach(self, place: int) -> int:
        # A conditional jump has 8 bits for its distance, an unconditional one 32: it serves as stepping stone. One
        # less than 255, because the stone of the other branch may come in between.
        if len(self._backwards) - place <= 254:
            return place
        return self._write(JUMP, 0, 0, len(self._backwards) - place)

    def _write(self, code: int, yes: int, no: int, operand: int) -> int:
        self._backwards.append(INSTRUCTION.pack(code, yes, no, operand))
        return len(self._backwards)
