"""The exercises of chapter 9: how far an upload is, who may do what, what a tag needs, and what nobody needs."""

from __future__ import annotations

import hashlib
import json
import random
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import NOTHING, Observation, Once, Subject
from minidock.oci.image import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from minidock.registry.server.access import Right
from minidock.registry.server.collecting import Entry
from minidock.registry.server.documents import Document
from minidock.registry.server.refusals import Refusal


def law_received(subject: Subject) -> None:
    """The last byte's number, plus one; what is no such answer says nothing."""

    @given(st.integers(1, 10**12), st.sampled_from(["", "bytes="]))
    def law(last: int, unit: str) -> None:
        subject.gives(last + 1, f"{unit}0-{last}", why="the last byte is counted, and the first is byte 0")

    law()
    subject.gives(0, "0-0", why="one byte or none: none is safe, the byte is sent once more")
    for text in (
        "",
        "0-",
        "-5",
        "5-9",
        "bytes 0-9",
        "0-9/20",
        "0-x",
        "0-\N{SUPERSCRIPT TWO}",
        "0-\N{ARABIC-INDIC DIGIT FIVE}",
        "0-+9",
    ):
        subject.gives(0, text, why="this does not say that the first N bytes are there")


_NAMES = st.sampled_from(["a", "shop/pay", "b/c/d"])
_RIGHTS = st.builds(Right, _NAMES, st.sampled_from(["pull", "push", "delete"]))
_CATALOG = Right("catalog", "*", "registry")


def law_scopes(subject: Subject) -> None:
    """One scope a repository, its actions together, nothing lost, nothing added."""
    both = [Right("a", "pull"), Right("b", "pull"), Right("a", "push")]
    subject.gives(["repository:a:pull,push", "repository:b:pull"], both, why="one for each repository, as they come")
    subject.gives([], [], why="nothing is asked for")
    mixed = [_CATALOG, Right("catalog", "pull")]
    wanted = ["registry:catalog:*", "repository:catalog:pull"]
    subject.gives(wanted, mixed, why="a repository may be called like the list of repositories")

    @given(st.lists(_RIGHTS, max_size=5, unique=True))
    def law(rights: list[Right]) -> None:
        names = list(dict.fromkeys(right.repository for right in rights))
        actions = {name: [right.action for right in rights if right.repository == name] for name in names}
        wanted = [f"repository:{name}:{','.join(actions[name])}" for name in names]
        subject.gives(wanted, rights, why="one for each repository, its actions in the order given")

    law()


def law_rights(subject: Subject) -> None:
    """What the table says; who pushes may pull, and who mounts must be allowed to pull there."""
    push = [Right("shop/pay", "pull"), Right("shop/pay", "push")]
    for action in ("pull", "delete"):
        subject.gives([Right("shop/pay", action)], action, "shop/pay", {}, why="the action itself")
    subject.gives(push, "push", "shop/pay", {}, why="who pushes asks first what is there")
    mount = {"mount": "sha256:" + "a" * 64, "from": "bank/secret"}
    why = "who mounts a blob can read it afterwards: that takes the right to pull where it comes from"
    subject.gives([*push, Right("bank/secret", "pull")], "push", "shop/pay", mount, why=why)
    subject.gives(push, "push", "shop/pay", {"from": "bank/secret"}, why="nothing is mounted")
    subject.gives(push, "push", "shop/pay", {"mount": mount["mount"]}, why="it is not said from where")
    pull = [Right("shop/pay", "pull")]
    subject.gives(pull, "pull", "shop/pay", mount, why="only an upload mounts; elsewhere the words mean nothing")
    subject.gives([_CATALOG], "*", None, {}, why="the list of repositories is a thing of the registry's")
    subject.gives([], "", None, {}, why="to ask whether this is a registry takes nothing")


_TAGS = st.lists(st.text("ab1._-", min_size=1, max_size=6), unique=True, max_size=8).map(sorted)


