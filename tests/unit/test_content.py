"""The content store: whole and verified blobs only, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from minidock.content.store import Content
from minidock.errors import CorruptContent, InvalidDigest, InvalidSpec, NotFound
from minidock.oci import digest as digests
from minidock.oci.image import MAX_CONFIG, OCI_MANIFEST, REF_NAME, Descriptor


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """An empty store."""
    return Content(tmp_path / "images", tmp_path / "ingest")


def describe(data: bytes, **fields: object) -> Descriptor:
    """The descriptor of ``data``."""
    values = {"media_type": "text/plain", "digest": digests.of(data), "size": len(data), **fields}
    return Descriptor(**values)  # type: ignore[arg-type]


def leftovers(content: Content) -> list[Path]:
    """What is in ingest/."""
    return list((content.root.parent / "ingest").iterdir())


def test_a_blob_comes_in(content: Content) -> None:
    """Written, committed, read again; nothing is left in ingest."""
    descriptor = describe(b"hello world")
    assert not content.has(descriptor)
    with content.ingest(descriptor) as ingest:
        ingest.write(b"hello ")
        ingest.write(b"world")
        assert not content.has(descriptor)
        ingest.commit()
    assert content.has(descriptor)
    assert content.read(descriptor) == b"hello world"
    assert leftovers(content) == []


def test_sha512(content: Content) -> None:
    """The other algorithm has a directory of its own."""
    descriptor = describe(b"x", digest=f"sha512:{hashlib.sha512(b'x').hexdigest()}")
    with content.ingest(descriptor) as ingest:
        ingest.write(b"x")
        ingest.commit()
    assert content.read(descriptor) == b"x"
    assert content.path(descriptor.digest).parent.name == "sha512"


@given(data=st.binary(min_size=1, max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=4))
def test_a_broken_download_is_gone_on_with(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int]
) -> None:
    """However often it breaks, and wherever: each try begins at the offset where the one before ended."""
    root = tmp_path_factory.mktemp("resume")
    content, at = Content(root / "images", root / "ingest"), 0
    for cut in sorted(min(cut, len(data)) for cut in cuts):
        with content.ingest(describe(data)) as ingest:
            assert ingest.offset == at
            ingest.write(data[at:cut])
            at = cut
    with content.ingest(describe(data)) as ingest:
        ingest.write(data[ingest.offset :])
        ingest.commit()
    assert content.read(describe(data)) == data


def test_what_is_there_may_be_thrown_away(content: Content) -> None:
    """A server that cannot go on in the middle: restart forgets what came."""
    with content.ingest(describe(b"abc")) as ingest:
        ingest.write(b"xy")
    with content.ingest(describe(b"abc")) as ingest:
        assert ingest.offset == 2
        ingest.restart()
        ingest.write(b"abc")
        ingest.commit()
    assert content.read(describe(b"abc")) == b"abc"


@pytest.mark.parametrize("sent", [b"hellO", b"hell", b""])
def test_lies_are_found_at_commit(content: Content, sent: bytes) -> None:
    """Other bytes or fewer: no blob, and nothing left to go on with."""
    ingest = content.ingest(describe(b"hello"))
    ingest.write(sent)
    with pytest.raises(CorruptContent, match="wanted were 5 bytes"):
        ingest.commit()
    assert not content.has(describe(b"hello"))
    assert leftovers(content) == []


def test_an_endless_body_stops_at_once(content: Content) -> None:
    """The first byte beyond the announced size ends it."""
    ingest = content.ingest(describe(b"hello"))
    ingest.write(b"hello")
    with pytest.raises(CorruptContent, match="larger than the 5 bytes"):
        ingest.write(b"!")
    assert leftovers(content) == []


def test_the_same_blob_from_several_at_once(content: Content) -> None:
    """Many threads bring the same blob in, in small pieces: all succeed, and the blob is whole."""
    data = bytes(range(256)) * 400
    failures: list[BaseException] = []
    together = threading.Barrier(6)

    def bring() -> None:
        try:
            together.wait()
            with content.ingest(describe(data)) as ingest:
                ingest.restart()
                for start in range(0, len(data), 1000):
                    ingest.write(data[start : start + 1000])
                ingest.commit()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=bring) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert content.read(describe(data)) == data
    assert leftovers(content) == []


def test_a_second_ingest_does_not_disturb_the_first(content: Content) -> None:
    """While one is open, another of the same digest begins from nothing; if it gives up, the first goes on."""
    first = content.ingest(describe(b"abcdef"))
    first.write(b"abc")
    with content.ingest(describe(b"abcdef")) as second:
        assert second.offset == 0
        second.write(b"zzz")
    first.write(b"def")
    first.commit()
    assert content.read(describe(b"abcdef")) == b"abcdef"
    assert leftovers(content) == []


def test_a_tampered_document_is_not_read(content: Content) -> None:
    """Its last byte changed, one byte more or less on the disk: corrupt, each time it is read."""
    descriptor = content.add(b'{"a": 1}', "application/json")
    path = content.path(descriptor.digest)
    for changed in (b'{"a": 1]', b'{"a": 1} ', b'{"a": 1'):
        path.write_bytes(changed)
        with pytest.raises(CorruptContent):
            content.read(descriptor)


def test_a_size_that_lies(content: Content) -> None:
    """A descriptor with another size than the blob's means another blob."""
    descriptor = content.add(b"hello", "text/plain")
    other = describe(b"hello", size=4)
    assert not content.has(other)
    with pytest.raises(CorruptContent):
        content.read(other)
    with pytest.raises(InvalidSpec, match="at most"):
        content.read(describe(b"hello", size=MAX_CONFIG + 1))
    assert content.read(descriptor) == b"hello"


