"""The exercises of chapter 5: names, challenges, and whom to tell what."""

from __future__ import annotations

import base64
import email.utils
import json
import os
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from chapters.course import Exercise, Wrong
from chapters.trial import NOTHING, Observation, Subject
from minidock.errors import InvalidInput, InvalidReference, InvalidSpec
from minidock.oci.distribution import Challenge, ErrorEntry
from minidock.oci.reference import Reference
from minidock.registry.credentials import ANONYMOUS, Credentials
from minidock.registry.settings import Settings

_SHORT = st.text('aB:"?>é', max_size=6)
_JSON = st.none() | st.integers(-100, 100) | _SHORT | st.dictionaries(_SHORT, st.booleans(), max_size=2)
_ENTRIES = st.fixed_dictionaries(
    {"code": st.sampled_from(["DENIED", "MANIFEST_UNKNOWN"])},
    optional={"message": _SHORT, "detail": _JSON},
)


def law_read_errors(subject: Subject) -> None:
    """The errors of an error document; of anything else none."""
    why = "this is no error document: a proxy may have answered"
    for body in (b"<html>502 Bad Gateway</html>", b"", b"{}", b"[]", b'{"errors": "no"}', b"null", b"{"):
        subject.gives([], body, why=why)

    @given(st.lists(_ENTRIES, max_size=3))
    def law(entries: list[dict[str, Any]]) -> None:
        wanted = [ErrorEntry(each["code"], each.get("message", ""), each.get("detail")) for each in entries]
        subject.gives(wanted, json.dumps({"errors": entries}).encode(), why="message and detail may be missing")

    law()
    for body in (b"<p>d\xe9sol\xe9</p>", b'{"errors": ["no"]}', b'{"errors": [{"code": 1}]}'):
        subject.gives([], body, why=why)
    more = b'{"errors": [{"code": "DENIED", "tip": "log in"}], "traceId": 7}'
    subject.gives([ErrorEntry("DENIED")], more, why="a field that you do not know does no harm")


_NAMES = {
    "debian": ("docker.io", "library/debian", None, None),
    "debian:12": ("docker.io", "library/debian", "12", None),
    "user/tool": ("docker.io", "user/tool", None, None),
    "localhost/tool": ("localhost", "tool", None, None),
    "localhost:5000/tool": ("localhost:5000", "tool", None, None),
    "localhost:5000/tool:v1": ("localhost:5000", "tool", "v1", None),
    "quay.io/a/b/c": ("quay.io", "a/b/c", None, None),
    "index.docker.io/debian": ("docker.io", "library/debian", None, None),
    "docker.io/debian": ("docker.io", "library/debian", None, None),
    "debian@sha256:" + "a" * 64: ("docker.io", "library/debian", None, "sha256:" + "a" * 64),
    "HOST/tool": ("HOST", "tool", None, None),
    "[::1]:5000/tool": ("[::1]:5000", "tool", None, None),
    "my-host.example/a--b/c__d.e_f": ("my-host.example", "a--b/c__d.e_f", None, None),
    "quay.io/" + "a" * 255 + ":" + "T" * 128: ("quay.io", "a" * 255, "T" * 128, None),
}
_NO_NAMES = (
    "", "Debian", "a/B", "a:", ":a", "a b", "a//b", "-a", "a@sha256:12", "a:b:c", "f" * 64, "a/" * 200, "a.", "a..b",
    "a___b", "a._b", "a_", "a\n", "a:-b", "a:" + "b" * 129, "quay.io/" + "a" * 256, "-host.example/a",
    "my_host.example/a", "host:port/a",
)  # fmt: skip
_WORDS = st.text("ab0", min_size=1, max_size=4)
_DOMAINS = st.sampled_from(["docker.io", "quay.io", "localhost", "localhost:5000", "[::1]:5000", "10.0.0.1:80"])
_TAGS = st.none() | st.sampled_from(["latest", "v1.2", "_x", "1-2.3"])
_DIGESTS = st.none() | st.just("sha256:" + "0f" * 32)