def law_cut_page(subject: Subject) -> None:
    """Who follows the links sees each entry once."""
    path = "/v2/shop/pay/tags/list"
    found = ["1.0", "1.1", "latest"]
    subject.gives((found, {}), path, found, None, why="no limit, all of it")
    subject.gives((found, {}), path, found, 3, why="all fit: there is no next page")
    subject.gives(([], {}), path, found, 0, why="n=0 asks for nothing, and gets no link")
    link = {"Link": f'<{path}?n=2&last=1.1>; rel="next"'}
    subject.gives((["1.0", "1.1"], link), path, found, 2, why="the link says where this page ended")
    odd = {"Link": f'<{path}?n=1&last=a%26b>; rel="next"'}
    subject.gives((["a&b"], odd), path, ["a&b", "c"], 1, why="in a URL, & separates parameters: it must be quoted")

    @given(_TAGS, st.integers(1, 4))
    def law(tags: list[str], limit: int) -> None:
        seen: list[str] = []
        last = ""
        for _ in range(len(tags) + 1):
            rest = [tag for tag in tags if tag > last][: limit + 1]  # what the store gives: one more than asked for
            page, headers = subject(path, rest, limit)
            subject.expect(len(page) <= limit, "no more than was asked for")
            seen += page
            if "Link" not in headers:
                break
            target = re.fullmatch(r'<(.*)>; rel="next"', headers["Link"])
            subject.expect(target is not None, 'a link has the form <TARGET>; rel="next"')
            assert target is not None
            last = parse_qs(urlsplit(target[1]).query)["last"][0]
        subject.expect(seen == tags, f"who follows the links has seen {seen} of {tags}")

    law()


def law_chunk_length(subject: Subject) -> None:
    """Exactly what follows what is there; a refusal says which of the two is wrong."""
    subject.gives(None, None, 7, why="docker sends no Content-Range: its chunks follow each other")
    for text in ("0-9", "bytes 0-9/*", "bytes=0-9", "0-9/20"):
        subject.gives(10, text, 0, why="both ends are counted")
    subject.gives(0, "5-4", 5, why="an empty chunk ends before it begins")

    @given(st.integers(0, 10**12), st.integers(1, 10**6), st.integers(-5, 5))
    def law(there: int, length: int, off: int) -> None:
        start = max(there + off, 0)
        text = f"{start}-{start + length - 1}"
        if start == there:
            subject.gives(length, text, there, why="it begins where the upload ends")
        else:
            _refuses(subject, "RANGE_INVALID", "a hole, or bytes that came before: 416", text, there)

    law()
    for text in ("", "x", "5-", "-5", "9-5", "5-9,20-30", "items 5-9"):
        _refuses(subject, "BLOB_UPLOAD_INVALID", "this is no START-END", text, 5)


def _refuses(subject: Subject, code: str, why: str, *arguments: Any) -> None:
    try:
        subject(*arguments)
    except Refusal as refusal:
        subject.expect(refusal.code == code, f"{why}; the code is {code}", Refusal)
        return
    except Exception:
        pass  # on record; it is no refusal
    subject.expect(False, f"{why}; the code is {code}", Refusal)


def _descriptor(media_type: str, name: str, **more: Any) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    return {"mediaType": media_type, "digest": digest, "size": len(name)} | more


def _pointer(media_type: str, name: str, **more: Any) -> Descriptor:
    return Descriptor(media_type=media_type, digest=_descriptor(media_type, name)["digest"], size=len(name), **more)


