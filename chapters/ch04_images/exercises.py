"""The exercises of chapter 4: names, content under its digest, and what a stack of layers shows."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from chapters.course import Exercise, Wrong
from chapters.trial import Observation, Subject
from minidock.errors import CorruptContent, InvalidDigest, NotFound
from minidock.images.unpack import OPAQUE
from minidock.oci.image import OCI_INDEX, OCI_MANIFEST, REFERENCE_TYPE, Descriptor, Index
from minidock.oci.platform import Platform

# --- 4.1 components

_NAMES = st.sampled_from(["etc", "a", "...", "..a", ".wh.x", "a b", " x"])


def law_components(subject: Subject) -> None:
    """A name is a list of parts, and none of them leads out."""

    @given(st.lists(_NAMES), st.sampled_from(["", "/", "./", "//"]), st.sampled_from(["/", "//", "/./"]))
    def law(parts: list[str], start: str, between: str) -> None:
        subject.gives(parts, start + between.join(parts), why="a slash in front, empty parts and . mean nothing")

    law()
    subject.gives(["etc"], "./etc/", why="a directory's name may end with a slash")
    subject.gives([], "./", why="this is the layer's root itself")
    for name in ("..", "../etc/passwd", "a/../b", "/..", "a/.."):
        subject.raises(ValueError, name, why="an archive has no business with ..")


# --- 4.2 check

_HEX = "0123456789abcdef"


def law_check(subject: Subject) -> None:
    """A digest comes back as it is, and anything else is refused."""

    @given(st.text(_HEX, min_size=64, max_size=64), st.text(_HEX, min_size=128, max_size=128))
    def law(short: str, long: str) -> None:
        for digest in (f"sha256:{short}", f"sha512:{long}"):
            subject.gives(digest, digest, why="this is a digest")

    law()
    good = "sha256:" + "0a" * 32
    bad = ("", "sha256:", good[:-1], good + "0", good.upper(), good[:7] + "0A" * 32, good[7:], "md5:" + "0a" * 16,
           f"sha256:{'../' * 18}etc/passwd", f"{good}\n", f"sha512:{'0a' * 32}", f" {good}",
           f"{good[:7]}0x{'0a' * 31}", f"{good[:7]}{'0_' * 31}0a", f"{good[:7]}{chr(0x663) * 64}")  # fmt: skip
    for text in bad:
        subject.raises(InvalidDigest, text, why="it will be a file's name: nothing else may pass")


# --- 4.3 verify


def law_verify(subject: Subject) -> None:
    """Content is what its name says, or it is no content."""

    @given(st.binary(max_size=20), st.sampled_from(["sha256", "sha512"]), st.binary(min_size=1, max_size=2))
    def law(data: bytes, algorithm: str, more: bytes) -> None:
        digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        subject.gives(data, digest, data, why="the digest is that of the data: here it is")
        subject.raises(CorruptContent, digest, data + more, why="the data are not what the digest names")

    law()
    empty = hashlib.sha256(b"").hexdigest()
    subject.raises(CorruptContent, f"sha256:{empty[:-1]}0", b"", why="the last digit is another: all of them count")
    for digest in ("md5:d41d8cd98f00b204e9800998ecf8427e", "nonsense"):
        subject.raises(InvalidDigest, digest, b"", why="this is no digest at all")


# --- 4.4 chain_ids


def law_chain_ids(subject: Subject) -> None:
    """Each name is made of the one below and the layer's own."""

    @given(st.lists(st.sampled_from([f"sha256:{digit * 64}" for digit in "abc"]), max_size=5))
    def law(diff_ids: list[str]) -> None:
        wanted: list[str] = []
        for diff_id in diff_ids:
            below = wanted[-1:]
            text = " ".join([*below, diff_id])
            wanted.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if below else diff_id)
        subject.gives(
            wanted, diff_ids, why="the digest of the chain below, a blank, and the diff-id; the first as it is"
        )

    law()


# --- 4.5 is_whiteout


def law_is_whiteout(subject: Subject) -> None:
    """A character device 0:0, and nothing else."""

    def status(kind: int, device: int) -> os.stat_result:
        return os.stat_result((kind | 0o600, 1, 1, 1, 0, 0, 0, 0, 0, 0), {"st_rdev": device})

    kinds = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFSOCK)

    @given(st.sampled_from(kinds), st.sampled_from([(0, 0), (1, 3), (0, 1), (5, 0)]))
    def law(kind: int, device: tuple[int, int]) -> None:
        wanted = kind == stat.S_IFCHR and device == (0, 0)
        subject.gives(wanted, status(kind, os.makedev(*device)), why="a character device, with number 0:0")

    law()


