"""Digests: what is one, and that it is a safe file name."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.errors import CorruptContent, InvalidDigest
from minidock.oci import digest as digests
from tests.strategies import digest_texts


@given(st.binary(max_size=100))
def test_of_is_sha256(data: bytes) -> None:
    """The digest of data is what hashlib says, and it verifies the data."""
    digest = digests.of(data)
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert digests.verify(digest, data) == data


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_verify_rejects_other_data(one: bytes, other: bytes) -> None:
    """Content that is not what its digest says is corrupt, for both algorithms."""
    for algorithm in ("sha256", "sha512"):
        digest = f"{algorithm}:{hashlib.new(algorithm, one).hexdigest()}"
        if one == other:
            assert digests.verify(digest, other) == other
        else:
            with pytest.raises(CorruptContent):
                digests.verify(digest, other)


@given(digest_texts())
def test_a_digest_is_accepted_and_split(text: str) -> None:
    """A digest is its algorithm and its hexadecimal part."""
    assert digests.check(text) == text
    assert ":".join(digests.split(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "sha512:" + "a" * 64,
        "md5:" + "a" * 32,
        "SHA256:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha256:../" + "a" * 61,
        "sha256:" + "a" * 32 + "/" + "a" * 31,
        "../sha256:" + "a" * 64,
        "a" * 64,
    ],
)
def test_what_is_no_digest(text: str) -> None:
    """Anything else is refused: upper case, other lengths, paths, a newline at the end."""
    with pytest.raises(InvalidDigest):
        digests.check(text)


@given(st.text(max_size=80))
def test_only_safe_names_pass(text: str) -> None:
    """Whatever is accepted holds neither a slash nor a dot."""
    try:
        algorithm, encoded = digests.split(text)
    except InvalidDigest:
        return
    assert algorithm in ("sha256", "sha512")
    assert set(encoded) <= set("0123456789abcdef")
