"""The small languages of a registry: challenges, errors, credentials, Retry-After; and how long to wait."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.errors import InvalidInput, InvalidSpec, RegistryError, RegistryUnreachable
from minidock.oci.distribution import Challenge, parse_challenges, read_errors
from minidock.registry.credentials import ANONYMOUS, Credentials, from_header
from minidock.registry.endpoints import addresses, is_insecure, mirrors
from minidock.registry.retry import Retry, Unavailable, parse_retry_after
from minidock.registry.settings import Settings

# --- challenges -----------------------------------------------------------------------------------------------------

tokens = st.text("abcxyzABC012-._~!#", min_size=1, max_size=8)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
challenges = st.builds(
    Challenge,
    tokens.map(str.lower),
    st.dictionaries(tokens.map(str.lower), values, max_size=4),
)


@given(st.lists(challenges, max_size=4))
def test_challenges_survive_one_header(wanted: list[Challenge]) -> None:
    """Whatever stands in quotes (commas, equals signs, quotes), several challenges in one header are read back."""
    assert parse_challenges([", ".join(map(str, wanted))]) == wanted


@given(st.lists(challenges, max_size=4))
def test_challenges_survive_headers_of_their_own(wanted: list[Challenge]) -> None:
    """One header for each challenge means the same as all in one."""
    assert parse_challenges(map(str, wanted)) == wanted


@given(st.text(st.characters(min_codepoint=9, max_codepoint=126), max_size=40))
def test_any_header_is_read_or_refused(header: str) -> None:
    """There is no header that crashes, or is read as something that is then not readable itself."""
    try:
        found = parse_challenges([header])
    except InvalidSpec:
        return
    assert parse_challenges(map(str, found)) == found


REAL = {
    "Docker Hub": (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"',
        [("bearer", {"realm": "https://auth.docker.io/token", "service": "registry.docker.io",
                     "scope": "repository:library/x:pull"})],
    ),
    "two in one": ('Basic realm="a, b", Bearer realm=r , service = "s"',
                   [("basic", {"realm": "a, b"}), ("bearer", {"realm": "r", "service": "s"})]),
    "a token68 first": ('Negotiate abc==, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
    "no parameters": ("Negotiate, NTLM", [("negotiate", {}), ("ntlm", {})]),
    "escapes": (r'Basic realm="a \"quoted\" \\ word"', [("basic", {"realm": r'a "quoted" \ word'})]),
    "nothing": (" , ,", []),
}  # fmt: skip


@pytest.mark.parametrize("header, wanted", REAL.values(), ids=REAL.keys())
def test_headers_as_servers_write_them(header: str, wanted: list[tuple[str, dict[str, str]]]) -> None:
    """RFC 9110 leaves servers a lot of freedom, and they use it."""
    assert parse_challenges([header]) == [Challenge(scheme, parameters) for scheme, parameters in wanted]


@pytest.mark.parametrize("header", ['realm="x"', 'Basic realm="x', "=", 'Basic realm="x" y="z"', "Basic, =x"])
def test_malformed_challenges_are_refused(header: str) -> None:
    """A parameter of no scheme, an open quote, a missing comma."""
    with pytest.raises(InvalidSpec, match="malformed WWW-Authenticate"):
        parse_challenges([header])


# --- errors ---------------------------------------------------------------------------------------------------------


def test_errors_read_as_docker_writes_them() -> None:
    """The code in words, and then the message; a body that is no error document has no errors."""
    body = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"Tag": "x"}}]}'
    assert [str(error) for error in read_errors(body)] == ["manifest unknown: manifest unknown"]
    assert [str(error) for error in read_errors(b'{"errors": [{"code": "DENIED"}]}')] == ["denied"]
    for other in (b"<html>bad gateway</html>", b"", b"[]", b'{"errors": null}', b"\xff"):
        assert read_errors(other) == []


# --- credentials ----------------------------------------------------------------------------------------------------


@given(st.text(), st.text(), st.text(), st.text(), st.booleans())
def test_credentials_survive_the_header(user: str, password: str, identity: str, registry: str, padded: bool) -> None:
    """X-Registry-Auth, as docker (padded) and docker-py write it, gives back what was put in."""
    document = {"username": user, "password": password, "identitytoken": identity, "registrytoken": registry}
    header = base64.urlsafe_b64encode(json.dumps(document | {"serveraddress": "x"}).encode()).decode()
    assert from_header(header if padded else header.rstrip("=")) == Credentials(user, password, identity, registry)


@pytest.mark.parametrize("header", ["", "e30=", "e30", base64.urlsafe_b64encode(b"null").decode()])
def test_no_credentials_are_nobodys(header: str) -> None:
    """Docker's client sends ``{}`` when it knows nothing."""
    assert from_header(header) == ANONYMOUS
    assert not from_header(header)


def test_an_auth_field_is_a_user_and_a_password() -> None:
    """config.json's form of it, which some clients pass on as it is."""
    auth = base64.b64encode(b"user:pass:word").decode()
    header = base64.urlsafe_b64encode(json.dumps({"auth": auth}).encode()).decode()
    assert from_header(header) == Credentials("user", "pass:word")