def test_what_is_not_here(content: Content) -> None:
    """Reading an absent blob says what to do; a digest that is none reaches no path."""
    with pytest.raises(NotFound, match="pull the image again"):
        content.read(describe(b"absent"))
    with pytest.raises(InvalidDigest):
        content.path("sha256:../../etc/passwd")


def test_a_stream_whose_digest_nobody_knows(content: Content) -> None:
    """Its digest is known at the end; a stream that fails leaves nothing."""
    descriptor = content.add_stream(iter([b"ab", b"", b"c"]), "text/plain")
    assert descriptor == describe(b"abc")

    def failing() -> Iterator[bytes]:
        yield b"x"
        raise EOFError

    with pytest.raises(EOFError):
        content.add_stream(failing(), "text/plain")
    assert leftovers(content) == []
    assert not content.has(describe(b"x"))


def test_collecting_keeps_what_lives_and_what_is_young(content: Content) -> None:
    """Only blobs that are not live and came before the moment go."""
    live, dead, young = (content.add(data, "text/plain") for data in (b"live", b"dead", b"young"))
    for descriptor in (live, dead):
        os.utime(content.path(descriptor.digest), (1000, 1000))
    content.collect({live.digest}, before=2000)
    assert [content.has(descriptor) for descriptor in (live, dead, young)] == [True, False, True]


def test_sweeping_keeps_a_recent_download(content: Content) -> None:
    """A daemon that was killed leaves files: a recent download stays for the next try, anything else goes."""
    for data, age in ((b"recent", 0), (b"old", 9999)):
        with content.ingest(describe(data)) as ingest:
            ingest.write(data[:2])
        now = time.time()
        os.utime(content.root.parent / "ingest" / describe(data).digest.replace(":", "-"), (now - age, now - age))
    (content.root.parent / "ingest" / "new.abc").write_bytes(b"x")
    (content.root / ".tmp-index.json-abc").write_bytes(b"x")
    content.sweep(before=time.time() - 5000)
    assert [path.name for path in leftovers(content)] == [describe(b"recent").digest.replace(":", "-")]
    assert not list(content.root.glob(".tmp*"))


def test_the_layout_is_one(content: Content) -> None:
    """oci-layout and index.json are as the image-spec says, and umoci lists the names in it."""
    assert json.loads((content.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    manifest = content.add(b'{"schemaVersion": 2}', OCI_MANIFEST)
    content.write_index([structs.replace(manifest, annotations={REF_NAME: "one"})])
    listed = subprocess.run(["umoci", "ls", "--layout", str(content.root)], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["one"]