def law_parse(subject: Subject) -> None:
    """A name as people write it, in its four parts; no part is invented but Docker Hub's."""
    for text, parts in _NAMES.items():
        subject.gives(Reference(*parts), text, why="domain, path, tag and digest")

    @given(_DOMAINS, st.lists(_WORDS, min_size=2, max_size=3), _TAGS, _DIGESTS)
    def law(domain: str, words: list[str], tag: str | None, digest: str | None) -> None:
        reference = Reference(domain, "/".join(words), tag, digest)
        subject.gives(reference, str(reference), why="a canonical name is read as what it says")
        if domain == "docker.io":
            subject.gives(reference, reference.familiar, why="docker.io need not be written")

    law()
    for text in _NO_NAMES:
        subject.raises(InvalidReference, text, why="this is no image's name")


class _Clock:
    """A clock that stands still, and is shown as one would write it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def __repr__(self) -> str:
        return f"lambda: {self.seconds}"


def law_parse_retry_after(subject: Subject) -> None:
    """Seconds, or a date; anything else says nothing."""

    @given(st.integers(0, 10**6))
    def number(seconds: int) -> None:
        subject.gives(float(seconds), str(seconds), _Clock(0.0), why="a number of seconds")

    number()
    for text in ("", "soon", "-1", "1.5", "\N{SUPERSCRIPT TWO}"):
        subject.gives(None, text, _Clock(0.0), why="neither a number nor a date: the header says nothing")

    @given(st.integers(10**9, 10**9 + 1000), st.integers(-100, 1000))
    def date(now: int, ahead: int) -> None:
        header = email.utils.formatdate(now + ahead, usegmt=True)
        subject.gives(max(0.0, float(ahead)), header, _Clock(float(now)), why="until then; what is past is 0, not less")

    date()
    with _time_zone("EST5"):
        header = "Sun, 09 Sep 2001 01:46:50 GMT"
        subject.gives(10.0, header, _Clock(1e9), why="GMT is not the time of this machine, where now it is TZ=EST5")


@contextmanager
def _time_zone(name: str) -> Iterator[None]:
    """As on a machine in another place."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


_INSECURE = Settings(insecure=frozenset({"old.example", "lab.example:5000", "10.1.0.0/16", "fd00::/8"}))
_HOSTS = {
    "http://localhost:5000": True,
    "http://127.0.0.1:5000": True,
    "http://127.8.9.10": True,
    "http://[::1]:5000": True,
    "http://old.example": True,
    "http://old.example:8080": True,
    "http://lab.example:5000": True,
    "http://10.1.2.3:5000": True,
    "http://[fd00::7]": True,
    "http://lab.example": False,
    "http://lab.example:5001": False,
    "http://localhost.mallory.example": False,
    "http://127.0.0.1.mallory.example": False,
    "https://old.example": True,
    "http://notold.example": False,
    "http://notlocalhost": False,
    "http://10.2.0.1": False,
    "https://registry.example": False,
}


def law_is_insecure(subject: Subject) -> None:
    """Loopback, and what the user listed: by name, by name and port, by network. Nothing else."""
    for url, insecure in _HOSTS.items():
        subject.gives(insecure, URL(url), _INSECURE, why="loopback and what is listed, and nothing that looks like it")

    @given(st.tuples(*[st.integers(0, 255)] * 4), st.integers(1, 65535))
    def law(parts: tuple[int, ...], port: int) -> None:
        url = URL(f"http://{'.'.join(map(str, parts))}:{port}")
        subject.gives(parts[0] == 127 or parts[:2] == (10, 1), url, _INSECURE, why="127.0.0.0/8 and 10.1.0.0/16")

    law()


def _header(document: object, padded: bool = True) -> str:
    text = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
    return text if padded else text.rstrip("=")


NOBODY = ("", _header({}), _header(None))


