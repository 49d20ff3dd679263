"""One build: the stages that are needed, each a task of its own that waits for those that it takes files from.

Nobody sees anything of a build before its end: then the target's state becomes an image. What fails, or whose client
goes away, leaves nothing but cached steps.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from minidock import units
from minidock.build import stages
from minidock.build.context import leave_out, read_dockerfile
from minidock.build.parser import parse
from minidock.build.sources import Source
from minidock.build.stage import StageBuild
from minidock.build.stages import PROXIES, Plan, Stage
from minidock.build.state import State
from minidock.build.workshop import Machine, Request, Tell, Workshop, in_thread
from minidock.errors import InvalidInput
from minidock.images import Image
from minidock.messages import BuildEvent
from minidock.oci import platform as platforms


class Build:
    """A build of the context in ``work/context``. ``work`` and ``memory`` are its own directories."""

    def __init__(
        self, workshop: Workshop, machine: Machine, request: Request, place: tuple[Path, Path], tell: Tell
    ) -> None:
        self.workshop = workshop
        self.machine = machine
        self.request = request
        self.work, self.memory = place
        self.tell = tell
        self.context = Source(self.work / "context")
        self.platform = request.platform or platforms.host()
        self.epoch = _epoch(request.arguments)
        self.has_failed = False
        self.used_arguments: set[str] = set()
        self.total = 0
        self.stages: dict[int, StageBuild] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.group: asyncio.TaskGroup
        self.plan: Plan

    def now(self) -> str:
        """The time that the image shall tell: the present, or SOURCE_DATE_EPOCH."""
        return units.format_rfc3339(time.time_ns() if self.epoch is None else self.epoch * 1_000_000_000)

    async def run(self) -> Image:
        """The finished image. Raises BuildStepFailed, InvalidInput, and all that images and registries raise."""
        started = time.monotonic()
        with self.workshop.images.bringing():
            self.plan = await in_thread(self._prepare)
            self.total = self.plan.total
            self.tell(BuildEvent(kind="plan", total=self.total))
            self._tell_declarations()
            state = await self._run_stages()
            image = await in_thread(self._finish, state)
        names = [name.with_default_tag().familiar for name in self.request.names]
        self._warn_of_unused()
        self.tell(BuildEvent(kind="image", image=image.id, names=names, seconds=time.monotonic() - started))
        return image

    def _prepare(self) -> Plan:
        """Read the Dockerfile and the ignore file. Blocks."""
        text = read_dockerfile(self.context, self.request.dockerfile)
        predefined = stages.platform_variables(platforms.host(), self.platform)
        plan = stages.plan(parse(text), self.request.arguments, predefined, self.request.target, self.request.labels)
        leave_out(self.context, self.request.dockerfile)
        return plan

    def _tell_declarations(self) -> None:
        for number, declaration in enumerate(self.plan.declarations, 1):
            self.used_arguments |= {name for name, _ in declaration.names}
            self.tell(BuildEvent(kind="started", step=number, total=self.total, text=declaration.written))
            self.tell(BuildEvent(kind="done", step=number))

    async def _run_stages(self) -> State:
        step = len(self.plan.declarations) + 1
        try:
            async with asyncio.TaskGroup() as group:
                self.group = group
                for stage in self.plan.stages:
                    self._begin(stage, step)
                    step += 1 + len(stage.steps)
        except BaseExceptionGroup as errors:
            # The first one is why the others were cancelled.
            raise errors.exceptions[0] from None
        return self.stages[self.plan.stages[-1].number].state

    def _begin(self, stage: Stage, step: int) -> None:
        self.stages[stage.number] = StageBuild(self, stage, step)
        self.tasks[stage.number] = self.group.create_task(self.stages[stage.number].run())

    def _finish(self, state: State) -> Image:
        return self.workshop.images.add_image(state.layers, state.document, *self.request.names)

    def _warn_of_unused(self) -> None:
        unused = set(self.request.arguments) - self.used_arguments - PROXIES - {"SOURCE_DATE_EPOCH"}
        if unused:
            text = f"[Warning] One or more build-args {sorted(unused)} were not consumed"
            self.tell(BuildEvent(kind="status", step=self.total, text=text.replace("'", "").replace(",", "")))

    async def result_of(self, number: int) -> StageBuild:
        """Another stage at its end; waits for it. One that only a build trigger asks for is begun now."""
        if number not in self.tasks:
            stage, step = self.plan.every[number], self.total + 1
            self.total += 1 + len(stage.steps)
            self.tell(BuildEvent(kind="plan", total=self.total))
            self._begin(stage, step)
        await asyncio.shield(self.tasks[number])
        return self.stages[number]

    async def pull(self, name: str, platform: platforms.Platform | None, step: int) -> Image:
        """An image by its name, from here or from a registry."""

        def status(text: str) -> None:
            self.tell(BuildEvent(kind="status", step=step, text=text))

        return await self.machine.image(name, platform or self.request.platform, self.request.pull, status)

    def trusted(self) -> list[Image]:
        """The images of ``--cache-from`` that are here."""
        found = (self.workshop.images.find(name) for name in self.request.cache_from)
        return [image for image in found if image is not None]


def _epoch(arguments: dict[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH, in seconds since 1970. (https://reproducible-builds.org/specs/source-date-epoch/)"""
    text = arguments.get("SOURCE_DATE_EPOCH", "")
    if text and not (text.isdecimal() and len(text) < 12):
        raise InvalidInput(f"SOURCE_DATE_EPOCH must be a number of seconds, not {text!r}")
    return int(text) if text else None
