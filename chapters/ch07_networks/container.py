"""The program of chapter 7: chapter 4's, plugged into a network: ``python -m chapters run 7 -- -p 8080:80 sh``."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from threading import Thread

from chapters.ch04_images import container as chapter4
from chapters.rootfs import PATH, tiny_root
from minidock.client.ports import parse_publish
from minidock.containers import steps as s
from minidock.containers.init import run
from minidock.database import Database
from minidock.networks import Networks, Publication, Wish, files, names, ports
from minidock.oci import runtime as oci


class JoinNetwork(s.Step, frozen=True):
    """Give the container, which waits in an empty network namespace, an interface in the default network, and names."""

    networks: Networks
    published: list[Publication]
    where = "parent"

    def apply(self, context: s.Context) -> None:
        wish = Wish(network=self.networks.default)
        (end,) = self.networks.connect(context.container_id, context.child, [wish], self.published)
        box = [address.ip for address in end.addresses]
        known = names.Knowledge({"box": box}.get, {str(ip): "box" for ip in box}.get, files.host_servers)
        loop = asyncio.new_event_loop()
        Thread(target=loop.run_forever, daemon=True).start()  # we wait for the program; it answers, until we end
        asyncio.run_coroutine_threadsafe(names.NameServer(known).open(context.child), loop).result()


def main(arguments: list[str]) -> int:
    """Run ``arguments`` (a shell, if there are none), after any number of ``-p PORTS``; the program's exit code."""
    asks = []
    while arguments[:1] == ["-p"]:
        found = parse_publish("".join(arguments[1:2]))
        asks += [ports.parse_ask(port, to["HostIp"] or "0.0.0.0", to["HostPort"]) for port, to in found]
        arguments = arguments[2:]
    program = tuple(arguments or ["sh"])
    with tiny_root() as layer, closing(Networks(Database(layer.parent / "db"), "", f"ch7-{os.getpid()}")) as networks:
        networks.open()
        for name in ("upper/etc", "work", "root"):
            (layer.parent / name).mkdir(mode=0o755, parents=True)
        (layer.parent / "upper/etc/resolv.conf").write_text(files.resolv_conf([names.ADDRESS], ["."], ["ndots:0"]))
        reserved = ports.reserve(asks, "", lambda other: False)  # sockets: as long as they are open the ports are ours
        steps = chapter4.plan([layer], layer.parent, program)
        steps.insert(steps.index(s.RaiseLoopback()) + 1, JoinNetwork(networks, [each for each, _ in reserved]))
        process = oci.Process("/", list(program), [PATH])
        return run(steps, s.Context(process, container_id=f"chapter-{os.getpid()}"))
