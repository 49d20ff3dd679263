"""hosts, hostname and resolv.conf."""

from __future__ import annotations

import pytest

from minidock.errors import InvalidInput
from minidock.networks import files


def test_hosts() -> None:
    """Local names, then what was asked for, then the container's own name with its domain."""
    text = files.hosts("web", "example.org", ["172.17.0.2"], [(["db"], "10.0.0.5"), (["six", "sixth"], "fd00::1")])
    assert text.startswith("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    assert text.endswith("10.0.0.5\tdb\nfd00::1\tsix sixth\n172.17.0.2\tweb.example.org web\n")


def test_hosts_without_a_network() -> None:
    """Without an address the own name is not listed."""
    assert "web" not in files.hosts("web", "", [])


def test_hostname() -> None:
    """One line."""
    assert files.hostname("web") == "web\n"


@pytest.mark.parametrize("bad", ["a\n6.6.6.6 bank", "a b", "", "a\t", "a#"])
def test_a_name_cannot_smuggle_a_line(bad: str) -> None:
    """A newline or blank in a name would be an entry of its own."""
    with pytest.raises(InvalidInput):
        files.hosts(bad, "", ["172.17.0.2"])
    with pytest.raises(InvalidInput):
        files.hosts("a", "", ["172.17.0.2"], [([bad], "10.0.0.1")])
    with pytest.raises(InvalidInput):
        files.hostname(bad)
    with pytest.raises(InvalidInput):
        files.resolv_conf(search=[bad], host="")


@pytest.mark.parametrize("bad", ["10.0.0.1\nnameserver 6.6.6.6", "localhost", "10.0.0", ""])
def test_an_address_is_an_address(bad: str) -> None:
    """In hosts and for name servers."""
    with pytest.raises(InvalidInput, match="invalid IP address"):
        files.hosts("a", "", [], [(["b"], bad)])
    with pytest.raises(InvalidInput, match="invalid IP address"):
        files.resolv_conf(servers=[bad], host="")


HOST = """\
# a comment
nameserver 127.0.0.53
nameserver 192.0.2.1
nameserver fe80::1%eth0
nameserver 2001:db8::1
domain old.example
search one.example two.example
options edns0 trust-ad
"""


def test_the_hosts_servers_are_copied_but_for_those_out_of_reach() -> None:
    """Loopback and IPv6 servers are dropped for a container with a network of its own; the rest is kept."""
    assert files.resolv_conf(host=HOST) == (
        "nameserver 192.0.2.1\nsearch one.example two.example\noptions edns0 trust-ad\n"
    )


def test_in_the_hosts_own_network_its_loopback_is_in_reach() -> None:
    """`--network host` keeps every server."""
    text = files.resolv_conf(host="nameserver 127.0.0.53\nnameserver ::1\n", isolated=False)
    assert text == "nameserver 127.0.0.53\nnameserver ::1\n"


def test_nothing_left_is_dockers_fallback() -> None:
    """A host that only asks itself."""
    assert files.resolv_conf(host="nameserver 127.0.0.1\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_what_is_asked_for_replaces_what_the_host_says() -> None:
    """Each of the three kinds by itself; a search list of a dot is none."""
    assert files.resolv_conf(["9.9.9.9"], ["corp"], ["ndots:1"], host=HOST) == (
        "nameserver 9.9.9.9\nsearch corp\noptions ndots:1\n"
    )
    assert "search" not in files.resolv_conf(search=["."], host=HOST)
    assert "search one.example two.example" in files.resolv_conf(["9.9.9.9"], host=HOST)


def test_an_option_cannot_smuggle_a_line() -> None:
    """Nor may options have blanks."""
    with pytest.raises(InvalidInput, match="option"):
        files.resolv_conf(options=["ndots:1\nnameserver 6.6.6.6"], host="")
