"""testcontainers, as projects use it in their own tests: a container that is there for one block, once it says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.engine.harness import Daemon, tiny_archive, wait_for
from tests.peers import dockerd

pytestmark = pytest.mark.root

# In a process of its own: the library reads the environment when it is imported.
PROGRAM = """
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

serving = "echo starting; sleep 0.3; echo ready to serve; exec nc -ll -p 80 -e echo served $WORD"
with Network() as network:
    server = DockerContainer("tiny").with_command(["sh", "-c", serving]).with_env("WORD", "warm").with_exposed_ports(80)
    server = server.with_network(network).with_network_aliases("server")
    with server.waiting_for(LogMessageWaitStrategy("ready to serve").with_startup_timeout(20)):
        out, err = server.get_logs()
        print(out.decode().split("\\n"), err)
        print(tuple(server.exec(["sh", "-c", "echo $WORD; exit 3"])))
        print(server.get_exposed_port(80) > 0)
        client = DockerContainer("tiny").with_network(network).with_command(["nc", "-w", "5", "server", "80"])
        with client:
            print(client.get_wrapped_container().wait()["StatusCode"], client.get_logs()[0])
"""


def told(environment: dict[str, str]) -> list[str]:
    """What the program says with the daemon that the environment names."""
    # Its guard (ryuk) is an image of the internet's: not here.
    environment = environment | {"TESTCONTAINERS_RYUK_DISABLED": "true"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_container_for_one_block(daemon: Daemon) -> None:
    """It waits for a line of the log; ports, names, exec and logs are as promised, and as with dockerd; nothing stays
    after the block."""
    before = daemon.ok("ps", "-aq"), daemon.ok("network", "ls", "-q")
    ours = told(daemon.environment)
    assert ours == [
        "['starting', 'ready to serve', ''] b''",
        "(3, b'warm\\n')",
        "True",
        "0 b'served warm\\n'",
    ]
    wait_for(lambda: (daemon.ok("ps", "-aq"), daemon.ok("network", "ls", "-q")) == before, "everything to be gone")
    with dockerd() as peer:
        assert peer.docker("import", "-", "tiny", stdin=tiny_archive()).returncode == 0
        assert told(daemon.environment | {"DOCKER_HOST": peer.host}) == ours
