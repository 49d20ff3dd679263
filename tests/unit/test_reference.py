"""Image names, as Docker parses them. The examples are from the test suite of distribution/reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.errors import InvalidDigest, InvalidReference
from minidock.oci import reference as references
from minidock.oci.reference import Reference
from tests.strategies import image_references

HEX = "a" * 64
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("debian", "docker.io/library/debian", "debian"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("library/debian", "docker.io/library/debian", "debian"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/library/debian", "docker.io/library/debian", "debian"),
        ("user/tool", "docker.io/user/tool", "user/tool"),
        ("library/user/tool", "docker.io/library/user/tool", "library/user/tool"),
        ("localhost/tool", "localhost/tool", "localhost/tool"),
        ("localhost:5000/tool:1", "localhost:5000/tool:1", "localhost:5000/tool:1"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"),
        ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000/repo", "[2001:db8::1]:5000/repo"),
        ("quay.io/a/b", "quay.io/a/b", "quay.io/a/b"),
        ("Registry/tool", "Registry/tool", "Registry/tool"),
        (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}", f"debian@{DIGEST}"),
        (f"debian:12@{DIGEST}", f"docker.io/library/debian:12@{DIGEST}", f"debian:12@{DIGEST}"),
        ("a__b.c-d---e", "docker.io/library/a__b.c-d---e", "a__b.c-d---e"),
        ("debian:" + "x" * 128, "docker.io/library/debian:" + "x" * 128, "debian:" + "x" * 128),
        ("debian:_.-A", "docker.io/library/debian:_.-A", "debian:_.-A"),
        (HEX[:63], f"docker.io/library/{HEX[:63]}", HEX[:63]),
    ],
)
def test_names(text: str, canonical: str, familiar: str) -> None:
    """A name has one canonical and one familiar spelling."""
    reference = references.parse(text)
    assert (str(reference), reference.familiar) == (canonical, familiar)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("library/Foo:x", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("quay.io/Foo", "invalid reference format: repository name (Foo) must be lowercase"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("a" * 256, "repository name must not be more than 255 characters"),
        ("debian:" + "x" * 129, "invalid reference format"),
        ("debian:-x", "invalid reference format"),
        ("debian:", "invalid reference format"),
        ("debian@", "invalid reference format"),
        ("debian@sha256:abc", "invalid reference format"),
        (":debian", "invalid reference format"),
        ("/debian", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("-a/b", "invalid reference format"),
        ("a-/b", "invalid reference format"),
        ("_a", "invalid reference format"),
        ("../etc/passwd", "invalid reference format"),
        ("debian\n", "invalid reference format"),
        ("debian 12", "invalid reference format"),
        ("https://quay.io/a", "invalid reference format"),
        ("déjà", "invalid reference format"),
    ],
)
def test_what_is_no_name(text: str, message: str) -> None:
    """Errors are in Docker's own words, which users search for."""
    with pytest.raises(InvalidReference) as caught:
        references.parse(text)
    assert str(caught.value) == message


def test_a_digest_in_a_name_is_checked() -> None:
    """A digest of the right shape, but of the wrong length or case, is no digest."""
    for text in (f"debian@sha256:{HEX[:40]}", f"debian@sha256:{HEX.upper()}", f"debian@md5:{HEX}"):
        with pytest.raises(InvalidDigest):
            references.parse(text)


@given(image_references())
def test_both_spellings_mean_the_same(reference: Reference) -> None:
    """Parsing what was printed, canonical or familiar, gives the same reference again."""
    assert references.parse(str(reference)) == reference
    assert references.parse(reference.familiar) == reference


@given(image_references())
def test_latest_is_the_default(reference: Reference) -> None:
    """A name without tag and digest gets the tag latest; any other stays."""
    full = reference.with_default_tag()
    assert full.tag or full.digest
    assert full == reference or (full.tag == "latest" and reference.tag is None)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text whatever makes the parser fail otherwise, and what passes is stable."""
    try:
        reference = references.parse(text)
    except (InvalidReference, InvalidDigest):
        return
    assert references.parse(str(reference)) == reference