@pytest.mark.parametrize("header", ["!", "AAAA", "W10=", base64.urlsafe_b64encode(b'{"username": 1}').decode()])
def test_a_broken_header_is_the_callers_fault(header: str) -> None:
    """Neither base64, nor JSON, nor an object with the right types: 400."""
    with pytest.raises(InvalidInput, match="X-Registry-Auth"):
        from_header(header)


def test_secrets_are_not_in_the_repr() -> None:
    """What ends in a traceback or a log has no password in it."""
    text = repr(Credentials("user", "secret1", "secret2", "secret3"))
    assert "user" in text
    assert "secret" not in text


# --- where, and how safely ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "domain, urls",
    [
        ("docker.io", ["https://registry-1.docker.io"]),
        ("quay.io", ["https://quay.io"]),
        ("example.com:5000", ["https://example.com:5000"]),
        ("localhost:5000", ["https://localhost:5000", "http://localhost:5000"]),
        ("127.0.0.1:5000", ["https://127.0.0.1:5000", "http://127.0.0.1:5000"]),
        ("127.1.2.3", ["https://127.1.2.3", "http://127.1.2.3"]),
        ("[::1]:5000", ["https://[::1]:5000", "http://[::1]:5000"]),
        ("10.1.2.3:5000", ["https://10.1.2.3:5000"]),
        ("localhost.example.com", ["https://localhost.example.com"]),
    ],
)
def test_where_a_registry_is(domain: str, urls: list[str]) -> None:
    """https, and only on this machine http after it."""
    assert [str(url) for url in addresses(domain, Settings())] == urls


@pytest.mark.parametrize("entry", ["r.example.com", "r.example.com:5000", "10.0.0.0/8"])
def test_insecure_registries_are_listed(entry: str) -> None:
    """By host, by host and port, or by network."""
    settings = Settings(insecure=frozenset({entry}))
    domain = "10.1.2.3:5000" if "/" in entry else "r.example.com:5000"
    assert [url.scheme for url in addresses(domain, settings)] == ["https", "http"]
    other = addresses("other.example.com:5000", settings)
    assert [url.scheme for url in other] == ["https"]
    assert not is_insecure(other[0], settings)


def test_a_network_that_is_none_is_refused() -> None:
    """A typing mistake in the settings is reported and opens nothing."""
    with pytest.raises(InvalidInput, match=r"invalid insecure registry: .*10\.0\.0\.0/33"):
        addresses("10.1.2.3", Settings(insecure=frozenset({"10.0.0.0/33"})))


@pytest.mark.parametrize("mirror", ["mirror.example.com", "ftp://mirror.example.com", "", "https://"])
def test_a_mirror_is_a_url(mirror: str) -> None:
    """What is no URL is refused before anything is asked of it."""
    with pytest.raises(InvalidInput, match="invalid mirror"):
        mirrors("docker.io", Settings(mirrors=(mirror,)))


def test_mirrors_are_for_docker_hub_alone() -> None:
    """Docker's rule: a mirror says nothing about images that name another registry."""
    settings = Settings(mirrors=("https://a.example/prefix/", "http://localhost:5000"))
    assert [str(url) for url in mirrors("docker.io", settings)] == ["https://a.example/prefix", "http://localhost:5000"]
    assert mirrors("quay.io", settings) == []


# --- patience -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """A number of seconds, or a date; nothing else."""
    assert parse_retry_after(value, now=lambda: 10.0) == seconds


def failing(times: int, error: Callable[[], Exception]) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """An operation that fails so many times, and the list of its attempts."""
    attempts: list[int] = []

    async def operation() -> str:
        attempts.append(len(attempts))
        if len(attempts) <= times:
            raise error()
        return "done"

    return operation, attempts


class Patience:
    """A :class:`Retry` whose waits are remembered instead of waited."""

    def __init__(self, fraction: float = 1.0) -> None:
        self.waits: list[float] = []
        self.retry = Retry(sleep=self._sleep, random=lambda: fraction)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_waits_double_up_to_a_limit() -> None:
    """1, 2, 4, 8, 16 seconds, and no more than 30 however long it lasts."""
    patience = Patience()
    operation, attempts = failing(5, lambda: Unavailable("busy"))
    assert await patience.retry.run(operation) == "done"
    assert patience.waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert len(attempts) == 6
    assert patience.retry.delay(20) == 30.0


async def test_waits_are_a_random_part() -> None:
    """Full jitter: anything from nothing to the whole wait."""
    patience = Patience(fraction=0.25)
    operation, _ = failing(2, lambda: RegistryUnreachable("gone"))
    await patience.retry.run(operation)
    assert patience.waits == [0.25, 0.5]


async def test_only_what_may_get_better_is_tried_again() -> None:
    """Any other error comes out at once."""
    patience = Patience()
    operation, attempts = failing(1, lambda: RegistryError("never"))
    with pytest.raises(RegistryError, match="never"):
        await patience.retry.run(operation)
    assert len(attempts) == 1


async def test_progress_starts_the_count_anew() -> None:
    """A download that gets on breaks as often as it likes; one that does not is given up after six attempts."""
    patience = Patience()
    operation, _ = failing(20, lambda: Unavailable("dropped"))
    assert await patience.retry.run(operation, made_progress=lambda: True) == "done"
    assert patience.waits == [1.0] * 20
    operation, attempts = failing(20, lambda: Unavailable("dropped"))
    with pytest.raises(Unavailable):
        await patience.retry.run(operation)
    assert len(attempts) == 6
