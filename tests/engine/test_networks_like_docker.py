"""The same words to dockerd and to us: the same outcome, and the same error."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.engine.harness import Daemon, running_daemon, tiny_archive
from tests.peers import DOCKERD_VERSION, Dockerd, dockerd

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        DOCKERD_VERSION > 24, reason="dockerd tells of networks in other words since 25, and allows a /31"
    ),
]

SAME = """\
network create net
network create net
network create bridge
network create -d host another
network create -d nosuch another
network create --ipam-driver nosuch another
network create --subnet 10.50.0.0/24 --ip-range 10.50.0.128/25 --gateway 10.50.0.1 --aux-address h=10.50.0.200 sub
network create --subnet 10.50.0.0/25 over
network create --subnet 10.51.0.0/24 --gateway 10.52.0.1 over
network create --subnet 10.51.0.0/24 --aux-address a=10.51.0.1 over
network create --opt com.docker.network.bridge.enable_icc=abc over
network create --opt com.docker.network.driver.mtu=abc over
network create --subnet 10.62.0.0/30 --gateway 10.62.0.1 small
network create --internal --label a=b inner
network create third
network create " "
network create --subnet bogus over
network create --subnet 10.71.0.0/31 over
network create --subnet 10.71.0.0/24 --subnet 10.72.0.0/24 over
network create --subnet 10.71.0.0/24 --gateway 10.71.0.0 over
network create --subnet 10.71.0.0/24 --gateway 10.71.0.255 over
network create --subnet 0.0.0.0/0 over
network create --subnet 10.71.0.0/24 --opt com.docker.network.bridge.enable_ip_masquerade=maybe over
network create --ipv6 --subnet fd00:1::/64 --subnet 10.63.0.0/24 six
network inspect --format "{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.EnableIPv6}}" sub inner
network inspect --format "{{.Options}} {{.Labels}}" sub inner
network inspect --format "{{.IPAM.Config}}" sub
network inspect nosuch
network ls --format "{{.Name}} {{.Driver}} {{.Scope}}" --filter name=n
network ls --format "{{.Name}}" --filter type=custom --filter driver=bridge
network ls --format "{{.Name}}" --filter label=a=b
network ls --filter type=x
network ls --filter bogus=1
network prune -f --filter until=bogus
run -d --name one --network sub tiny sleep 1000
run -d --name two --network sub --ip 10.50.0.128 tiny sleep 1000
run -d --name three --network sub --ip 10.50.0.1 tiny sleep 1000
run -d --name four --network sub --ip 10.60.0.1 tiny sleep 1000
run -d --name nobody --network sub --ip 10.50.0.0 tiny sleep 1000
run -d --name everybody --network sub --ip 10.50.0.255 tiny sleep 1000
run -d --name reserved --network sub --ip 10.50.0.200 tiny sleep 1000
run -d --name five --network net --ip 10.60.0.1 tiny sleep 1000
run -d --name six --ip 10.60.0.1 tiny sleep 1000
run -d --name seven --network sub --ip bogus tiny sleep 1000
run -d --name eight --network nosuch tiny sleep 1000
run -d --name nine --network small tiny sleep 1000
run -d --name ten --network small tiny sleep 1000
run -d --name v6 --network six tiny sleep 1000
inspect -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}/{{.IPPrefixLen}} {{.Gateway}} {{.MacAddress}}{{end}}" one
inspect -f "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}} {{.IPv6Gateway}} {{.IPAddress}}{{end}}" v6
network connect net one
network connect net one
network connect --ip 10.1.1.1 net nine
network connect --ip 10.50.0.128 sub nine
network connect host one
network connect none one
network connect nosuch one
network connect net nosuch
network connect --alias x bridge one
network disconnect net one
network disconnect host one
network disconnect nosuch one
network rm sub
network rm bridge
network rm nosuch
run -d --name onhost --network host -p 80:80 tiny sleep 1000
network connect net onhost
network disconnect host onhost
run -d --name shared --network container:one tiny sleep 1000
network connect net shared
run --rm --network container:one -p 80:80 tiny true
run --rm --network container:one --hostname x tiny true
run --rm --network container:one --dns 1.1.1.1 tiny true
run --rm --network container:nosuch tiny true
run --rm --network container:one --link one:x tiny true
run -d --name pub -p 127.0.0.1:9000-9002:90-92 -p 8080:80 -p 53:53/udp tiny sleep 1000
port pub
port pub 80
port pub 81
ps --filter name=pub --format "{{.Ports}}"
run --rm --name busy -p 8080:80 tiny true
run --rm --name sctp -p 8083:80/sctp tiny true
run --rm --name elsewhere -p 10.99.99.99:8084:80 tiny true
run --rm --link nosuch:x tiny true
run --rm --link pub:x tiny cat /etc/hosts
run --rm --network net tiny cat /etc/resolv.conf
run --rm --network sub --hostname hh --domainname dd tiny cat /etc/hosts
""".splitlines()


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Daemon, Dockerd]]:
    """Ours and Debian's, with the same image."""
    if shutil.which("dockerd") is None:
        pytest.skip("needs dockerd: apt install docker.io")
    # Two networks that name no subnet, and no third.
    pools = ["--default-address-pool", "base=10.80.0.0/27,size=28"]
    with running_daemon(*pools) as ours, dockerd("--bip", "172.17.0.1/16", *pools) as theirs:
        theirs.docker("import", "-", "tiny", stdin=tiny_archive())
        yield ours, theirs


def plain(done: subprocess.CompletedProcess[bytes]) -> tuple[int, str]:
    """Exit code and words, without what differs from run to run: ids, and the notes that the client adds."""
    text = (done.stdout + done.stderr).decode()
    text = re.sub(r"\b[0-9a-f]{64}\b", "ID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "SHORT", text)
    notes = ("Run 'docker", "See 'docker", 'time="', "ID", "# ")
    lines = [line for line in text.splitlines() if line and not line.startswith(notes)]
    if all(" -> " in line for line in lines):
        lines.sort()  # of docker port, which before Docker 23 was in any order
    text = "\n".join(lines)
    for one, other in (
        ("fe00::0", "fe00::"),
        ("ff00::0", "ff00::"),
        ("10.213.", "172.17."),
        ("Invalid f", "invalid f"),
    ):
        text = text.replace(one, other)
    return done.returncode, text


@pytest.mark.timeout(400)
def test_the_same_words_have_the_same_outcome(both: tuple[Daemon, Dockerd]) -> None:
    """In one go, because each command builds on those before."""
    ours, theirs = both
    different = []
    for line in SAME:
        words = shlex.split(line)
        mine = plain(subprocess.run(["docker", *words], capture_output=True, env=ours.environment, timeout=60))
        docker = plain(theirs.docker(*words))
        if mine != docker:
            different.append(f"$ docker {line}\n  ours    {mine}\n  docker  {docker}")
    for name in ours.ok("ps", "-aq").split():
        ours.ok("rm", "-f", name)
    ours.ok("network", "prune", "-f")
    assert not different, "\n".join(different)
