"""The options of a network."""

from __future__ import annotations

import pytest

from minidock.errors import InvalidInput
from minidock.networks import Network, options


@pytest.mark.parametrize("name", ["", "a/b", "..", "0bridge", "a" * 16, "a b", 'a"', "a\n"])
def test_a_name_that_no_bridge_can_have(name: str) -> None:
    """It becomes a link, a path in /proc/sys and a word of a packet filter's script."""
    with pytest.raises(InvalidInput):
        options.check_link_name(name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({options.ICC: "abc"}, 'value: abc (strconv.ParseBool: parsing "abc": invalid syntax)'),
        ({options.MTU: "abc"}, f'failed to parse {options.MTU} value: abc (strconv.Atoi: parsing "abc"'),
        ({options.MTU: "20"}, "invalid MTU number: 20"),
        ({options.MTU: "-5"}, "invalid MTU number: -5"),
        ({options.MTU: "65536"}, "invalid MTU number: 65536"),
        ({options.HOST_BINDING: "nowhere"}, "value: nowhere"),
        ({options.BRIDGE_NAME: 'x"; drop'}, "is no name for a bridge"),
    ],
)
def test_wrong_values(wrong: dict[str, str], message: str) -> None:
    """In Docker's words, where it has some."""
    with pytest.raises(InvalidInput) as caught:
        options.check(wrong)
    assert message in str(caught.value)


def test_what_nobody_said_is_yes() -> None:
    """And a no may be written in several ways."""
    network = Network(id="1", name="a", driver="bridge", options={options.ICC: "F"})
    options.check(network.options | {"com.example.unknown": "x"})
    assert not options.is_on(network, options.ICC)
    assert options.is_on(network, options.MASQUERADE)
    assert options.mtu(network) is None
