"""Every filter of every list, and the smaller options, told to our daemon and to dockerd: the same rows and words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from tests.engine.both import Both
from tests.engine.harness import running_daemon, tiny_archive, wait_for
from tests.peers import dockerd, words_of_docker_28

pytestmark = [pytest.mark.root, words_of_docker_28]

SETUP = """
volume create --label k=v vol
volume create other
volume create third
network create --label k=v net
tag tiny zoo:1
tag tiny repo/x:1
tag tiny 127.0.0.1:1/x
create --name stopped --network net -p 8080:80 --expose 5 tiny sleep 1000
run -d --name web -l colour=red -l q=z -v vol:/data -v /etc:/e:ro tiny sleep 1000
run --name done tiny sh -c "exit 3"
run -d --name frozen -l colour=blue -v other:/x -v /anon tiny sleep 1000
pause frozen
run -d --name ro --read-only -v third:/data tiny sleep 1000
run -d --name open --network net -p 81:80 -p 53:53/udp --expose 99 --expose 7000-7002/udp tiny sleep 1000
run -d --name well --health-cmd true --health-interval 100ms tiny sleep 1000
run -d --name ill --health-cmd false --health-interval 100ms --health-retries 1 tiny sleep 1000
run --name says --log-opt env=A,C --log-opt labels=colour -e A=1 -e B=2 -l colour=red tiny echo out
run --name says2 --log-opt env-regex=^A --log-opt labels-regex=^c -e AB=2 -l colour=red tiny echo out
""".strip().splitlines()


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Ours and theirs with the same containers, images, volumes and networks."""
    with running_daemon(image=False) as ours, dockerd() as theirs:
        found = Both(ours, theirs)
        ours.ok("import", "-", "tiny", input=tiny_archive())
        theirs.docker("import", "-", "tiny", stdin=tiny_archive())
        for line in SETUP:
            first, second = found.say(*shlex.split(line))
            assert first == second and first[0] in (0, 3), line
        for client in found.clients:
            for name, status in (("well", "healthy"), ("ill", "unhealthy")):
                wait_for(
                    lambda client=client, name=name, status=status: (
                        client.inspect_container(name)["State"]["Health"]["Status"] == status
                    ),
                    f"{name} to be {status}",
                )
        yield found
        theirs.docker("rm", "-f", *theirs.docker("ps", "-aq").stdout.decode().split())


CONTAINERS = """
isolation=default
volume=vol
volume=/data
volume=/e
volume=/etc
volume=/anon
volume=vol volume=other
volume=nothing
before=web
since=frozen
since=done before=open
label=colour=red
label=colour=red label=q
label!=colour
is-task=true
is-task=false
expose=99
expose=99/tcp
expose=99/udp
expose=7001/udp
expose=7000-7005/udp
expose=80
expose=5
expose=x
publish=80
publish=81
publish=8080
publish=53/udp
publish=53
publish=50-90/tcp
publish=80/foo
publish=99
publish=0-65535
exited=3
exited=0
exited=0 exited=3
health=healthy
health=unhealthy
health=none
health=healthy health=unhealthy
id=x
network=net
network=net network=none
network=nothing
status=created
status=removing status=dead
status=running status=paused
ancestor=repo/x:1
ancestor=repo/x
name=w name=l
name=/web
""".strip().splitlines()


@pytest.mark.parametrize("filters", CONTAINERS)
def test_containers(both: Both, filters: str) -> None:
    """The same names in the same order, stopped ones too."""
    chosen = [word for text in filters.split() for word in ("-f", text)]
    ours, theirs = both.say("ps", "-a", "--format", "{{.Names}}", *chosen)
    assert ours == theirs


