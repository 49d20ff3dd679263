"""The keys that mean "leave it running" are found wherever they are, and nothing else of the input is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.daemon.api.hijack import DetachKeys
from minidock.errors import InvalidInput

KEYS = {"ctrl-p,ctrl-q": b"\x10\x11", "a,a,b": b"aab", "ctrl-@": b"\0", "x": b"x"}


@given(st.sampled_from(sorted(KEYS)), st.lists(st.sampled_from(b"\x10\x11abx\0 ").map(lambda byte: bytes([byte]))))
def test_in_whatever_pieces_the_input_comes(name: str, pieces: list[bytes]) -> None:
    """What is passed on is the input up to the keys; a beginning of them at the very end is held back."""
    sequence, keys, passed = KEYS[name], DetachKeys(name), b""
    for piece in pieces:
        if not keys.seen:
            passed += keys.filter(piece)
    typed = b"".join(pieces)
    assert keys.seen == (sequence in typed)
    if keys.seen:
        assert passed == typed[: typed.index(sequence)]
    else:
        held = typed[len(passed) :]
        assert typed.startswith(passed) and sequence.startswith(held) and held != sequence


@pytest.mark.parametrize("name", ["", "ctrl-", "ctrl-1", "ctrl-pp", "ab", "ctrl-p,,ctrl-q", "é"])
def test_keys_that_are_none_are_refused(name: str) -> None:
    """A typing mistake is an error, not a terminal that cannot be left."""
    with pytest.raises(InvalidInput):
        DetachKeys(name)
