"""The packet filter's part: who may pass between a bridge and the world, and under which address. nft(8).

One table a bridge, named after it, whose rules never change; it is loaded at once and deleted as a whole. A table of
our own cannot overrule another's drop: a packet has to be accepted by *every* chain on its way. On a host where
Docker runs, its ``filter`` table drops what it does not know, and ``iptables -I DOCKER-USER -i minidock0 -j ACCEPT``
(and ``-o``) is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from ipaddress import IPv4Network

from minidock.errors import KernelFeatureMissing
from minidock.kernel import announce

RULES = """\
table ip {bridge} {{
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {subnet} oifname != "{bridge}" masquerade
	}}
	chain forward {{
		type filter hook forward priority filter; policy accept;
		iifname "{bridge}" accept
		oifname "{bridge}" ct state established,related accept
		oifname "{bridge}" drop
	}}
}}
"""
"""Out: always. In: answers only. Who is on the host's own network could otherwise reach every port of every container
by naming the host as its router."""

MORE_PLACES = ":/usr/sbin:/sbin"
"""Where Debian keeps nft, beyond an ordinary user's PATH."""


def load(bridge: str, subnet: IPv4Network) -> None:
    """Put the table in place, instead of an older one of the same name: nft does all of it or nothing.

    Raises ``KernelFeatureMissing``.
    """
    # Deleting what does not exist is an error, so it is made first.
    _nft(f"table ip {bridge} {{ }}\ndelete table ip {bridge}\n" + RULES.format(bridge=bridge, subnet=subnet))


def unload(bridge: str) -> None:
    """Take the table away; no error when there is none. Raises ``KernelFeatureMissing``."""
    _nft(f"table ip {bridge} {{ }}\ndelete table ip {bridge}\n")


def find_nft() -> str:
    """Where the program is. Raises ``KernelFeatureMissing``."""
    program = shutil.which("nft", path=os.environ.get("PATH", os.defpath) + MORE_PLACES)
    if program is None:
        raise KernelFeatureMissing("the bridge network needs the program nft: apt install nftables")
    return program


def _nft(script: str) -> None:
    program = find_nft()
    start = time.monotonic_ns()
    done = subprocess.run([program, "-f", "-"], input=script, capture_output=True, text=True)
    if announce.listeners:
        took = time.monotonic_ns() - start
        shell = f"nft -f - <<'END'\n{script}END"
        call = announce.Call(os.getpid(), "nft", ("-f", "-"), done.returncode, 0, start, took, shell)
        announce.announce(call)
    if done.returncode != 0:
        complaint = next(iter(done.stderr.splitlines()), f"exit code {done.returncode}")
        raise KernelFeatureMissing(f"nft refused the rules of the bridge: {complaint}")
