"""One stage of a build: from what ``FROM`` names, step by step, each looked up in the cache before it is made."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from minidock.build import copying, settings, stages, syntax, words
from minidock.build.cache import Record
from minidock.build.copy_step import CopyStep
from minidock.build.parser import parse_trigger
from minidock.build.run_step import RunStep
from minidock.build.sources import Source
from minidock.build.stages import Stage
from minidock.build.state import State, beginning, step_key
from minidock.build.workshop import in_thread
from minidock.images import Image, Layer
from minidock.messages import BuildEvent
from minidock.oci import platform as platforms
from minidock.oci.image import ContainerDefaults

if TYPE_CHECKING:
    from minidock.build.builder import Build

Make = Callable[[], Layer | None]


class StageBuild:
    """``number`` is the step that the stage's FROM is."""

    def __init__(self, build: Build, stage: Stage, number: int) -> None:
        self.build = build
        self.stage = stage
        self.number = number
        self.arguments: dict[str, str] = {}
        self._has_command = False
        self._was_cached = False
        self._base = ""
        self.state: State

    async def run(self) -> None:
        """All of its steps."""
        for offset, instruction in enumerate([self.stage.start, *self.stage.steps]):
            self.number += offset > 0
            await self._step(instruction)

    async def _step(self, instruction: syntax.Instruction) -> None:
        """One instruction, told of before and after."""
        begin, total = time.monotonic(), self.build.total
        self.tell("started", total=total, stage=self.stage.name, text=instruction.written)
        self._was_cached = False
        try:
            await self._perform(instruction)
        except BaseException as error:
            kind = "cancelled" if self.build.has_failed or isinstance(error, asyncio.CancelledError) else "failed"
            self.build.has_failed |= kind == "failed"
            self.tell(kind, text=str(error), seconds=time.monotonic() - begin)
            raise
        seconds = time.monotonic() - begin
        self.tell("done", cached=self._was_cached, seconds=seconds, image=self._base or self.state.id)
        self._base = ""

    def tell(self, kind: str, **fields: object) -> None:
        """An event of the present step."""
        self.build.tell(msgspec.convert({"kind": kind, "step": self.number, **fields}, BuildEvent))

    async def _perform(self, instruction: syntax.Instruction) -> None:
        match instruction:
            case syntax.From():
                await self._start()
            case syntax.Arg():
                await self._declare(instruction)
            case syntax.Run():
                await RunStep(self, instruction).run()
            case syntax.Copy() | syntax.Add():
                await CopyStep(self, instruction).run()
            case syntax.Workdir():
                config, told = settings.apply(instruction, self.state.config, self.expand)
                make = partial(self.change, partial(copying.make_directory, path=config.working_dir))
                await in_thread(self.keep, config, self.remark(told), make)
            case syntax.Maintainer(value=value):
                document = msgspec.structs.replace(self.state.document, author=self.expand(value))
                self.state = dataclasses.replace(self.state, document=document)
                await in_thread(self.keep, self.state.config, self.remark(f" MAINTAINER {document.author}"))
            case _:
                await self._configure(instruction)

    # ------------------------------------------------------------------------------------------- configuration

    async def _start(self) -> None:
        """FROM: an image, another stage, or nothing; then what the image has for those who build on it."""
        stage, build = self.stage, self.build
        wanted = platforms.parse(stage.platform) if stage.platform else None
        if stage.base is not None:
            base = await build.result_of(stage.base)
            self.state, self.arguments = base.state, dict(base.arguments)
        else:
            image = None if stage.image == "scratch" else await build.pull(stage.image, wanted, self.number)
            self._base = image.id if image else ""
            self.state = beginning(image, wanted or build.platform, build.epoch)
        triggers = self.state.config.on_build
        if triggers:
            count = f"{len(triggers)} build trigger{'s' * (len(triggers) > 1)}"
            self.tell("status", text=f"# Executing {count}")
            self.state = self.state.without_triggers()
        for text in triggers:
            await self._perform(parse_trigger(text))

    async def _declare(self, instruction: syntax.Arg) -> None:
        outer = self.build.plan.globals
        self.build.used_arguments |= {name for name, _ in instruction.names}
        values = stages.declared(instruction, self.variables, self.build.request.arguments, outer, self.escape)
        # What is given from outside is not told, and changes no key by itself: the steps that use it tell of it.
        defaults = {name: words.expand(text, self.variables, self.escape) for name, text in instruction.names if text}
        told = " ".join(
            name if text is None else f"{name}={defaults.get(name, '')}" for name, text in instruction.names
        )
        self.arguments |= values
        await in_thread(self.keep, self.state.config, self.remark(f" ARG {told}"))

    async def _configure(self, instruction: syntax.Instruction) -> None:
        config, told = settings.apply(instruction, self.state.config, self.expand)
        if isinstance(instruction, syntax.Cmd):
            self._has_command = True
        elif isinstance(instruction, syntax.Entrypoint) and not self._has_command:
            # The base image's command was written for its own entrypoint.
            config = msgspec.structs.replace(config, cmd=[])
        # A new shell is the first to tell of itself.
        shell = config.shell if isinstance(instruction, syntax.Shell) else None
        await in_thread(self.keep, config, self.remark(f" {told}", shell))

    @property
    def variables(self) -> dict[str, str]:
        """What a word may name: ENV wins over ARG."""
        return self.arguments | settings.variables(self.state.config.env)

    @property
    def escape(self) -> str:
        """The character that takes others' meaning away."""
        return self.build.plan.escape

    def expand(self, text: str) -> str:
        """The word that a text means here. Raises InvalidInput."""
        return words.expand(text, self.variables, self.escape)

    def remark(self, text: str, shell: list[str] | None = None) -> str:
        """How the history tells of what is no command, in the classic builder's words."""
        return f"{' '.join(shell or self.state.config.shell or settings.SHELL)} #(nop) {text}"

    # ------------------------------------------------------------------------------------------- the cache

    def find(self, key: str, told: str) -> Record | None:
        """An earlier step with this key; or one of an image that whoever builds said to trust."""
        build = self.build
        if build.request.no_cache:
            return None
        return build.workshop.cache.find(key) or next(
            (found for image in build.trusted() if (found := self.state.step_in(image, key, told))), None
        )

    def keep(self, config: ContainerDefaults, told: str, make: Make = lambda: None, parts: Sequence[str] = ()) -> None:
        """Go on by one step: from the cache, or by making its layer. Blocks."""
        key = step_key(self.state.key, told, *parts)
        record = self.find(key, told)
        if record is not None:
            self.hit(record, config)
        else:
            self.made(key, make(), config, told)

    def hit(self, record: Record, config: ContainerDefaults) -> None:
        """Go on with what was made earlier."""
        self._was_cached = True
        self.state = self.state.after(record.key, record.layer, config, record.told, record.created)

    def made(self, key: str, layer: Layer | None, config: ContainerDefaults, told: str) -> None:
        """Go on with what was made just now, and remember it. Blocks."""
        created = self.build.now()
        self.build.workshop.cache.put(key, self.state.key, told, created, layer)
        self.state = self.state.after(key, layer, config, told, created)

    async def image_of(self, name: str) -> Image:
        """What ``--from=name`` means here: an earlier stage, or an image."""
        number = self.build.plan.stage(name, self.stage.number)
        if number is not None:
            return (await self.build.result_of(number)).state.image()
        return await self.build.pull(name, None, self.number)

    def source(self, image: Image | None) -> AbstractContextManager[Source]:
        """The files of an image, or (None) of the context, to be read. Blocks."""
        build = self.build
        return build.workshop.source(image, build.work) if image else nullcontext(build.context)

    def change(self, change: Callable[[Path], None], image: Image | None = None) -> Layer | None:
        """What ``change`` does to the present root file system (or an image's), as a layer. Blocks."""
        build = self.build
        return build.workshop.change(image or self.state.image(), build.work, change, build.epoch)
