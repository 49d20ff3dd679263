"""``exec``: one more program in a running container."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from minidock.containers.control import Shim, Streams
from minidock.daemon import names, spec
from minidock.daemon.container import Container, Stream
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, InvalidInput, MinidockError, NoSuchExec
from minidock.kernel import capabilities
from minidock.messages import ExecCreate, ExecInspect, ExecProcess
from minidock.oci.runtime import CapabilitySets, ConsoleSize, Process

# A health check that runs every second must not fill the memory: of the ended ones only so many are remembered.
MOST_ENDED = 64
RESIZE_PATIENCE = 10.0
"""Seconds that a terminal's size waits for its program to be started, as with Docker."""


@dataclass(eq=False)
class Exec:
    """One program: created, then started once.

    ``begun`` is done when it runs, or could not be started; ``ended`` when it has ended and its code is known.
    """

    id: str
    container: Container
    request: ExecCreate
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = False
    started: bool = False
    exit_code: int | None = None
    pid: int = 0
    watcher: asyncio.Task[None] | None = None

    def inspect(self) -> ExecInspect:
        """What ``GET /exec/ID/json`` answers."""
        request = self.request
        return ExecInspect(
            id=self.id,
            running=self.running,
            exit_code=self.exit_code,
            process_config=ExecProcess(
                entrypoint=request.cmd[0],
                arguments=request.cmd[1:],
                privileged=request.privileged,
                tty=request.tty,
                user=request.user,
            ),
            open_stdin=request.attach_stdin,
            open_stdout=request.attach_stdout,
            open_stderr=request.attach_stderr,
            can_remove=self.exit_code is not None,
            container_id=self.container.id,
            detach_keys=request.detach_keys,
            pid=self.pid,
        )


def create(engine: Engine, container: Container, request: ExecCreate) -> Exec:
    """Remember what is to be run. Raises Conflict (not running), InvalidInput."""
    if not request.cmd or not request.cmd[0]:
        raise InvalidInput("No exec command specified")
    shim_for(container)
    ended = [item for item in container.execs.values() if item.exit_code is not None]
    for item in ended[: max(0, len(ended) - MOST_ENDED)]:
        del container.execs[item.id]
    new = Exec(names.new_id(), container, request)
    container.execs[new.id] = new
    engine.tell(container, f"exec_create: {_told(request)}", execID=new.id)
    return new


def shim_for(container: Container) -> Shim:
    """The shim of a container that a program can enter now. Raises Conflict."""
    if container.record.state.status == "paused":
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
    return container.living_shim()


def _told(request: ExecCreate) -> str:
    """The command in an event: the program, a blank, its arguments, as Docker writes it, who may have none."""
    return f"{request.cmd[0]} {' '.join(request.cmd[1:])}"


def find(engine: Engine, exec_id: str) -> Exec:
    """Raises NoSuchExec."""
    for container in engine.containers.values():
        if exec_id in container.execs:
            return container.execs[exec_id]
    raise NoSuchExec(exec_id)


async def start(engine: Engine, item: Exec, console: list[int], detach: bool) -> Stream:
    """Run it. Its streams, from the first byte on. Raises Conflict, ProgramNotFound, ProgramNotExecutable, …"""
    request, container = item.request, item.container
    wanted = Streams(request.attach_stdin and not detach, request.attach_stdout, request.attach_stderr)
    async with container.entering:
        if item.started:
            raise Conflict(f"Error: Exec command {item.id} is already running")
        shim = shim_for(container)
        item.started = True
        engine.tell(container, f"exec_start: {_told(request)}", execID=item.id)
        try:
            execution = await shim.execute(item.id, _process(container, request, console), wanted)
        except MinidockError as error:
            item.exit_code = error.exit_code if error.exit_code in (126, 127) else 126
            item.begun.set()
            item.ended.set()
            raise
    item.running, item.pid = True, execution.pid
    item.begun.set()
    # The loop holds tasks only weakly: without this name the task could be collected while it waits.
    item.watcher = asyncio.create_task(_watch(engine, item))
    return execution.reader, execution.writer


async def resize(item: Exec, height: int, width: int) -> None:
    """Give its terminal a size. Clients before 23 do so as soon as they have asked for the start, and give up early.

    Raises Conflict when it does not run, or has no terminal.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(item.begun.wait(), RESIZE_PATIENCE)
    if not item.running:
        raise Conflict(f"exec {item.id} is not running")
    await item.container.living_shim().resize(height, width, item.id)


async def _watch(engine: Engine, item: Exec) -> None:
    shim = item.container.shim
    try:
        item.exit_code = await shim.wait_exec(item.id) if shim is not None else 137
    except MinidockError:
        # The shim is gone, and with it the container and everything in it.
        item.exit_code = 137
    item.running, item.pid = False, 0
    item.ended.set()
    engine.tell(item.container, "exec_die", execID=item.id, exitCode=str(item.exit_code))


def _process(container: Container, request: ExecCreate, console: list[int]) -> Process:
    """The container's own process, but for what the request says."""
    record = container.record
    process = spec.process(record, request.cmd)
    values = dict(entry.partition("=")[::2] for entry in [*process.env, *request.env] if "=" in entry)
    if request.tty:
        values.setdefault("TERM", "xterm")
    height, width = [*(console or request.console_size), 0, 0][:2]
    every = sorted(capabilities.known())
    return msgspec.structs.replace(
        process,
        cwd=request.working_dir or process.cwd,
        env=[f"{name}={value}" for name, value in values.items()],
        terminal=request.tty,
        console_size=ConsoleSize(height, width) if request.tty and height and width else None,
        user=spec.user(request.user, record.host.group_add or []) if request.user else process.user,
        capabilities=CapabilitySets(bounding=every, effective=every, permitted=every)
        if request.privileged
        else process.capabilities,
    )