def law_from_header(subject: Subject) -> None:
    """An AuthConfig in base64url; the password is everything behind the first colon."""
    for text in NOBODY:
        subject.gives(ANONYMOUS, text, why="nobody")
    subject.gives(
        Credentials("a", "???>>>"), _header({"username": "a", "password": "???>>>"}), why="- and _ for + and /"
    )

    @given(_SHORT, _SHORT, st.booleans())
    def law(username: str, password: str, padded: bool) -> None:
        document = {"username": username, "password": password, "serveraddress": "registry.example"}
        why = "base64url, with its padding or without"
        subject.gives(Credentials(username, password), _header(document, padded), why=why)

    law()

    @given(st.text("ab", min_size=1), st.text("xy:", max_size=5))
    def auth(username: str, password: str) -> None:
        both = base64.b64encode(f"{username}:{password}".encode()).decode()
        subject.gives(Credentials(username, password), _header({"auth": both}), why="auth is username:password, packed")

    auth()
    two = _header({"username": "a", "password": "x", "auth": base64.b64encode(b"b:y").decode()})
    subject.gives(Credentials("a", "x"), two, why="where there is a username, auth does not count")
    subject.gives(Credentials(identity_token="i"), _header({"identitytoken": "i"}), why="a token instead of a password")
    subject.gives(Credentials(registry_token="r"), _header({"registrytoken": "r"}), why="a token instead of a password")
    for text, said in (
        ("!!!!", "it is no base64"),
        ("bm8=", "decoded, it is the word no, which is no JSON"),
        (_header([1]), "decoded, it is a list: [1]"),
    ):
        subject.raises(InvalidInput, text, why=f"this is no AuthConfig: {said}")
    for field in ("username", "auth", "identitytoken"):
        why = f'decoded, it is {{"{field}": 1}}: a number where a text belongs'
        subject.raises(InvalidInput, _header({field: 1}), why=why)


_TRUSTING = Settings(
    trusted_realms=frozenset({"login.other.example", "sso.example:8443"}),
    insecure=frozenset({"lab.example", "registry.lab.example"}),
)
_REALMS = (
    ("https://registry.example.com/token", "https://registry.example.com", True, "the registry itself"),
    ("https://registry.example.com:8443/token", "https://registry.example.com", True, "its name, another port"),
    ("https://example.com/token", "https://registry.example.com", True, "a domain above it"),
    ("https://auth.docker.io/token", "https://registry-1.docker.io", True, "Docker Hub"),
    ("https://login.other.example/token", "https://registry.example.com", True, "the user listed it"),
    ("https://sso.example:8443/token", "https://registry.example.com", True, "the user listed it"),
    ("http://127.0.0.1:5000/token", "http://127.0.0.1:5000", True, "the same origin, on loopback"),
    ("https://mallory.example/token", "https://registry.example.com", False, "a stranger"),
    ("https://auth.example.com/token", "https://registry.example.com", False, "a neighbour: co.uk has many, too"),
    ("https://example.com/token", "https://registry-example.com", False, "not below example.com: a dash is no dot"),
    ("https://ample.com/token", "https://registry.example.com", False, "not below ample.com"),
    ("https://com/token", "https://registry.com", False, "a domain of one label belongs to nobody in particular"),
    ("http://registry.example.com/token", "https://registry.example.com", False, "plain http: anybody can listen"),
    ("https://sso.example/token", "https://registry.example.com", False, "listed is another port"),
    ("https://auth.docker.io/token", "https://mallory.example", False, "Docker Hub's realm, but not its registry"),
    (
        "http://login.other.example/token",
        "https://registry.example.com",
        False,
        "listed, but plain http is not acceptable",
    ),
    (
        "https://lab.example/token",
        "https://hub.lab.example",
        False,
        "the realm is insecure: its certificate is anybody's",
    ),
    ("https://example.com/token", "http://registry.example.com", False, "the registry said so over plain http"),
    ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000", False, "another port of this machine: another user's?"),
)


def law_may_see_credentials(subject: Subject) -> None:
    """Only who is the registry, or holds its name, or is above it; and whom the user trusts."""
    for realm, registry, may, why in _REALMS:
        subject.gives(may, URL(realm), URL(registry), _TRUSTING, why=why)

    @given(st.lists(_WORDS, min_size=2, max_size=3), st.lists(_WORDS, min_size=2, max_size=4))
    def law(above: list[str], name: list[str]) -> None:
        realm, registry = ".".join(["r", *above]), ".".join(["r", *name])
        may = name[-len(above) - 1 :] == ["r", *above] or registry == realm
        subject.gives(may, URL(f"https://{realm}/t"), URL(f"https://{registry}"), Settings(), why="the same, or above")

    law()


_SCHEMES = st.sampled_from(["basic", "bearer", "negotiate"])
_PARAMETERS = st.dictionaries(
    st.sampled_from(["realm", "service", "scope", "error"]), st.text(string.printable[:95], max_size=8)
)
_HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
_CHALLENGES: tuple[tuple[list[str], list[Challenge]], ...] = (
    ([], []),
    (
        [_HUB],
        [Challenge("bearer", {"realm": "https://auth.docker.io/token", "service": "registry.docker.io"})],
    ),
    (['Bearer scope="repository:a/b:pull,push"'], [Challenge("bearer", {"scope": "repository:a/b:pull,push"})]),
    (["Basic REALM=here"], [Challenge("basic", {"realm": "here"})]),
    (
        ['Basic realm="a", Bearer realm="b"'],
        [Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "b"})],
    ),
    (['Basic realm="say \\"a\\""'], [Challenge("basic", {"realm": 'say "a"'})]),
    (['Negotiate abc==, Basic realm="a"'], [Challenge("negotiate"), Challenge("basic", {"realm": "a"})]),
)


