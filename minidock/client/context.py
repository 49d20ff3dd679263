"""Which daemon the commands of this invocation speak to."""

from __future__ import annotations

import os
from functools import cached_property

from minidock.client.connection import DEFAULT_HOST, Address, Client
from minidock.client.flags import Flags
from minidock.errors import DaemonUnreachable, InvalidFlag


class Context:
    """Knows the daemon's address: ``-H``, else $MINIDOCK_HOST, else $DOCKER_HOST, else the default socket."""

    def __init__(self, flags: Flags) -> None:
        self.hosts = flags["host"]

    @cached_property
    def address(self) -> Address:
        """Raises InvalidInput for an address that is none."""
        if len(self.hosts) > 1:
            raise InvalidFlag("specify only one -H")
        chosen = self.hosts or [os.environ.get("MINIDOCK_HOST", ""), os.environ.get("DOCKER_HOST", "")]
        return Address.parse(next((host for host in chosen if host), DEFAULT_HOST))

    @property
    def is_default(self) -> bool:
        """Whether nobody named a daemon: then it may be started."""
        return self.address.text == DEFAULT_HOST

    @cached_property
    def client(self) -> Client:
        """A client that has reached its daemon. Raises DaemonUnreachable."""
        client = Client(self.address)
        try:
            client.ping()
        except DaemonUnreachable:
            if not self.is_default:
                raise
            from minidock.client import autostart

            autostart.start(self.address)
            client.ping()
        return client
