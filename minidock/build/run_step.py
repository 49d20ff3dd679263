"""The step RUN: a container on what there is so far; what it changes is a layer."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from minidock.build import copying, mounts, settings
from minidock.build.copying import Order
from minidock.build.lines import heredoc_name
from minidock.build.mounts import Bound, RunMount
from minidock.build.sources import Item, Source, content_digest
from minidock.build.stages import PROXIES
from minidock.build.state import step_key
from minidock.build.syntax import Command, Run
from minidock.build.workshop import Program, in_thread
from minidock.errors import BuildStepFailed, InvalidInput, NotFound, NotImplementedYet
from minidock.images import Image, Layer
from minidock.messages import BuildEvent

if TYPE_CHECKING:
    from minidock.build.stage import StageBuild


class RunStep:
    """One RUN in a stage."""

    def __init__(self, stage: StageBuild, instruction: Run) -> None:
        self._stage = stage
        self._config = stage.state.config
        self._network = stage.expand(instruction.network) or "default"
        if self._network not in ("default", "none", "host"):
            raise InvalidInput(f"unsupported network mode {self._network!r}: default, none or host")
        if stage.expand(instruction.security) not in ("", "sandbox"):
            raise NotImplementedYet(f"RUN --security={instruction.security}: minidock gives a build no more rights")
        self._words, self._script = self._command(instruction)
        self._mounts = [mounts.parse(text, self._config, stage.expand) for text in instruction.mounts]
        set_by_env = {entry.partition("=")[0] for entry in self._config.env}
        self._arguments = {name: value for name, value in stage.arguments.items() if name not in set_by_env}

    async def run(self) -> None:
        """Look the step up, or run it. Raises BuildStepFailed, and what keeps a container from running."""
        stage = self._stage
        told, origins = self._told(), [await self._origin(mount) for mount in self._mounts]
        bound = await in_thread(self._digests, origins)
        options = [f"{mount}" for mount in self._mounts]
        key = step_key(stage.state.key, told, self._network, self._script, *options, *bound)
        record = await in_thread(stage.find, key, told)
        if record is not None:
            stage.hit(record, self._config)
            return
        layer = await self._execute(origins)
        await in_thread(stage.made, key, layer, self._config, told)

    def _told(self) -> str:
        """How the history tells of it: ``|1 NAME=value /bin/sh -c …``."""
        shown = [f"{name}={value}" for name, value in sorted(self._arguments.items()) if name not in PROXIES]
        return " ".join([*([f"|{len(shown)}", *shown] if shown else []), *self._words])

    def _command(self, run: Run) -> tuple[list[str], str]:
        """The words to run; and a script that has to be there as a file, or ""."""
        if not run.heredocs or not run.command.shell:
            return settings.command_line(run.command, self._config), ""
        (text,), first = run.command.words, run.heredocs[0]
        if len(run.heredocs) > 1 or heredoc_name(text) != first.name:
            # There is something beside the document: the shell reads it as it stands.
            text = f"{text}\n{''.join(map(str, run.heredocs))}".rstrip("\n")
        elif first.text.startswith("#!"):
            return [f"/dev/pipes/{first.name}"], first.text
        else:
            text = first.text
        return settings.command_line(Command((text,), shell=True), self._config), ""

    async def _execute(self, origins: Sequence[Image | None]) -> Layer | None:
        stage, build = self._stage, self._stage.build
        proxies = {name: value for name, value in build.request.arguments.items() if name in PROXIES}
        env = settings.with_variables(
            self._config.env, [f"{name}={value}" for name, value in (proxies | self._arguments).items()]
        )

        def tell(event: BuildEvent) -> None:
            build.tell(msgspec.structs.replace(event, step=stage.number))

        async with AsyncExitStack() as stack:
            hidden: list[str] = []
            bound = [self._script_file()] if self._script else []
            # In one order for all: two steps that lock the same caches must not wait for each other.
            pairs = sorted(zip(self._mounts, origins, strict=True), key=lambda pair: pair[0].identity)
            taken: dict[str, Path] = {}
            for mount, origin in pairs:
                if mount.kind == "cache":
                    bound.append(await self._cache(mount, origin, stack, taken))
                    continue
                found, variables = await in_thread(self._bind, mount, origin)
                bound, hidden = [*bound, *found], [*hidden, *variables]
            network = build.request.network if self._network == "default" else self._network
            program = Program(self._words, env, hidden, network, bound)
            ended = await stack.enter_async_context(build.machine.running(stage.state.image(), program, tell))
            if ended.code:
                shown = " ".join(self._words)
                raise BuildStepFailed(f"The command '{shown}' returned a non-zero code: {ended.code}", ended.code)
            return await in_thread(self._layer_of, ended.upper, [mount.target for mount in bound])

    def _layer_of(self, upper: Path, targets: Sequence[str]) -> Layer | None:
        images = self._stage.build.workshop.images
        lower = [images.layers.path(layer.diff_id) for layer in reversed(self._stage.state.layers)]
        mounts.remove_stubs(upper, targets, lower)
        return images.layer_from(upper, take=True, newest=self._stage.build.epoch)

    # ------------------------------------------------------------------------------------------- mounts

    async def _origin(self, mount: RunMount) -> Image | None:
        name = mount.options.get("from", "")
        return await self._stage.image_of(name) if name else None

    def _digests(self, origins: Sequence[Image | None]) -> list[str]:
        """Those of what is bound: it decides what a command makes."""
        found = []
        for mount, origin in zip(self._mounts, origins, strict=True):
            if mount.kind == "bind":
                with self._stage.source(origin) as tree:
                    found.append(content_digest(_item(tree, mount)))
        return found

    async def _cache(
        self, mount: RunMount, origin: Image | None, stack: AsyncExitStack, taken: dict[str, Path]
    ) -> Bound:
        """A directory that lasts. ``taken``: those that the step has, by what they are: two mounts of one share it."""
        what = f"{mount.identity} {origin.id if origin else ''}"
        if what not in taken:
            directories = self._stage.build.workshop.directories
            sharing = mount.options.get("sharing", "shared")
            taken[what] = await stack.enter_async_context(directories.taken(what, sharing))
            await in_thread(directories.fill, taken[what], partial(self._begin_cache, mount, origin))
        return Bound(mount.target, taken[what], read_only=mount.flag("ro"))

    def _bind(self, mount: RunMount, origin: Image | None) -> tuple[list[Bound], list[str]]:
        """What the container gets for a mount of another kind, and variables. Blocks."""
        build = self._stage.build
        if mount.kind == "tmpfs":
            return [Bound(mount.target, None, size=mounts.size_of(mount))], []
        if mount.kind == "secret":
            return self._secret(mount)
        if origin is None and not mount.flag("rw"):
            return [Bound(mount.target, _item(build.context, mount).path, read_only=True)], []
        # What is written is lost, and a stage's files are nowhere in one piece: a copy serves both.
        copy = self._new(mount.target)
        copy.mkdir()
        item = self._copy(mount, origin, copy)
        path = copy if item.is_directory else copy / posixpath.basename(item.name)
        return [Bound(mount.target, path, read_only=not mount.flag("rw"))], []

    def _copy(self, mount: RunMount, origin: Image | None, target: Path) -> Item:
        with self._stage.source(origin) as tree:
            item = _item(tree, mount)
            copying.copy(target, Order([item], "/"))
            target.chmod(0o755)
            return item

    def _begin_cache(self, mount: RunMount, origin: Image | None, path: Path) -> None:
        if origin is not None:
            self._copy(mount, origin, path)
        os.chown(path, mount.number("uid", 0), mount.number("gid", 0))
        path.chmod(mount.number("mode", 0o755, base=8))

    def _secret(self, mount: RunMount) -> tuple[list[Bound], list[str]]:
        value = self._stage.build.request.secrets.get(mount.identity)
        if value is None:
            if mount.flag("required"):
                raise InvalidInput(f"secret {mount.identity} not found: the build was not given it")
            return [], []
        variable = mount.options.get("env", "")
        env = [f"{variable}={value.decode(errors='surrogateescape')}"] if variable else []
        if not mount.target:
            return [], env
        path = self._new(mount.target, in_memory=True)
        path.touch(mode=0o600)
        path.write_bytes(value)
        os.chown(path, mount.number("uid", 0), mount.number("gid", 0))
        path.chmod(mount.number("mode", 0o400, base=8))
        return [Bound(mount.target, path, read_only=True)], env

    def _script_file(self) -> Bound:
        target = self._words[0]
        path = self._new(target)
        path.write_text(self._script, errors="surrogateescape")
        path.chmod(0o755)
        return Bound(target, path, read_only=True)

    def _new(self, target: str, in_memory: bool = False) -> Path:
        """A name for what is mounted on ``target`` in this step; the names of a build's files are nobody's choice."""
        build = self._stage.build
        directory = build.memory if in_memory else build.work
        return directory / f"mount-{self._stage.number}-{len(list(directory.iterdir()))}"


def _item(tree: Source, mount: RunMount) -> Item:
    try:
        return tree.item(posixpath.normpath("/" + mount.options.get("source", "")).lstrip("/"))
    except NotFound as error:
        raise InvalidInput(f"--mount: {error}") from None
