"""``network``: create, list, connect, disconnect, remove."""

from __future__ import annotations

import sys
from typing import Any

from minidock.client.commands.containers import for_each
from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, pairs, table
from minidock.client.listing import FORMAT, configured, filters, labels, natural, show
from minidock.client.template import Record
from minidock.errors import ErrorFromDaemon, InvalidInput


def create(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock network create``: prints the id."""
    body: dict[str, Any] = {
        "Name": arguments[0],
        "Driver": flags["driver"],
        "Options": pairs(flags["opt"]),
        "IPAM": {"Driver": flags["ipam-driver"], "Options": pairs(flags["ipam-opt"]), "Config": pools(flags)},
        "Internal": flags["internal"],
        "Attachable": flags["attachable"],
        "Ingress": flags["ingress"],
        "Scope": flags["scope"],
        "ConfigOnly": flags["config-only"],
        "Labels": pairs(flags["label"]),
    }
    if not context.client.at_least("1.44"):
        body["CheckDuplicate"] = True
    for family in ("ipv4", "ipv6"):
        if family in flags.given:
            body[f"EnableIPv{family[-1]}"] = flags[family]
    if flags["config-from"]:
        body["ConfigFrom"] = {"Network": flags["config-from"]}
    created = context.client.request("POST", "/networks/create", body=body).json()
    if warning := created.get("Warning"):
        print(f"WARNING: {warning}", file=sys.stderr)
    print(created["Id"])
    return 0


def pools(flags: Flags) -> list[dict[str, Any]]:
    """Subnets, each with its range, gateway and reserved addresses. Raises InvalidInput."""
    if len(flags["subnet"]) < max(len(flags["ip-range"]), len(flags["gateway"])):
        raise InvalidInput("every ip-range or gateway must have a corresponding subnet")
    found: dict[str, dict[str, Any]] = {}
    for text in flags["subnet"]:
        if any(_inside(text, other) or _inside(other, text) for other in found):
            raise InvalidInput("multiple overlapping subnet configuration is not supported")
        found[text] = {"Subnet": text}
    for name, field, where in (("ip-range", "IPRange", "on"), ("gateway", "Gateway", "for")):
        for text in flags[name]:
            what = name.removeprefix("ip-")
            pool = _pool(found, text, what)
            if field in pool:
                both = f"multiple {what}s ({text}, {pool[field]})"
                raise InvalidInput(f"cannot configure {both} {where} the same subnet ({pool['Subnet']})")
            pool[field] = text
    for name, address in pairs(flags["aux-address"]).items():
        _pool(found, address, "aux-address").setdefault("AuxiliaryAddresses", {})[name] = address
    return list(found.values())


def _pool(found: dict[str, dict[str, Any]], address: str, what: str) -> dict[str, Any]:
    for subnet, pool in found.items():
        if _inside(address, subnet):
            return pool
    raise InvalidInput(f"no matching subnet for {what} {address}")


def _inside(text: str, subnet: str) -> bool:
    """Whether an address or a network is part of another. What is neither is inside of nothing."""
    import ipaddress  # slow to import, and only needed here

    try:
        inner, outer = (ipaddress.ip_interface(one).network for one in (text, subnet))
    except ValueError:
        return False
    same = inner.version == outer.version
    return same and int(outer[0]) <= int(inner[0]) and int(inner[-1]) <= int(outer[-1])


def connect(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock network connect``."""
    endpoint = {
        "IPAMConfig": {
            "IPv4Address": flags["ip"],
            "IPv6Address": flags["ip6"],
            "LinkLocalIPs": flags["link-local-ip"],
        },
        "Links": flags["link"],
        "Aliases": flags["alias"],
        "DriverOpts": pairs(flags["driver-opt"]),
    }
    if flags["gw-priority"]:
        endpoint["GwPriority"] = flags["gw-priority"]
    body = {"Container": arguments[1], "EndpointConfig": {name: value for name, value in endpoint.items() if value}}
    context.client.request("POST", f"/networks/{segment(arguments[0])}/connect", body=body).read()
    return 0


def disconnect(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock network disconnect``."""
    body = {"Container": arguments[1], "Force": flags["force"]}
    context.client.request("POST", f"/networks/{segment(arguments[0])}/disconnect", body=body).read()
    return 0


class Row(Record):
    """One network."""

    type_name = "*network.networkContext"


HEADINGS = Row(
    CreatedAt="CREATED AT",
    Driver="DRIVER",
    ID="NETWORK ID",
    IPv4="IPV4",
    IPv6="IPV6",
    Internal="INTERNAL",
    Labels="LABELS",
    Name="NAME",
    Scope="SCOPE",
    Label=lambda name: name,
)


def _created(text: str) -> str:
    """A time of the API as Go prints it: ``2006-01-02 15:04:05.999 +0000 UTC``."""
    day, _, clock = text.partition("T")
    if clock.endswith("Z"):
        return f"{day} {clock[:-1]} +0000 UTC"
    offset = clock[-6:].replace(":", "")
    return f"{day} {clock[:-6]} {offset} {offset}"


def _row(network: dict[str, Any], truncate: bool) -> Row:
    found = network.get("Labels") or {}
    return Row(
        CreatedAt=_created(network["Created"]),
        Driver=network["Driver"],
        ID=network["Id"][:12] if truncate else network["Id"],
        IPv4=str(network.get("EnableIPv4", False)).lower(),
        IPv6=str(network.get("EnableIPv6", False)).lower(),
        Internal=str(network.get("Internal", False)).lower(),
        Labels=labels(network),
        Name=network["Name"],
        Scope=network["Scope"],
        Label=lambda name: found.get(name, ""),
    )


def ls(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock network ls``."""
    found = context.client.request("GET", "/networks", {"filters": filters(flags["filter"])}).json()
    form = configured("networksFormat", flags["format"], flags["quiet"])
    quiet = flags["quiet"] and form in ("", "table")
    rows = [_row(network, not flags["no-trunc"]) for network in sorted(found, key=lambda one: natural(one["Name"]))]
    show(rows, HEADINGS, "{{.ID}}" if quiet else form, "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}")
    return 0


def rm(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock network rm``."""

    def action(name: str) -> str | None:
        try:
            context.client.request("DELETE", f"/networks/{segment(name)}").read()
        except ErrorFromDaemon as error:
            if flags["force"] and error.status == 404:
                return None
            raise
        return name

    return for_each(arguments, action)


CREATE = Command(
    "network create",
    "[OPTIONS] NETWORK",
    "Create a network",
    create,
    table("""
        --attachable           Enable manual container attachment
        --aux-address map      Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])
        --config-from string   The network from which to copy the configuration
        --config-only          Create a configuration only network
    -d, --driver string        Driver to manage the Network (default "bridge")
        --gateway strings      IPv4 or IPv6 Gateway for the master subnet
        --ingress              Create swarm routing-mesh network
        --internal             Restrict external access to the network
        --ip-range strings     Allocate container ip from a sub-range
        --ipam-driver string   IP Address Management Driver (default "default")
        --ipam-opt map         Set IPAM driver specific options (default map[])
        --ipv4                 Enable or disable IPv4 address assignment (default true)
        --ipv6                 Enable or disable IPv6 address assignment
        --label list           Set metadata on a network
    -o, --opt map              Set driver specific options (default map[])
        --scope string         Control the network's scope
        --subnet strings       Subnet in CIDR format that represents a network segment
"""),
)
CONNECT = Command(
    "network connect",
    "[OPTIONS] NETWORK CONTAINER",
    "Connect a container to a network",
    connect,
    table("""
        --alias strings           Add network-scoped alias for the container
        --driver-opt strings      driver options for the network
        --gw-priority int         Highest gw-priority provides the default gateway. Accepts positive and negative
                                  values.
        --ip string               IPv4 address (e.g., "172.30.100.104")
        --ip6 string              IPv6 address (e.g., "2001:db8::33")
        --link list               Add link to another container
        --link-local-ip strings   Add a link-local address for the container
"""),
)
DISCONNECT = Command(
    "network disconnect",
    "[OPTIONS] NETWORK CONTAINER",
    "Disconnect a container from a network",
    disconnect,
    table("-f, --force  Force the container to disconnect from a network"),
)
LS = Command(
    "network ls",
    "[OPTIONS]",
    "List networks",
    ls,
    table(
        """
    -f, --filter filter   Provide filter values (e.g. "driver=bridge")
        --no-trunc        Do not truncate the output
    -q, --quiet           Only display network IDs
""",
        FORMAT,
    ),
)
RM = Command(
    "network rm",
    "NETWORK [NETWORK...]",
    "Remove one or more networks",
    rm,
    table("-f, --force  Do not error if the network does not exist"),
)
