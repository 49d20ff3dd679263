"""Health checks: a program run in the container every so often, whose exit code says whether the container is well.

::

    starting ──exit 0──▶ healthy ──so many failures in a row──▶ unhealthy ──exit 0──▶ healthy

A container that has never been well is *starting*; failures in its start period do not count, and until its end probes
may come faster. What a probe wrote is kept of the last five, 4096 bytes of each. The result is in the container's
record: the next daemon goes on where this one ended.

Source: moby, ``daemon/health.go``; https://docs.docker.com/reference/dockerfile/#healthcheck
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress

import msgspec

from minidock import units
from minidock.containers.streams import Unframer
from minidock.daemon import execs
from minidock.daemon.container import Container, Stream
from minidock.daemon.engine import Engine
from minidock.daemon.records import Record
from minidock.errors import InvalidInput, MinidockError
from minidock.messages import ExecCreate, Health, HealthConfig, HealthResult
from minidock.oci.image import Healthcheck

INTERVAL, TIMEOUT, START_INTERVAL = 30 * units.SECOND, 30 * units.SECOND, 5 * units.SECOND
RETRIES = 3
SHORTEST = units.SECOND // 1000
MOST_RESULTS = 5
MOST_OUTPUT = 4096
"""Bytes."""


def merge(asked: HealthConfig | None, image: Healthcheck | None) -> HealthConfig | None:
    """What the user said, filled up from the image."""
    if image is None:
        return asked
    values = {name: getattr(asked, name, None) or getattr(image, name) for name in HealthConfig.__struct_fields__}
    return HealthConfig(**values)


def check(config: HealthConfig | None) -> None:
    """Raises InvalidInput, in Docker's words."""
    if config is None:
        return
    for name in ("interval", "timeout", "start_period", "start_interval"):
        if getattr(config, name) and getattr(config, name) < SHORTEST:
            title = name.title().replace("_", "")
            raise InvalidInput(f"{title} in Healthcheck cannot be less than {units.format_duration(SHORTEST)}")
    if config.retries < 0:
        raise InvalidInput("Retries in Healthcheck cannot be negative")
    if config.test and config.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidInput(f"Unknown healthcheck type {config.test[0]!r} (expected 'CMD')")
    if config.test and config.test[0] != "NONE" and len(config.test) < 2:
        raise InvalidInput(f"Healthcheck {config.test[0]} needs a command")


def is_checked(record: Record) -> bool:
    """Has the container a health check, which ``NONE`` has not switched off?"""
    config = record.config.healthcheck
    return config is not None and config.test[:1] not in ([], ["NONE"])


def begin(record: Record) -> Health | None:
    """The health of a container that starts now."""
    if not is_checked(record):
        return None
    before = record.state.health
    return Health(status="starting", log=before.log if before else [])


async def watch(engine: Engine, container: Container) -> None:
    """Probe, for as long as the container runs: whoever sees its end cancels this."""
    state = container.record.state
    state.health = state.health or begin(container.record)
    while is_checked(container.record):
        await asyncio.sleep(_pause(container.record) / units.SECOND)
        if state.status == "running":
            result = await _probe(engine, container)
            if state.status == "running":  # what was paused meanwhile is neither well nor ill; Docker forgets it too
                note(engine, container, result)


def _pause(record: Record) -> int:
    """Nanoseconds until the next probe."""
    config, health = record.config.healthcheck, record.state.health
    assert config is not None and health is not None, "it is checked"
    in_start_period = time.time_ns() - record.state.started_ns < config.start_period
    if in_start_period and health.status == "starting":
        return config.start_interval or START_INTERVAL
    return config.interval or INTERVAL


def note(engine: Engine, container: Container, result: HealthResult) -> None:
    """What one probe means for the container's health; tell everybody when it is another now."""
    state, config = container.record.state, container.record.config.healthcheck
    assert config is not None and state.health is not None, "it is checked"
    health, before = state.health, state.health.status
    health.log = [*health.log, result][-MOST_RESULTS:]
    if result.exit_code == 0:
        health.status, health.failing_streak = "healthy", 0
    elif before != "starting" or units.parse_rfc3339(result.start) - state.started_ns >= config.start_period:
        health.failing_streak += 1
        if health.failing_streak >= (config.retries or RETRIES):
            health.status = "unhealthy"
    engine.records.save(container.record)
    if health.status != before:
        engine.tell(container, f"health_status: {health.status}")


async def _probe(engine: Engine, container: Container) -> HealthResult:
    started = units.format_rfc3339(time.time_ns())
    code, output = await _run(engine, container)
    return HealthResult(start=started, end=units.format_rfc3339(time.time_ns()), exit_code=code, output=output)


async def _run(engine: Engine, container: Container) -> tuple[int, str]:
    """The exit code and the output of one probe; -1 and the reason when it did not end by itself."""
    config, user = container.record.config.healthcheck, container.record.config.user
    assert config is not None, "it is checked"
    timeout, output = config.timeout or TIMEOUT, Output()
    try:
        item = execs.create(
            engine,
            container,
            ExecCreate(cmd=command(container.record), user=user, attach_stdout=True, attach_stderr=True),
        )
        stream = await execs.start(engine, item, [], detach=False)
    except MinidockError as error:
        return -1, f"OCI runtime exec failed: exec failed: unable to start container process: {error}"
    try:
        async with asyncio.timeout(timeout / units.SECOND):
            await output.read(stream)
            await item.ended.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.kill(item.pid, signal.SIGKILL) if item.running else None
        await item.ended.wait()
        words = f"Health check exceeded timeout ({units.format_duration(timeout)})"
        return -1, f"{words}: {output}" if str(output) else words
    finally:
        stream[1].close()
    return item.exit_code if item.exit_code is not None else -1, str(output)


def command(record: Record) -> list[str]:
    """The program to run. ``CMD-SHELL`` is a line for the image's shell."""
    assert record.config.healthcheck is not None, "it is checked"
    kind, *words = record.config.healthcheck.test
    return words if kind == "CMD" else [*(record.config.shell or ["/bin/sh", "-c"]), *words]


class Output:
    """The first 4096 bytes of what a probe writes, to either stream."""

    def __init__(self) -> None:
        self._kept = b""
        self._is_cut = False

    async def read(self, stream: Stream) -> None:
        """Read to the end, so that the probe never has to wait for us."""
        unframer = Unframer()
        while data := await stream[0].read(65536):
            for _, piece in unframer.feed(data):
                self._is_cut |= len(self._kept) + len(piece) > MOST_OUTPUT
                self._kept = (self._kept + piece)[:MOST_OUTPUT]

    def __str__(self) -> str:
        return self._kept.decode(errors="replace") + ("..." if self._is_cut else "")


def shown(record: Record) -> str:
    """What ``ps`` adds to the status: ``(healthy)``, ``(unhealthy)``, ``(health: starting)`` or nothing."""
    health = record.state.health
    if health is None:
        return ""
    return " (health: starting)" if health.status == "starting" else f" ({health.status})"


def for_inspect(record: Record) -> Health | msgspec.UnsetType:
    """The ``Health`` of an inspect: absent when there is no check, or it never ran."""
    return record.state.health or msgspec.UNSET
