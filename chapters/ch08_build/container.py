"""The program of chapter 8: ``python -m chapters run 8 -- -b CONTEXT STORE sh`` builds an image, and runs a command."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

from chapters.ch04_images.container import plan
from chapters.rootfs import PATH, tiny_root
from minidock.build import context, copying, parser, settings, stages, state, syntax, words
from minidock.build.sources import Item, Source, content_digest
from minidock.containers import init
from minidock.containers import steps as s
from minidock.errors import BuildStepFailed
from minidock.oci import image, runtime


def start(layers: list[Path], own: Path, config: image.ContainerDefaults, program: list[str]) -> int:
    """Chapter 4's container, where and with the variables that the image says; the program's exit code."""
    for name in ("upper", "work", "root"):
        (own / name).mkdir(0o755, exist_ok=True)
    process = runtime.Process(config.working_dir or "/", program, config.env)
    *steps, pivot, find, execute = plan(layers, own, tuple(program))
    steps += [s.MakeWorkingDirectory(process.cwd), pivot, s.SetDirectory(process.cwd), find, execute]
    return init.run(steps, s.Context(process, container_id=f"chapter-{os.getpid()}"))


def build(text: str, files: Source, layers: list[Path], store: Path) -> tuple[list[Path], image.ContainerDefaults]:
    """The layers, the topmost first, and the configuration. Each layer stays in ``store``, under its step's key."""
    config, key = image.ContainerDefaults(env=[PATH]), content_digest(Item("", layers[0], is_directory=True))
    for step in stages.plan(parser.parse(text), {}, {}).stages[-1].steps:
        if not isinstance(step, syntax.Copy | syntax.Run):
            config, told = settings.apply(step, config, partial(words.expand, variables=settings.variables(config.env)))
            key = state.step_key(key, told)
            continue
        items = [item for source in getattr(step, "sources", ()) for item in files.find(source)]
        key = state.step_key(key, str(step), *map(content_digest, items))
        print(step.written, "(cached)" * (store / key).exists(), flush=True)
        if not (store / key).exists():
            with tempfile.TemporaryDirectory(dir=store) as own:
                (upper := Path(own, "upper")).mkdir(0o755)
                if isinstance(step, syntax.Copy):
                    copying.copy(upper, copying.Order(items, settings.destination(step.destination, config)))
                elif code := start(layers, Path(own), config, settings.command_line(step.command, config)):
                    raise BuildStepFailed(f"{step.written}: exit code {code}", code)
                upper.rename(store / key)
        layers = [store / key, *layers]
    return layers, config


def main(arguments: list[str]) -> int:
    """Build, then run the rest of ``arguments``, or what the image says; the program's exit code."""
    with tiny_root() as base, tempfile.TemporaryDirectory() as own:
        layers, config = [base], image.ContainerDefaults(env=[PATH])
        if arguments[:1] == ["-b"] and len(arguments) > 2:
            files, store, arguments = Source(Path(arguments[1])), Path(arguments[2]), arguments[3:]
            layers, config = build(context.read_dockerfile(files, ""), files, layers, store)
        return start(layers, Path(own), config, arguments or [*config.entrypoint, *config.cmd] or ["sh"])
