"""Which daemon the commands of this invocation speak to."""

from __future__ import annotations

import os
from functools import cached_property

from minidock.client import config, contexts
from minidock.client.address import DEFAULT_HOST, TLS, Address
from minidock.client.connection import Client
from minidock.client.flags import Flags
from minidock.errors import DaemonUnreachable, InvalidFlag


class Context:
    """Knows the daemon's address: ``-H``, else ``--context``, else the environment's, else the context in use.

    The environment's is $MINIDOCK_HOST or $DOCKER_HOST. When nobody names a daemon, it is the default socket.
    """

    def __init__(self, flags: Flags) -> None:
        if flags["config"] and "config" in flags.given:
            os.environ["DOCKER_CONFIG"] = flags["config"]
        self.flags = flags

    @property
    def from_environment(self) -> str:
        """The host without any context."""
        return os.environ.get("MINIDOCK_HOST") or os.environ.get("DOCKER_HOST") or DEFAULT_HOST

    @cached_property
    def name(self) -> str:
        """The context in use."""
        hosts = os.environ.get("MINIDOCK_HOST") or os.environ.get("DOCKER_HOST")
        if self.flags["host"] or (hosts and not self.flags["context"]):
            return contexts.DEFAULT
        return contexts.chosen(self.flags["context"])

    @cached_property
    def address(self) -> Address:
        """Raises InvalidInput for an address that is none, NotFound for a context that is none."""
        hosts = self.flags["host"]
        if len(hosts) > 1:
            raise InvalidFlag("specify only one -H")
        if hosts and self.flags["context"]:
            raise InvalidFlag("conflicting options: cannot specify both --host and --context")
        if hosts or self.name == contexts.DEFAULT:
            return Address.parse(hosts[0] if hosts else self.from_environment, self._tls())
        return Address.parse(*contexts.endpoint(self.name))

    def _tls(self) -> TLS | None:
        """``--tls`` and its kin, or what the environment says; files that nobody named may be missing."""
        verify = self.flags["tlsverify"] or bool(os.environ.get("DOCKER_TLS_VERIFY"))
        if not (verify or self.flags["tls"] or os.environ.get("DOCKER_TLS")):
            return None
        directory = os.environ.get("DOCKER_CERT_PATH") or config.directory()
        files = []
        for name in contexts.FILES:
            flag = f"tls{'cacert' if name == 'ca' else name}"
            path = self.flags[flag] if flag in self.flags.given else f"{directory}/{name}.pem"
            files.append(path if flag in self.flags.given or os.path.exists(path) else "")
        ca, cert, key = files
        return TLS(ca, cert, key, verify)

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