# --- 4.6 lookup

_KINDS = st.sampled_from(["nothing", "file", "broken link", "whiteout", "directory", "opaque"])
_LAYERS = st.lists(st.tuples(_KINDS, _KINDS), min_size=1, max_size=3)


def _make(place: Path, kind: str) -> None:
    if kind == "file":
        place.touch()
    elif kind == "broken link":
        place.symlink_to("nowhere")
    elif kind == "whiteout":
        os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
    elif kind in ("directory", "opaque"):
        place.mkdir()
        if kind == "opaque":
            os.setxattr(place, OPAQUE, b"y")


def _visible(kinds: list[tuple[int, str]]) -> list[int]:
    """Which layers show one name, if this is what they have under it (topmost first)."""
    shown: list[int] = []
    for number, kind in kinds:
        if kind == "whiteout":
            break
        if kind in ("file", "broken link"):
            return shown or [number]
        if kind != "nothing":
            shown.append(number)
        if kind == "opaque":
            break
    return shown


def law_lookup(subject: Subject) -> None:
    """The model: one name in another, each of five kinds in each of up to three layers."""

    def stacked(layers: list[tuple[str, str]]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            roots = [Path(directory, f"layer{number}") for number in range(len(layers))]
            for root, (outer, inner) in zip(roots, layers, strict=True):
                root.mkdir()
                _make(root / "d", outer)
                if outer in ("directory", "opaque"):
                    _make(root / "d/x", inner)
            outside = _visible([(number, outer) for number, (outer, _) in enumerate(layers)])
            # If d is a file, there is nothing in it.
            inside = _visible([(n, layers[n][1]) for n in outside if layers[n][0] in ("directory", "opaque")])
            stack = ", ".join(f"d: {outer}, d/x: {inner}" for outer, inner in layers)
            why = f"topmost first: {stack.replace(', d: ', ' | d: ')}"
            subject.gives([roots[n] / "d" for n in outside], roots, "/d", why=why)
            subject.gives([roots[n] / "d/x" for n in inside], roots, "d/x", why=why)

    given(_LAYERS)(settings(max_examples=200)(stacked))()
    for between in ("file", "broken link", "opaque", "whiteout"):
        stacked([("directory", "file"), (between, "nothing"), ("directory", "file")])


# --- 4.7 fitness

_VARIANTS = st.sampled_from(["", "v5", "v6", "v7", "v8"])


def law_fitness(subject: Subject) -> None:
    """Nothing of another kind fits, an older variant does, and the nearest fits best."""

    def number(variant: str, default: int) -> int:
        return int(variant[1:]) if variant else default

    def platform(text: str) -> Platform:
        os_name, _, rest = text.partition("/")
        architecture, _, variant = rest.partition("/")
        return Platform(os=os_name, architecture=architecture, variant=variant)

    for one, other in (("linux/amd64", "windows/amd64"), ("linux/amd64", "linux/arm64"), ("linux/386", "linux/amd64")):
        subject.gives(0, platform(one), platform(other), why="another system or another processor")
    for offered, wanted in (("linux/x86_64", "linux/amd64"), ("linux/aarch64", "linux/arm64/v8")):
        fit = subject(platform(offered), platform(wanted))
        subject.expect(fit > 0, "two spellings of one platform: normalise both first")

    @given(st.sampled_from([("arm", 7), ("arm64", 8), ("amd64", 1)]), _VARIANTS, _VARIANTS, _VARIANTS)
    def law(kind: tuple[str, int], one: str, other: str, wanted: str) -> None:
        architecture, default = kind
        machine = Platform(os="linux", architecture=architecture, variant=wanted)
        offers = [Platform(os="linux", architecture=architecture, variant=each) for each in (one, other)]
        needs = [number(each, default) for each in (one, other)]
        have = number(wanted, default)
        fits = []
        for offer, need in zip(offers, needs, strict=True):
            fits.append(subject(offer, machine))
            subject.expect(
                (fits[-1] > 0) == (need <= have), "older or the same variant runs (more than 0), newer not (0)"
            )
        if needs[0] < needs[1] <= have:
            subject.expect(fits[0] < fits[1], f"{offers[1]} is nearer to {machine} than {offers[0]}: it is worth more")

    law()


# --- 4.8 select


def _offer(number: int, platform: str | None, kind: str = OCI_MANIFEST, **annotations: str) -> Descriptor:
    os_name, _, architecture = (platform or "").partition("/")
    architecture, _, variant = architecture.partition("/")
    return Descriptor(
        media_type=kind,
        digest=f"sha256:{number:064x}",
        size=1,
        platform=Platform(os=os_name, architecture=architecture, variant=variant) if platform else None,
        annotations={REFERENCE_TYPE: annotations["about"]} if annotations else {},
    )


_OFFERS = (
    "linux/amd64", "linux/arm64", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "windows/amd64", None,
    "attestation", "index",
)  # fmt: skip


def law_select(subject: Subject) -> None:
    """The nearest that runs here; the first of equals; never what is no image."""
    wanted: dict[str, list[str | None]] = {
        "amd64": ["linux/amd64", None],
        "arm64": ["linux/arm64", None],
        "arm": ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5", None],
        "riscv64": [None],
    }

    @given(st.lists(st.sampled_from(_OFFERS), max_size=4), st.sampled_from(sorted(wanted)))
    def law(offered: list[str | None], architecture: str) -> None:
        here = f"linux/{architecture}"
        no_image = {
            "attestation": _offer(90, here, about="attestation-manifest"),
            "index": _offer(91, here, OCI_INDEX),
        }
        offers = [no_image.get(str(kind)) or _offer(number, kind) for number, kind in enumerate(offered)]
        index = Index(schema_version=2, manifests=offers)
        platform = Platform(os="linux", architecture=architecture)
        best = next((offers[offered.index(each)] for each in wanted[architecture] if each in offered), None)
        if best is None:
            subject.raises(NotFound, index, platform, why="nothing here is an image for this platform")
        else:
            subject.gives(best, index, platform, why="the best that fits, and of equals the first")

    law()


def _kinds(seen: Observation, *words: str) -> bool:
    return all(word in seen.why for word in words)


EXERCISES = (
    Exercise(
        engine="minidock.images.unpack:components",
        title="A name that may not lead out",
        task="""An archive is written by a stranger and unpacked by root. Take an entry's name apart into its parts.
        A slash in front, a part that is empty, and . mean nothing. Raise ValueError for a name with .. in it,
        wherever that would lead.""",
        law=law_components,
        hints=(
            "split('/') first, then leave out '' and '.'.",
            "Look for '..' among the parts, not in the text: ..a and ... are names like any other.",
        ),
        wrong=(
            Wrong(
                "components_dots_in_text",
                lambda seen: isinstance(seen.error, ValueError),
                "A name may contain two dots: only a part that is exactly .. leads upwards.",
            ),
            Wrong(
                "components_resolves",
                lambda seen: seen.expected is ValueError and "a" in seen.arguments[0].split("/"),
                "a/.. is not where you are: a may be a symbolic link to anywhere. Refuse .. rather than compute it.",
            ),
            Wrong(
                "components_keeps_empty",
                lambda seen: isinstance(seen.result, list) and bool({"", "."} & set(seen.result)),
                "Empty parts and . are still there: they mean nothing.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.oci.digest:check",
        uses=("minidock.errors:InvalidDigest",),
        title="Is this a digest?",
        task="""sha256: and 64 lower-case hexadecimal digits, or sha512: and 128. Return the text as it is if it is a
        digest, raise InvalidDigest (minidock.errors) otherwise. What passes becomes the name of a file.""",
        law=law_check,
        hints=(
            "A regular expression with two alternatives, or partition(':') and a table of lengths.",
            "re.fullmatch takes the whole text; re.match with $ does not.",
        ),
        wrong=(
            Wrong(
                "check_dollar",
                lambda seen: isinstance(seen.result, str) and seen.result.endswith("\n"),
                "In Python, $ matches before a newline at the end, too. Use fullmatch, or \\Z.",
            ),
            Wrong(
                "check_any_case",
                lambda seen: isinstance(seen.result, str) and seen.result != seen.result.lower(),
                "Capitals are refused: the same content would have several names.",
            ),
            Wrong(
                "check_prefix",
                lambda seen: isinstance(seen.result, str) and "/" in seen.result,
                "This text has the right length, and it is a path to another file: check the digits.",
            ),
            Wrong(
                "check_as_python",
                lambda seen: (
                    seen.result.startswith("sha256:")
                    and len(seen.result) == 71
                    and bool(set(seen.result[7:]) - set(_HEX))
                ),
                "int(text, 16) reads 0x and _ too, and \\d the digits of every script: here 0-9 and a-f alone count.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.oci.digest:verify",
        uses=(
            "minidock.errors:CorruptContent",
            "minidock.oci.digest:hasher",
            "minidock.oci.digest:split",
        ),
        title="Trust nobody, hash everything",
        task="""Return data if digest is its name. Raise CorruptContent if it is not, and InvalidDigest if digest is
        no digest (both in minidock.errors). minidock.oci.digest has split, which checks, and hasher.""",
        law=law_verify,
        hints=(
            "hasher(digest) is a new hash object of the right algorithm: update it with the data.",
            "Compare f'{algorithm}:{hexdigest}' with the digest.",
        ),
        wrong=(
            Wrong(
                "verify_only_sha256",
                lambda seen: str(seen.arguments[0]).startswith("sha512:"),
                "sha512 is allowed too: the algorithm stands before the colon.",
            ),
            Wrong(
                "verify_returns_bool",
                lambda seen: isinstance(seen.result, bool),
                "Not yes or no: return the data, raise CorruptContent. An answer of False is easily overlooked.",
            ),
            Wrong(
                "verify_unchecked",
                lambda seen: seen.expected is InvalidDigest,
                "What is no digest at all is another error than wrong content: InvalidDigest. split() raises it.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.images.image:chain_ids",
        uses=("minidock.oci.digest:of",),
        title="A layer and all below it",
        task="""A diff-id names a layer's content alone. The chain-id names a layer together with all below it: that
        of the lowest is its diff-id, each other is the digest of the text 'CHAIN-ID-BELOW DIFF-ID'. Return one
        for each diff-id, the lowest first. (of in minidock.oci.digest makes a digest of bytes.)""",
        law=law_chain_ids,
        hints=(
            "Keep the list that you build: its last element is the chain below.",
            "of(f'{chain[-1]} {diff_id}'.encode()), and for the first the diff-id itself.",
        ),
        wrong=(
            Wrong(
                "chain_ids_of_diff_ids",
                lambda seen: len(seen.result) == len(seen.expected) > 2 and seen.result[:2] == seen.expected[:2],
                "The first two are right. From the third on, the chain below is more than the layer below.",
            ),
            Wrong(
                "chain_ids_hashes_first",
                lambda seen: len(seen.arguments[0]) == 1,
                "Of the lowest layer the chain-id is the diff-id, unchanged.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.images.lookup:is_whiteout",
        title="A file that says: there is no file",
        task="""To hide a name of the layers below, overlayfs makes a character device with the number 0:0. Given
        what lstat says of a file: is it a whiteout?""",
        law=law_is_whiteout,
        hints=(
            "The module stat has functions for the types: S_ISCHR(mode).",
            "st_rdev is the number of a device; os.major and os.minor take it apart, and 0:0 is simply 0.",
        ),
        wrong=(
            Wrong(
                "is_whiteout_any_device",
                lambda seen: bool(seen.arguments[0].st_rdev),
                "/dev/null is a character device too (1:3): look at both numbers.",
            ),
            Wrong(
                "is_whiteout_number_only",
                lambda seen: stat.S_IFMT(seen.arguments[0].st_mode) in (stat.S_IFREG, stat.S_IFDIR),
                "Every ordinary file has 0 for st_rdev: look at the type first.",
            ),
            Wrong(
                "is_whiteout_bits",
                lambda seen: stat.S_IFMT(seen.arguments[0].st_mode) in (stat.S_IFBLK, stat.S_IFLNK),
                "The types are numbers, not bits: S_IFCHR is a part of S_IFBLK and S_IFLNK. Use stat.S_ISCHR.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.images.lookup:lookup",
        uses=(
            "minidock.images.lookup:is_opaque",
            "minidock.images.lookup:is_whiteout",
        ),
        title="Be the kernel: find a file",
        task="""Given the directories of the layers, topmost first: where is this path really? Name by name: a
        whiteout ends the search; a file is the answer if no layer above has a directory there, and ends the
        search anyway; directories are collected, down to an opaque one. Return the file in a list, or all
        directories that are merged; nothing is []. is_whiteout and is_opaque are in minidock.images.lookup.""",
        law=law_lookup,
        hints=(
            "Write a helper that goes from the list of merged directories to one name in them; call it for each name.",
            "In the helper, for each directory: not there, go on; whiteout, stop; no directory, stop, and it is the "
            "answer if nothing was found before; directory, collect; opaque, stop.",
            "Use lstat. FileNotFoundError and NotADirectoryError both mean: not there.",
        ),
        wrong=(
            Wrong(
                "lookup_first_only",
                lambda seen: len(seen.result) == 1 < len(seen.expected),
                "Directories are merged: go on below the first one, and collect.",
            ),
            Wrong(
                "lookup_no_opaque",
                lambda seen: _kinds(seen, "opaque") and len(seen.result) > len(seen.expected),
                "An opaque directory hides what the layers below have under its name.",
            ),
            Wrong(
                "lookup_whole_path",
                lambda seen: "/x" in seen.arguments[1] and len(seen.result) > len(seen.expected),
                "Go name by name: if d is gone, then d/x of a lower layer is gone with it.",
            ),
            Wrong(
                "lookup_leaves_the_layer",
                lambda seen: (
                    seen.arguments[1].startswith("/")
                    and seen.result == [] != seen.expected
                    and not _kinds(seen, "link")
                ),
                "The path begins with a slash, and layer / '/d' is /d: such a path is not joined, it replaces.",
            ),
        ),
        needs_root=True,
    ),
    Exercise(
        engine="minidock.oci.platform:fitness",
        uses=("minidock.oci.platform:normalise",),
        title="Will it run here?",
        task="""How well does a program for one platform run on another: 0 is not at all, more is better. System and
        architecture must be equal. An older variant of the same architecture runs too (arm/v6 on arm/v7), a newer
        does not. normalise in minidock.oci.platform gives each platform one spelling. After it, no variant means
        v8 for arm64 and v1 for amd64.""",
        law=law_fitness,
        hints=(
            "normalise both; unequal os or architecture is 0.",
            "Make numbers of the variants: v7 is 7. What is offered must not be greater than what is wanted.",
            "Return the offered number plus one: then v0 is more than nothing, and the nearest is the best.",
        ),
        wrong=(
            Wrong(
                "fitness_no_normalise",
                lambda seen: "normalise" in seen.why,
                "x86_64 and amd64 are one architecture, and arm64 is arm64/v8: use normalise on both.",
            ),
            Wrong(
                "fitness_exact",
                lambda seen: seen.result == 0 and "older" in seen.why,
                "A newer processor runs the programs of the older ones: v6 on v7 is well.",
            ),
            Wrong(
                "fitness_yes_or_no",
                lambda seen: "nearer" in seen.why,
                "Both run, but v7 is better than v6 on v7: the number must say so.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.oci.image:select",
        uses=(
            "minidock.errors:NotFound",
            "minidock.oci.image:MANIFEST_TYPES",
            "minidock.oci.image:REFERENCE_TYPE",
            "minidock.oci.platform:fitness",
        ),
        title="One name, many machines",
        task="""An index lists manifests, most with a platform. Return the one that fits best (fitness in
        minidock.oci.platform); of equals the first. One without a platform is for everybody, but any that fits is
        better. Leave out attestations (REFERENCE_TYPE is among their annotations) and what is no manifest
        (MANIFEST_TYPES). Raise NotFound (minidock.errors) if nothing is left.""",
        law=law_select,
        hints=(
            "Go through index.manifests, keep the best so far and how well it fits; replace it only by what is better.",
            "No platform must be worth less than the worst fit: 1 against fitness() * 2, for example.",
        ),
        wrong=(
            Wrong(
                "select_first_fit",
                lambda seen: (
                    seen.result.platform.architecture == seen.expected.platform.architecture == "arm"
                    and seen.result.platform != seen.expected.platform
                    and seen.result.digest[-2:] not in ("5a", "5b")
                ),
                "The first that fits is not always the best: arm/v7 before arm/v5.",
            ),
            Wrong(
                "select_attestations",
                lambda seen: seen.result.digest.endswith("5a"),
                "That is an attestation: it is about an image, and is none.",
            ),
            Wrong(
                "select_no_platform",
                lambda seen: isinstance(seen.error, AttributeError),
                "platform may be None: such a manifest is for everybody.",
            ),
        ),
    ),
)