def _manifest(*layers: dict[str, Any], kind: str = OCI_MANIFEST, config: str = OCI_CONFIG, **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": kind, "config": _descriptor(config, "c"), "layers": list(layers)}
    return json.dumps(document | more).encode()


def law_understand(subject: Subject) -> None:
    """Config and layers of a manifest, the manifests of an index; and what it is about."""
    config = _pointer(OCI_CONFIG, "c")

    @given(st.lists(st.sampled_from("abc"), max_size=3), st.sampled_from([OCI_MANIFEST, DOCKER_MANIFEST]))
    def image(names: list[str], kind: str) -> None:
        layers = tuple(_pointer(OCI_LAYER, name) for name in names)
        data = _manifest(*(_descriptor(OCI_LAYER, name) for name in names), kind=kind)
        wanted = Document(kind, (config, *layers), (), None, OCI_CONFIG, {})
        subject.gives(wanted, data, kind, why="it needs its config and its layers; what it is, the config's type says")

    image()
    bare = json.loads(_manifest())
    del bare["mediaType"]
    wanted = Document(OCI_MANIFEST, (config,), (), None, OCI_CONFIG, {})
    why = "a manifest need not say its own type: then it is what it was sent as"
    subject.gives(wanted, json.dumps(bare).encode(), OCI_MANIFEST, why=why)
    foreign = _manifest(_descriptor(OCI_LAYER, "far", urls=["https://elsewhere.example/far"]))
    why = "a layer with URLs is fetched from there: it need not be here"
    subject.gives(Document(OCI_MANIFEST, (config,), (), None, OCI_CONFIG, {}), foreign, OCI_MANIFEST, why=why)
    about, note = _descriptor(OCI_MANIFEST, "image"), {"by": "alice"}
    signature = _manifest(subject=about, artifactType="application/x-signature", annotations=note)
    wanted = Document(OCI_MANIFEST, (config,), (), _pointer(OCI_MANIFEST, "image"), "application/x-signature", note)
    subject.gives(wanted, signature, OCI_MANIFEST, why="what it is about need not be here: it is no part")
    entries = [_descriptor(OCI_MANIFEST, name) for name in ("amd64", "arm64")]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    parts = tuple(_pointer(OCI_MANIFEST, name) for name in ("amd64", "arm64"))
    subject.gives(Document(OCI_INDEX, (), parts, None, "", {}), index, OCI_INDEX, why="an index needs its manifests")
    both = json.dumps(json.loads(index) | {"layers": []}).encode()
    for data, content_type in (
        (b"{", OCI_MANIFEST),
        (both, OCI_INDEX),
        (index, OCI_MANIFEST),
        (_manifest(), "text/plain"),
        (_manifest(), ""),
    ):
        _refuses(subject, "MANIFEST_INVALID", "not a manifest, or not what it was sent as", data, content_type)


@st.composite
def _repositories(draw: st.DrawFn) -> list[Entry]:
    """Manifests that point only to earlier ones, as digests must; in any order."""
    entries: list[Entry] = []
    for number in range(draw(st.integers(0, 7))):
        names = [entry.digest for entry in entries]
        parts = draw(st.frozensets(st.sampled_from([*names, "a layer"]), max_size=3))
        subject = draw(st.sampled_from([None, None, "nobody", *names]))
        entries.append(Entry(f"m{number}", draw(st.booleans()), parts, subject))
    random.Random(draw(st.integers(0, 99))).shuffle(entries)
    return entries


def _kept(entries: list[Entry]) -> set[str]:
    """The same without a plan: go over all of them, again and again, until nothing changes."""
    kept: set[str] = set()
    while True:
        parts = {part for entry in entries if entry.digest in kept for part in entry.parts}
        more = {one.digest for one in entries if one.is_root or one.digest in parts or one.subject in kept}
        if more == kept:
            return kept
        kept = more


def law_mark(subject: Subject) -> None:
    """Roots, what they need, what is about those, and so on; and no blobs."""
    image, layer = Entry("image", False, frozenset({"config", "layer"})), Entry("old", False)
    index = Entry("index", True, frozenset({"image"}))
    signature = Entry("signature", False, frozenset({"config"}), "image")
    subject.gives({"index", "image"}, [image, layer, index], why="a tag keeps its index, the index its image")
    outer, inner = Entry("outer", True, frozenset({"inner"})), Entry("inner", False, frozenset({"image"}))
    subject.gives({"outer", "inner", "image"}, [image, inner, outer], why="and so on, however deep")
    subject.gives(
        {"index", "image", "signature"}, [signature, image, index], why="what is about an image stays with it"
    )
    subject.gives(
        {"signature"}, [Entry("signature", True, subject="image"), image], why="it keeps nothing by being about it"
    )

    @given(_repositories())
    def law(entries: list[Entry]) -> None:
        subject.gives(_kept(entries), entries, why="what a root leads to, however far; and nothing else")

    law()
    why = "an iterable may be a generator, which can be gone through only once"
    subject.gives({"index", "image", "signature"}, Once([signature, image, index]), why=why)


class _Taken:
    """In a store's place: what it was told to take."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def take(self, repository: str, digest: str, file: Path) -> None:
        self.blobs[f"{repository}@{digest}"] = file.read_bytes()


def law_upload(subject: Subject) -> None:
    """Whatever the pieces, and however often the registry was restarted: the blob is all of them, or refused."""

    @given(
        st.lists(st.binary(max_size=6) | st.none(), max_size=5), st.sampled_from(["sha256", "sha512"]), st.booleans()
    )
    def law(pieces: list[bytes | None], algorithm: str, honest: bool) -> None:
        wanted = b"".join(piece or b"" for piece in pieces)
        digest = f"{algorithm}:{hashlib.new(algorithm, wanted if honest else wanted + b'!').hexdigest()}"
        with tempfile.TemporaryDirectory(prefix="minidock-chapter-") as directory:
            found = _upload(subject, Path(directory), pieces, digest)
        subject.last.arguments, subject.last.result = (pieces, digest[:20] + "…"), found
        blobs = {f"shop/pay@{digest}": wanted} if honest else {}
        wish = SimpleNamespace(size=len(wanted), blobs=blobs, refused="" if honest else "DIGEST_INVALID", left=[])
        subject.expect(found == wish, "all bytes, in order, under their own digest; else a refusal", wish)

    law()


def _upload(subject: Subject, directory: Path, pieces: list[bytes | None], digest: str) -> SimpleNamespace:
    """The life of an upload. What came of it: the size it told of, and the blobs or the refusal's code."""
    store, upload = _Taken(), subject(directory, "id", "shop/pay")
    for piece in pieces:
        if piece is None:
            upload.close()
            upload = subject(directory, "id", "shop/pay")
        else:
            upload.write(piece)
    size, refused = upload.size, ""
    try:
        upload.finish(digest, store)
    except Refusal as refusal:
        refused = refusal.code
    upload.abort()
    left = [file.name for file in directory.iterdir()]
    return SimpleNamespace(size=size, blobs=store.blobs, refused=refused, left=left)


def _result(seen: Observation, name: str) -> Any:
    return getattr(seen.result, name, NOTHING)


def _start(seen: Observation) -> int:
    return int(seen.arguments[0].partition("-")[0])


EXERCISES = (
    Exercise(
        engine="minidock.registry.upload:received",
        title="How much is there?",
        task="""The connection broke in the middle of an upload. The client asks, and the registry answers with Range:
        0-99 (some write bytes=0-99). Return how many bytes the registry has. 0-0 may mean one byte or none: say 0, it
        is safe to send that byte again. Say 0 for anything else, too.""",
        law=law_received,
        hints=(
            "re.fullmatch, with bytes= optional; the first number must be 0.",
            r"\d matches the digits of every script, and int reads +9 and 1_0, too: [0-9]+ says what is meant.",
        ),
        wrong=(
            Wrong(
                "received_no_plus",
                lambda seen: seen.expected > 1 and seen.result == seen.expected - 1,
                "0-99 are a hundred bytes: the end is the last byte's number, not the next one's.",
            ),
            Wrong(
                "received_empty",
                lambda seen: seen.arguments[0] == "0-0",
                "There is no way to write an empty range, so registries say 0-0 of an empty upload.",
            ),
            Wrong(
                "received_anywhere",
                lambda seen: seen.arguments[0] == "5-9",
                "If bytes 5 to 9 are there, byte 0 is not: you cannot go on behind it.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.server.access:scopes",
        title="What shall the token say?",
        task="""A registry that wants a token says which rights it shall be for, as scopes: KIND:NAME:ACTION,ACTION. A
        Right has kind, repository and action. Return one scope for each kind and name, in the order in which they
        first come, with all actions in theirs.""",
        law=law_scopes,
        hints=(
            "Group them in a dict: it keeps the order in which its keys came.",
            "The key is (right.kind, right.repository); setdefault(key, []).append(right.action).",
        ),
        wrong=(
            Wrong(
                "scopes_each",
                lambda seen: len(seen.result) > len(seen.expected),
                "The actions on one repository go together: repository:a:pull,push.",
            ),
            Wrong(
                "scopes_kind",
                lambda seen: any(right.kind == "registry" for right in seen.arguments[0]),
                "The kind belongs to the name: the catalog is the registry's, a repository called catalog is not.",
            ),
            Wrong(
                "scopes_sorted",
                lambda seen: sorted(seen.result) == sorted(seen.expected),
                "Do not sort: the order is that of the rights.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.server.application:rights",
        title="What does it take?",
        task="""Given a request's action ("pull", "push", "delete", "*" for the list of repositories, "" for nothing),
        its repository's name (None without one) and its query, list the rights that its sender must have. "*" takes
        Right("catalog", "*", "registry"). Who pushes must be allowed to pull, too, and pull stands first. A push with
        both mount and from in its query takes a blob from another repository: then the right to pull there comes
        last.""",
        law=law_rights,
        hints=(
            "The two without a name come first, and return early.",
            "query.get('from') counts only if the action is push and 'mount' is in the query.",
        ),
        wrong=(
            Wrong(
                "rights_push_only",
                lambda seen: seen.arguments[0] == "push" and seen.expected[0] not in seen.result,
                "Who pushes asks first which blobs are there: that is a pull.",
            ),
            Wrong(
                "rights_mount",
                lambda seen: len(seen.arguments[2]) == 2 and len(seen.result) < len(seen.expected),
                "Mallory knows a secret layer's digest, mounts it into a repository of her own, and reads it there.",
            ),
            Wrong(
                "rights_from",
                lambda seen: seen.arguments[2].keys() == {"from"},
                "Without mount nothing is taken from anywhere: do not ask for more than is needed.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.server.manifests:cut_page",
        title="A page at a time",
        task="""GET …/tags/list?n=100 asks for a hundred tags. The store was asked for one more, so that found is
        longer than limit when there are more. Return the first limit entries, and the headers: none
        if that is all. A limit of None is no limit; one of 0 takes nothing, and gets no link. Else
        Link: <PATH?n=LIMIT&last=ENTRY>; rel="next", where ENTRY is the last of this page, quoted as
        in a URL.""",
        law=law_cut_page,
        hints=(
            "found[:None] is all of it.",
            "urllib.parse.urlencode({'n': limit, 'last': …}) quotes what must be quoted.",
        ),
        wrong=(
            Wrong(
                "cut_page_always",
                lambda seen: bool(seen.result[1]) and len(seen.arguments[1]) <= seen.arguments[2],
                "A link promises that there is more. Is there?",
            ),
            Wrong(
                "cut_page_next",
                lambda seen: "last=latest" in str(seen.result),
                "The next page begins behind last. An entry that this page does not show would be on neither.",
            ),
            Wrong(
                "cut_page_quote",
                lambda seen: seen.arguments[1] == ["a&b", "c"],
                "In a URL an & begins the next parameter: what is not yours must be quoted.",
            ),
            Wrong(
                "cut_page_zero",
                lambda seen: seen.arguments[2] == 0,
                "0 is as false as None, and not the same: it asks for nothing. And of nothing there is no last entry.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.server.incoming:chunk_length",
        uses=("minidock.registry.server.refusals:Refusal",),
        title="Not twice, and no hole",
        task="""A chunk of an upload comes with Content-Range: 100-149 (bytes 100-149/* and bytes=100-149 occur too),
        and there bytes have come so far. Return how many bytes the header announces; None if there is no header (text
        is None). Raise Refusal (minidock.registry.server.refusals) with the code RANGE_INVALID if the chunk does not
        begin at there, and with BLOB_UPLOAD_INVALID if the text is no range. 5-4 is a range, an empty one; 9-5 is
        none.""",
        law=law_chunk_length,
        hints=(
            "Three steps: is it a range? does it begin in the right place? how long is it?",
            r"re.fullmatch(r'(?:bytes[ =])?([0-9]+)-([0-9]+)(?:/.*)?', text)",
            "int(end) < int(start) - 1 is no range.",
        ),
        wrong=(
            Wrong(
                "chunk_length_required",
                lambda seen: seen.arguments[0] is None,
                "docker push sends no Content-Range at all: then there is nothing to check.",
            ),
            Wrong(
                "chunk_length_half_open",
                lambda seen: seen.result is not NOTHING and seen.result == seen.expected - 1,
                "0-9 are ten bytes.",
            ),
            Wrong(
                "chunk_length_overlap",
                lambda seen: seen.result is not NOTHING and _start(seen) < seen.arguments[1],
                "These bytes came before. Appended once more they spoil the blob.",
            ),
            Wrong(
                "chunk_length_code",
                lambda seen: seen.expected is Refusal and getattr(seen.error, "code", "") == "BLOB_UPLOAD_INVALID",
                "The range is well formed, but in the wrong place: on RANGE_INVALID (416) a client asks and goes on.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.server.documents:understand",
        uses=(
            "minidock.errors:InvalidSpec",
            "minidock.oci.image:Descriptor",
            "minidock.oci.image:INDEX_TYPES",
            "minidock.oci.image:Index",
            "minidock.oci.image:MANIFEST_TYPES",
            "minidock.oci.image:Manifest",
            "minidock.oci.image:parse_manifest",
            "minidock.registry.server.refusals:Refusal",
        ),
        title="What does a tag need?",
        task="""Before a registry takes a manifest it looks at what that refers to. parse_manifest(data, content_type)
        of minidock.oci.image gives a Manifest or an Index. Return a Document. media_type: what it was sent as. blobs: a
        manifest's config, then its layers, but no layer that has urls. manifests: an index's. The artifact type of a
        manifest without one is its config's media type. Raise Refusal for a content_type that is not in MANIFEST_TYPES
        or INDEX_TYPES, and where parse_manifest raises InvalidSpec, both with the code MANIFEST_INVALID.""",
        law=law_understand,
        hints=(
            "isinstance(parsed, Index) tells the two apart; subject and annotations are both's.",
            "blobs=(parsed.config, *(layer for layer in parsed.layers if not layer.urls))",
        ),
        wrong=(
            Wrong(
                "understand_no_config",
                lambda seen: seen.expected.blobs[0] not in _result(seen, "blobs"),
                "The config is a blob as the layers are. An image without it cannot be run.",
            ),
            Wrong(
                "understand_foreign",
                lambda seen: any(blob.urls for blob in _result(seen, "blobs")),
                "A layer with URLs may not be handed on by us: to ask for it is to refuse every Windows image.",
            ),
            Wrong(
                "understand_subject",
                lambda seen: seen.result.subject in seen.result.manifests,
                "A signature may come before the image that it is about: the subject is no part.",
            ),
            Wrong(
                "understand_silent",
                lambda seen: seen.expected.media_type and not _result(seen, "media_type"),
                "mediaType is optional in an OCI manifest. The client has said the type in its Content-Type.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.server.collecting:mark",
        title="Mark and sweep",
        task="""Garbage collection: which manifests of a repository stay? Every root (an Entry with is_root: it has a
        tag, or is young); the parts of one that stays; and every entry whose subject stays, as a signature does. Return
        their digests. entries may be a generator. parts also name blobs, and a subject need not exist: return only
        digests of entries.""",
        law=law_mark,
        hints=(
            "Keep a list of what waits and a set of what is marked; take one, mark it, add what it leads to.",
            "Make a dict of entries by digest, and another from a subject to the entries that are about it.",
            "A digest that was marked before, or belongs to no entry, leads nowhere.",
        ),
        wrong=(
            Wrong(
                "mark_blobs",
                lambda seen: "config" in seen.result,
                "Parts are blobs too. What stays of them is another question: here it is about manifests.",
            ),
            Wrong(
                "mark_shallow",
                lambda seen: any(entry.digest == "inner" for entry in seen.arguments[0]),
                "What is needed needs something itself: go on until nothing new is found.",
            ),
            Wrong(
                "mark_signatures",
                lambda seen: "signature" in seen.expected - seen.result,
                "Nothing points to a signature: it points at its image. It stays as long as that does.",
            ),
            Wrong(
                "mark_backwards",
                lambda seen: seen.result > seen.expected,
                "A signature keeps nothing alive. Who deletes an image does not want to look for its signatures first.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.server.uploads:Upload",
        uses=(
            "minidock.oci.digest:hasher",
            "minidock.registry.server.refusals:Refusal",
            "minidock.registry.server.store:Store.take",
        ),
        title="A blob that grows",
        task="""Upload(directory, id, repository) is the file directory/id, which write(piece) makes longer; size is
        its length. The registry may be stopped and started: then a new Upload of the same id goes on with the bytes
        that are there. finish(digest, store) calls store.take(repository, digest, path) if the bytes have that digest
        (sha256, or another one that hasher(digest) of minidock.oci.digest knows), else it raises Refusal with the
        code DIGEST_INVALID. close() lets go of the file; abort() removes it, too. (The engine's own carries the hash
        along, so that the end of an upload reads nothing again. First make it right, then fast. You need no lock.)""",
        law=law_upload,
        hints=(
            "Open with mode 'a+b': it makes the file, keeps what is there, and writes to its end.",
            "Unbuffered (buffering=0), or flush before anybody else reads the file.",
            "hasher(digest) gives a hash object of the digest's kind; compare name and hexdigest.",
        ),
        wrong=(
            Wrong(
                "upload_forgets",
                lambda seen: None in seen.arguments[0],
                "None is a restart. The bytes are on the disk: read them, for size and hash.",
            ),
            Wrong(
                "upload_trusts",
                lambda seen: seen.result.blobs and seen.expected.refused,
                "These bytes do not have that digest, and you have just put them under that name for everybody.",
            ),
            Wrong(
                "upload_sha256",
                lambda seen: seen.arguments[1].startswith("sha512"),
                "The client chooses the digest's algorithm, and says so only at the end.",
            ),
        ),
    ),
)
