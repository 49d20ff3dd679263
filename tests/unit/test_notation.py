"""The kernel's notation: C literals, sets of bits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minidock.kernel import notation, syscalls
from minidock.kernel.announce import Call


@given(st.binary())
def test_literal_round_trip(data: bytes) -> None:
    """Any bytes come back from the C literal that stands for them."""
    assert notation.unquoted(notation.quoted(data)) == data


@given(st.binary())
def test_literal_is_what_c_reads(data: bytes) -> None:
    """A literal is printable ASCII, and Python, whose escapes are C's here, reads the same bytes from it."""
    text = notation.quoted(data)
    assert text.isascii() and text.isprintable()
    assert eval("b" + text) == data


def test_octal_escapes_are_as_short_as_strace_writes_them() -> None:
    """NUL is one digit, unless a digit follows that would become part of it."""
    assert notation.quoted(b"a\0b\x011") == '"a\\0b\\0011"'


@given(st.sets(st.sampled_from([1, 2, 4, 4096, 16384])), st.sampled_from([0, 1 << 40]))
def test_flags_name_every_bit(bits: set[int], unnamed: int) -> None:
    """Each bit appears once, by name, or together with its like as hexadecimal rest."""
    names = {1: "MS_RDONLY", 2: "MS_NOSUID", 4: "MS_NODEV", 4096: "MS_BIND", 16384: "MS_REC"}
    text = notation.flags(names)(sum(bits) | unnamed)
    expected = [names[bit] for bit in sorted(bits)] + ([f"{unnamed:#x}"] if unnamed else [])
    assert text == ("|".join(expected) or "0")


def test_modes_are_octal() -> None:
    """Permissions look as strace and chmod write them."""
    assert [notation.octal(mode) for mode in (0o644, 0o4755, 0, 0o7)] == ["0644", "04755", "000", "007"]


def test_a_call_reads_as_in_strace() -> None:
    """Success shows the result, failure -1 with the error's name and text."""
    done = Call(1, "umount2", ('"/mnt"', "MNT_DETACH"), 0, 0, 0, 0)
    failed = Call(1, "umount2", ('"/mnt"', "MNT_DETACH"), -1, 22, 0, 0)
    assert str(done) == 'umount2("/mnt", MNT_DETACH) = 0'
    assert str(failed) == 'umount2("/mnt", MNT_DETACH) = -1 EINVAL (Invalid argument)'


def test_namespace_flags_fit_a_word() -> None:
    """The flags are single bits of 32, distinct, and none is clone's exit signal but CLONE_NEWTIME."""
    values = [value for name, value in vars(syscalls).items() if name.startswith("CLONE_NEW")]
    assert len(set(values)) == len(values) == 8
    assert all(value.bit_count() == 1 and value < 1 << 31 for value in values)
    assert [value for value in values if value <= 0xFF] == [syscalls.CLONE_NEWTIME]
