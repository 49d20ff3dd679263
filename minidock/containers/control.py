"""The daemon's handle on the launcher and on the shims (asyncio). See :mod:`minidock.containers.wire`.

Nothing here has to be remembered when the daemon is killed. The next one finds a container's shim through its state
directory (:meth:`Shim.reconnect`); where there is none, the container has ended, and :func:`bury` tells how.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from minidock.containers import runtime, wire
from minidock.containers.exits import Exit, read_exit, write_exit
from minidock.containers.wire import LaunchRequest, Streams
from minidock.errors import NoSuchContainer, ShimGone
from minidock.oci.runtime import Process

__all__ = ["Execution", "Exit", "LaunchRequest", "Launcher", "Shim", "ShimGone", "Streams", "bury", "read_exit"]

BUFFER = 1024 * 1024
"""How much of a stream may wait in the daemon, in bytes (asyncio holds twice that)."""


@dataclass(frozen=True)
class Execution:
    """A program that was started in a running container. ``reader`` and ``writer`` are its streams."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Shim:
    """One container's shim, as the daemon sees it.

    ``started`` is what the shim said when we met: does the container's program run already? Every method raises
    :class:`~minidock.errors.ShimGone` when the shim is not there any more, except :meth:`wait`.
    """

    def __init__(self, state_dir: Path, greeting: wire.Greeting, channel: _Channel) -> None:
        self.state_dir = state_dir
        self.bundle = Path(greeting.bundle)
        self.init_pid = greeting.init_pid
        self.started = greeting.started
        self._channel = channel
        self._exit: asyncio.Task[Exit] | None = None

    @classmethod
    async def reconnect(cls, state_dir: Path) -> Shim:
        """The shim that listens in ``state_dir``; raises :class:`~minidock.errors.ShimGone` when there is none."""
        channel, greeting = await _Channel.meet(_connect(state_dir))
        return cls(state_dir, greeting, channel)

    async def start(self) -> None:
        """Let init exec the program; raises ``ProgramNotFound``, ``ProgramNotExecutable``, …"""
        await self._channel.ask(wire.Start())

    async def kill(self, signal: int, everyone: bool = False) -> None:
        """Send ``signal`` to init, or to every process of the container. Raises ``Conflict`` when it has ended."""
        await self._channel.ask(wire.Kill(signal=signal, everyone=everyone))

    async def resize(self, height: int, width: int, exec_id: str | None = None) -> None:
        """Give the terminal of the container, or of an exec, a new size in characters. Raises ``Conflict``."""
        await self._channel.ask(wire.Resize(height=height, width=width, exec_id=exec_id))

    async def attach(
        self, stdin: bool, stdout: bool, stderr: bool, exec_id: str | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream of the container, or of an exec: frames, or raw bytes when it has a terminal.

        ``write_eof`` of the writer ends its standard input. The reader ends when the program has, or when the
        container's output is closed. Whoever stops reading stops the program in the end; close the writer to leave.
        """
        streams = Streams(stdin, stdout, stderr)
        _, reader, writer = await self._stream(wire.Attach(streams=streams, exec_id=exec_id))
        return reader, writer

    async def execute(self, exec_id: str, process: Process, streams: Streams) -> Execution:
        """Run one more program in the container, attached to its streams from its first byte on.

        Raises what ``runtime.execute`` raises. With no streams, close the writer: the program goes on.
        """
        pid, reader, writer = await self._stream(wire.Execute(exec_id=exec_id, process=process, streams=streams))
        return Execution(msgspec.convert(pid, int), reader, writer)

    async def wait(self) -> Exit:
        """How the container ended. The status is on disk before this returns, whatever became of the shim."""
        if self._exit is None:
            self._exit = asyncio.create_task(self._wait())
        return await asyncio.shield(self._exit)

    async def wait_exec(self, exec_id: str) -> int:
        """The exit code of an exec, of the last hundred that ended or of one that runs. Raises ``NoSuchExec``."""
        return msgspec.convert(await self._channel.ask(wire.WaitExec(exec_id=exec_id)), int)

    async def close(self) -> None:
        """Let go of the connection. A container that was started goes on; one that was not is removed."""
        await self._channel.close()

    async def _wait(self) -> Exit:
        try:
            return msgspec.convert(await self._channel.ask(wire.Wait()), Exit)
        except ShimGone:
            return await asyncio.to_thread(bury, self.state_dir, self.bundle)

    async def _stream(self, request: wire.Request) -> tuple[object, asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection to the shim that ``request`` turns into a stream, after the answer."""
        reader, writer = await asyncio.open_unix_connection(sock=_connect(self.state_dir), limit=BUFFER)
        try:
            await _receive(reader)  # the greeting
            writer.write(wire.encode(request))
            return await _receive(reader), reader, writer
        except BaseException:
            writer.close()
            raise


class Launcher:
    """The launcher, as the daemon sees it. Should somebody kill it, the next container gets a new one.

    Both are in the mount namespace that the caller was in when he asked for the first.
    """

    def __init__(self) -> None:
        self._mounts = Path("/proc/self/ns/mnt").open("rb")  # noqa: SIM115 - kept until close
        self._process, self._socket = _start_launcher()

    @classmethod
    async def spawn(cls) -> Launcher:
        """Start the launcher. It ends when the daemon does, or with :meth:`close`."""
        return cls()

    @property
    def pid(self) -> int:
        """The launcher's process."""
        return self._process.pid

    async def launch(self, request: LaunchRequest) -> Shim:
        """Create a container, with a shim of its own. Its init waits. Raises what ``runtime.create`` raised."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._socket, [wire.encode(request)], [theirs.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                await self._bury()
                self._process, self._socket = _start_launcher(self._mounts.fileno())
                socket.send_fds(self._socket, [wire.encode(request)], [theirs.fileno()])
        channel, greeting = await _Channel.meet(ours)
        return Shim(Path(request.state_dir), greeting, channel)

    async def close(self) -> None:
        """End the launcher. Shims live on."""
        await self._bury()
        self._mounts.close()

    async def _bury(self) -> None:
        self._socket.close()
        await asyncio.to_thread(self._process.wait)


class _Channel:
    """A control connection: many questions under way at a time, each answered under its number."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asked: dict[int, asyncio.Future[object]] = {}
        self._last = 0
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def meet(cls, sock: socket.socket) -> tuple[_Channel, wire.Greeting]:
        """Take up a new connection to a shim. Raises what the shim says instead of a greeting."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        try:
            greeting = msgspec.convert(await _receive(reader), wire.Greeting)
        except BaseException:
            writer.close()
            raise
        return cls(reader, writer), greeting

    async def ask(self, request: wire.Request) -> object:
        """Send ``request``, and wait for the answer. Raises what it says."""
        if self._listening.done():
            raise ShimGone("the container's shim is gone")
        self._last += 1
        request.number = self._last
        answer = self._asked[request.number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(wire.encode(request))
            return await answer
        finally:
            del self._asked[request.number]

    async def close(self) -> None:
        self._writer.close()
        await asyncio.wait([self._listening])

    async def _listen(self) -> None:
        with suppress(ConnectionError):
            while line := await self._reader.readline():
                reply = wire.decode_reply(line)
                answer = self._asked.get(reply.number)
                if answer is None or answer.done():
                    continue
                if reply.failure:
                    answer.set_exception(reply.failure.error())
                else:
                    answer.set_result(reply.result)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ShimGone("the container's shim is gone"))
        self._writer.close()


def _start_launcher(mounts: int | None = None) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """``mounts`` is a mount namespace to enter, when it is not ours any more."""
    # Sequenced packets: each message arrives whole, together with its descriptor.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    passed = [theirs.fileno()] if mounts is None else [theirs.fileno(), mounts]
    command = [sys.executable, "-I", "-m", "minidock.containers.entry", *map(str, passed)]
    with theirs:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=passed, start_new_session=True)
    return process, ours


def bury(state_dir: Path, bundle: Path) -> Exit:
    """How a container ended that has no shim; kill what is left of it, and remove its state. Blocks.

    A shim writes the status before it goes. Where there is none somebody killed the shim, or the machine restarted,
    and nobody knows the program's own exit code: it becomes 255, as with Docker.
    """
    with suppress(NoSuchContainer):
        runtime.delete(state_dir, force=True)
    how = read_exit(bundle)
    if how is None:
        error = "the container's shim was killed, or the machine restarted"
        how = Exit(255, finished_ns=time.time_ns(), error=error)
        write_exit(bundle, how)
    return how


def _connect(state_dir: Path) -> socket.socket:
    try:
        return wire.connect(state_dir)
    except OSError:
        raise ShimGone("the container's shim is gone") from None


async def _receive(reader: asyncio.StreamReader) -> object:
    """The result in the next reply on a connection that has only one question under way."""
    try:
        line = await reader.readline()
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        raise ShimGone("the container's shim is gone")
    reply = wire.decode_reply(line)
    if reply.failure:
        raise reply.failure.error()
    return reply.result