def law_parse_challenges(subject: Subject) -> None:
    """Every challenge of every header, whatever stands in quotes."""
    for headers, challenges in _CHALLENGES:
        subject.gives(challenges, headers, why="schemes and names in lower case, values without their quotes")

    @given(st.lists(st.builds(Challenge, _SCHEMES, _PARAMETERS), max_size=3), st.booleans())
    def law(challenges: list[Challenge], together: bool) -> None:
        texts = [str(each) for each in challenges]
        subject.gives(challenges, [", ".join(texts)] if together else texts, why="in one header or in several")

    law()
    for text in ('realm="a"', '="a"', 'Basic realm="a', "Basic (x)"):
        subject.raises(InvalidSpec, [text], why="this is no challenge")


def _got(seen: Observation, attribute: str) -> Any:
    return getattr(seen.result, attribute, NOTHING)


def _domain(seen: Observation) -> str:
    return str(_got(seen, "domain"))


def _no_answer(seen: Observation) -> bool:
    """It raised where it should not have."""
    return seen.error is not None and not (isinstance(seen.expected, type))


EXERCISES = (
    Exercise(
        engine="minidock.oci.distribution:read_errors",
        title="Why not?",
        task="""A registry explains a refusal in JSON: {"errors": [{"code": "DENIED", "message": "…", "detail": …}]}.
        Message and detail may be missing (then "" and None); pass over other fields. Return the ErrorEntry objects. A
        proxy in between may answer in HTML, in any encoding, or with nothing, or with JSON of another form: then
        there are none, and no error is raised.""",
        law=law_read_errors,
        hints=(
            "msgspec.json.decode(body, type=ErrorDocument) checks everything at once, or raises msgspec.DecodeError.",
            "With json.loads you have to look yourself: a dict, its errors a list, each of them a dict with a code.",
        ),
        wrong=(
            Wrong(
                "read_errors_trusts",
                lambda seen: isinstance(seen.error, ValueError) and b'"errors"' not in seen.arguments[0],
                "That body is no JSON. You would now report a JSON error instead of the one that matters.",
            ),
            Wrong(
                "read_errors_complete",
                lambda seen: isinstance(seen.error, KeyError),
                "Only the code is required.",
            ),
            Wrong(
                "read_errors_dicts",
                lambda seen: isinstance(seen.result, list) and any(isinstance(each, dict) for each in seen.result),
                "These are dicts: make an ErrorEntry of each.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.oci.reference:parse",
        uses=("minidock.errors:InvalidReference",),
        title="What does debian mean?",
        task="""Read an image's name: [domain/]path[:tag][@digest]. The first component is a domain only if it holds a
        dot or a colon, is localhost, or has capitals; otherwise it is docker.io, and a name of one component
        there is under library/. index.docker.io is docker.io's old name. Add no tag. Raise InvalidReference
        (minidock.errors) for anything else. A domain is labels between dots, of letters, digits and dashes (no dash
        at either end), or an IPv6 address in brackets; and perhaps a colon and a port's number. Components are lower
        case letters and digits, joined by one dot, one or two underscores, or dashes; a tag is up to 128 letters,
        digits, _ . -, the first no dot or dash; at most 255 characters of path; 64 hexadecimal digits alone are an
        image's id and no name.""",
        law=law_parse,
        hints=(
            "Decide about the domain first: partition('/') once, look at the part before it.",
            "The rest is one regular expression with named groups; use fullmatch.",
            "re.fullmatch(r'(?P<path>C(?:/C)*)(?::(?P<tag>T))?(?:@(?P<digest>D))?', rest), with C, T, D as described.",
        ),
        wrong=(
            Wrong(
                "parse_first_slash",
                lambda seen: (
                    _got(seen, "domain") == "user" or ("/" not in str(seen.arguments[0]) and ":" in _domain(seen))
                ),
                "That is no host. A host has a slash behind it, and a dot, a colon or capitals in it, or is localhost.",
            ),
            Wrong(
                "parse_no_library",
                lambda seen: _got(seen, "path") == "debian" and _domain(seen) == "docker.io",
                "Docker Hub's own images are under library/, though nobody writes it.",
            ),
            Wrong(
                "parse_first_colon",
                lambda seen: seen.error is not None and str(seen.arguments[0]).startswith("localhost:5000"),
                "That colon belongs to the port. A tag's colon comes behind the last slash.",
            ),
            Wrong(
                "parse_latest",
                lambda seen: _got(seen, "tag") == "latest" and seen.expected.tag is None,
                "Do not add :latest here. Who runs docker tag, or names a digest, means what they wrote.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.retry:parse_retry_after",
        title="Come back later",
        task="""Retry-After says when to try again: a number of seconds (only digits), or a date as in HTTP (Sun, 06
        Nov 1994 08:49:37 GMT). Return seconds from now (now() is the time in seconds since 1970),
        never less than 0; None if the header is neither.""",
        law=law_parse_retry_after,
        hints=(
            "email.utils.parsedate_to_datetime reads the date; it raises ValueError for what is none.",
            "isdigit() is true for ² as well: ask isascii() too.",
        ),
        wrong=(
            Wrong(
                "parse_retry_after_number",
                lambda seen: seen.result is None and "GMT" in str(seen.arguments[0]),
                "It may be a date. Servers behind a CDN send one.",
            ),
            Wrong(
                "parse_retry_after_past",
                lambda seen: isinstance(seen.result, float) and seen.result < 0 and seen.expected is not None,
                "The clocks differ: a date may be past already. Nobody can sleep a negative time.",
            ),
            Wrong(
                "parse_retry_after_raises",
                lambda seen: seen.error is not None,
                "A header that makes no sense is as good as none: return None.",
            ),
            Wrong(
                "parse_retry_after_local",
                lambda seen: "GMT" in seen.arguments[0] and abs(seen.result - seen.expected) % 900 == 0,
                "A datetime without a time zone is taken for this machine's own time: say that it is GMT (UTC).",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.endpoints:is_insecure",
        uses=("minidock.registry.settings:Settings.insecure_networks",),
        title="When is plain http all right?",
        task="""Plain http is acceptable to this machine itself (localhost, and the addresses that ipaddress calls
        loopback) and to what the user listed in settings.insecure: a host, a host:port, or a network
        (settings.insecure_networks() gives those). Say whether this URL's host is one of them.""",
        law=law_is_insecure,
        hints=(
            "url.host and url.port are all you need of the URL. ipaddress.ip_address raises ValueError for a name.",
            "Compare names as a whole: 127.0.0.1.mallory.example is a perfectly good name.",
            "any(address in network for network in settings.insecure_networks())",
        ),
        wrong=(
            Wrong(
                "is_insecure_prefix",
                lambda seen: seen.result is True and "mallory" in str(seen.arguments[0]),
                "It begins like this machine's name, and it is Mallory's. Compare whole names, and parse addresses.",
            ),
            Wrong(
                "is_insecure_any_port",
                lambda seen: seen.result is True and "lab.example" in str(seen.arguments[0]),
                "Listed is lab.example:5000, one port. Another port is another server.",
            ),
            Wrong(
                "is_insecure_no_networks",
                lambda seen: seen.result is False and seen.expected is True and "10.1." in str(seen.arguments[0]),
                "An entry may be a whole network, like 10.1.0.0/16.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.credentials:from_header",
        uses=("minidock.errors:InvalidInput",),
        title="Who is asking?",
        task="""docker pull sends the user's password to the daemon in a header, X-Registry-Auth: a JSON object in
        base64url, with or without padding. Its fields are username, password, auth (username:password in base64,
        as in config.json; used when there is no username), identitytoken, registrytoken. Return Credentials.
        Nothing, {} and null are nobody. Raise InvalidInput (minidock.errors) for anything else.""",
        law=law_from_header,
        hints=(
            "value + '=' * (-len(value) % 4) puts the padding back.",
            "base64.b64decode(…, altchars=b'-_', validate=True); without validate it skips what it does not know.",
            "partition(':') for auth: a password may hold colons.",
            "Whoever sends JSON chooses the types in it: check that each field is text, isinstance(…, str).",
        ),
        wrong=(
            Wrong(
                "from_header_alphabet",
                lambda seen: _no_answer(seen) and any(letter in seen.arguments[0] for letter in "-_"),
                "base64url has - and _ where base64 has + and /.",
            ),
            Wrong(
                "from_header_padding",
                lambda seen: _no_answer(seen) and len(seen.arguments[0]) % 4 != 0,
                "Some clients leave the padding away: the length must be a multiple of 4 before Python decodes it.",
            ),
            Wrong(
                "from_header_colons",
                lambda seen: (
                    seen.result is not NOTHING
                    and seen.result.password != seen.expected.password
                    and ":" in seen.expected.password
                ),
                "The password goes from the first colon to the end, further colons included.",
            ),
            Wrong(
                "from_header_nobody",
                lambda seen: _no_answer(seen) and seen.arguments[0] in NOBODY,
                "An empty header, {} and null are nobody in particular: ANONYMOUS, and no error.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.registry.authorization:may_see_credentials",
        uses=(
            "minidock.registry.endpoints:is_acceptable",
            "minidock.registry.endpoints:is_insecure",
            "minidock.registry.endpoints:HUB_REGISTRY",
            "minidock.registry.authorization:HUB_REALM",
        ),
        title="Whom to show the password",
        task="""A registry names its token server, the realm, by URL, and may name any. Show it the password only if
        it is acceptable (is_acceptable of minidock.registry.endpoints) and: it is the registry's own origin; or the
        user lists it in settings.trusted_realms, as host or host:port; or both are https, the realm is not
        insecure (is_insecure), and the realm's host is the registry's or a domain of two labels or more above it,
        or the two are Docker Hub's HUB_REGISTRY and HUB_REALM.""",
        law=law_may_see_credentials,
        hints=(
            "url.origin() is scheme, host and port together. Go through the rules in order, and return early.",
            "Above it means: the registry's host ends with a dot and the realm's host.",
        ),
        wrong=(
            Wrong(
                "may_see_credentials_suffix",
                lambda seen: (
                    seen.result is True and ("-" in str(seen.arguments[1]) or "/ample" in str(seen.arguments[0]))
                ),
                "Two names can end alike and be strangers: a domain ends where a dot is.",
            ),
            Wrong(
                "may_see_credentials_neighbours",
                lambda seen: seen.result is True and "auth.example.com" in str(seen.arguments[0]),
                "A neighbour proves nothing: a.co.uk and b.co.uk are strangers, and share their last two labels.",
            ),
            Wrong(
                "may_see_credentials_https",
                lambda seen: seen.result is True and "mallory" in str(seen.arguments[0]),
                "A valid certificate says that it is really Mallory. It does not say that Mallory is your friend.",
            ),
        ),
    ),
    Exercise(
        engine="minidock.oci.distribution:parse_challenges",
        uses=("minidock.errors:InvalidSpec",),
        title="Who are you?",
        task="""WWW-Authenticate: Bearer realm="…",service="…". Read the challenges of all these headers. Each is a
        scheme and parameters name=value; a value is a word or stands in double quotes, where a backslash takes the
        next character as it is. Commas separate parameters, and challenges too. Schemes and names become lower
        case. Something like abc== behind a scheme is skipped. Raise InvalidSpec (minidock.errors) for a header
        that is not so.""",
        law=law_parse_challenges,
        hints=(
            "A comma may stand in quotes: do not split, walk. Keep a position, and match a pattern at it.",
            "At each position: name = value is a parameter of the last challenge; a word alone opens the next one.",
            r"""(TOKEN)[ \t]*=[ \t]*(?:(TOKEN)|"((?:[^"\\]|\\.)*)")[ \t]*(?=,|$) matches a parameter.""",
        ),
        wrong=(
            Wrong(
                "parse_challenges_split",
                lambda seen: any("pull,push" in header for header in seen.arguments[0]),
                "That comma stands in quotes: it separates nothing.",
            ),
            Wrong(
                "parse_challenges_case",
                lambda seen: (
                    isinstance(seen.result, list) and any(each.scheme != each.scheme.lower() for each in seen.result)
                ),
                "Schemes do not depend on case: give them in lower case.",
            ),
            Wrong(
                "parse_challenges_one",
                lambda seen: isinstance(seen.result, list) and 0 < len(seen.result) < len(seen.expected),
                "There may be several challenges in one header: a word without = opens the next.",
            ),
        ),
    ),
)