WORDS = """
ps -n 2 --format {{.Names}}
ps -l --format {{.Names}}
ps -n 0 --format {{.Names}}
ps -a --format {{.Names}}:{{.Ports}} -f name=open
ps -a --format {{.Names}}:{{.LocalVolumes}} -f name=web
inspect -f {{.RepoTags}} tiny
images --format {{.Repository}}:{{.Tag}}
images -f reference=repo/* --format {{.Repository}}:{{.Tag}}
images -f reference=repo/x:1 -f reference=tiny --format {{.Repository}}:{{.Tag}}
images -f dangling=true -q
images -f dangling=false --format {{.Repository}}:{{.Tag}}
images -f dangling=x
images -f before=tiny -q
images -f since=tiny -q
images -f since=nothing
images -f label=x -q
images -f foo=x
image prune -f --filter dangling=x
volume ls -q -f dangling=true
volume ls -q -f dangling=false
volume ls -q -f dangling=x
volume ls -q -f driver=local
volume ls -q -f driver=foo
volume ls -q -f label=k
volume ls -q -f label=k=w
volume ls -q -f name=vo
volume ls -q -f name=^oth
volume ls -q -f foo=x
network ls --format {{.Name}} -f driver=bridge
network ls --format {{.Name}} -f id=zzz
network ls --format {{.Name}} -f id=^zzz
network ls --format {{.Name}} -f label=k
network ls --format {{.Name}} -f label=k=v
network ls --format {{.Name}} -f name=n
network ls --format {{.Name}} -f name=^n
network ls --format {{.Name}} -f scope=local
network ls --format {{.Name}} -f scope=swarm
network ls --format {{.Name}} -f type=custom
network ls --format {{.Name}} -f type=builtin
network ls --format {{.Name}} -f type=foo
network ls --format {{.Name}} -f foo=x
logs --details says
logs --details says2
logs --details web
logs --tail 0 says
logs --tail -5 says
kill nothing
exec --detach-keys nonsense web true
rename web ""
run --isolation hyperv --rm tiny true
run --isolation default --rm tiny true
start --checkpoint x stopped
import http://127.0.0.1:1/x
run --rm tiny grep Groups /proc/self/status
run --rm -u 5 tiny id
run --rm -u 5:6 --group-add 9 tiny id
exec -u 5:6 web id
exec web grep Groups /proc/self/status
exec -d web nosuch
run --rm --uts host --hostname x tiny true
run --rm --network host -p 80:80 tiny true
run --rm --oom-kill-disable tiny true
run --rm --cpuset-mems 99 tiny true
rename web a/b
run --rm --pull never --platform linux/arm64 tiny true
create --pull never --platform linux/arm64 tiny true
run --rm --platform linux/amd64 tiny echo hi
run --rm --tmpfs /t:size=1m,mode=700 tiny grep " /t " /proc/mounts
run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m tiny grep " /t " /proc/mounts
run --rm -u 0 --ipc container:nothing tiny true
run --rm --pid container: tiny true
run --rm --uts container:web tiny true
run --rm --network container:nothing tiny true
run --rm --network container:done tiny true
cp /etc/hostname ro:/x
cp /etc/hostname ro:/data/x
exec ro cat /data/x
cp /etc/hostname web:/e/x
cp web:/nothing /tmp
""".strip().splitlines()


@pytest.mark.parametrize("words", WORDS)
def test_other_lists_and_options(both: Both, words: str) -> None:
    """Output, errors and exit code. (docker images goes through the repositories of an image in any order.)"""
    ours, theirs = both.say(*shlex.split(words))
    assert sorted(ours[1].split("\n")) == sorted(theirs[1].split("\n"))
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/images/create?fromSrc=http://127.0.0.1:1/x", ""),
        ("POST", "/images/create?fromSrc=127.0.0.1:1/x", ""),
        ("GET", "/containers/done/logs", ""),
        ("GET", "/containers/web/stats?stream=1&one-shot=1", ""),
        ("POST", "/containers/nothing/wait?condition=removed", ""),
        ("POST", "/containers/nothing/resize?h=1&w=1", ""),
        ("POST", "/containers/done/rename", ""),
        ("POST", "/exec/nothing/start", "{}"),
        ("POST", "/containers/web/exec", '{"Cmd": []}'),
        ("POST", "/containers/frozen/exec", '{"Cmd": ["true"]}'),
        ("GET", "/containers/web/archive?path=/nothing", ""),
        ("GET", "/containers/nothing/attach/ws", ""),
    ],
)
def test_requests_that_cannot_be(both: Both, method: str, path: str, body: str) -> None:
    """Status and text, as programs read them."""
    ours, theirs = both.ask(method, path, body)
    assert ours == theirs
