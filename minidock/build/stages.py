"""Which stages a Dockerfile has, which of them the target needs, and what ``ARG`` means in each.

A variable has a value in a stage when the stage declares it: the one that whoever builds gave, else the declaration's
own default, else that of an ``ARG`` before the first ``FROM``. ``ENV`` always wins over ``ARG``.

Source: https://docs.docker.com/reference/dockerfile/#understand-how-arg-and-from-interact, #scope.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from minidock import units
from minidock.build import words
from minidock.build.lines import fields
from minidock.build.parser import Dockerfile
from minidock.build.syntax import Arg, Copy, From, Instruction, Label, Run
from minidock.errors import InvalidInput
from minidock.oci.platform import Platform

#: They are there for RUN without being declared, and change neither the history nor what is a cache hit.
PROXIES = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)


@dataclass(frozen=True)
class Stage:
    """``image`` and ``platform`` are expanded; ``base`` is the stage that this one goes on from, if it is one."""

    number: int
    name: str
    start: From
    image: str
    platform: str
    base: int | None
    steps: tuple[Instruction, ...]


@dataclass(frozen=True)
class Plan:
    """The stages that are needed, in the file's order; the last is what is wanted. ``every``: those of the file."""

    stages: tuple[Stage, ...]
    every: tuple[Stage, ...]
    globals: dict[str, str]
    declarations: tuple[Arg, ...]
    names: dict[str, int]
    escape: str

    @property
    def total(self) -> int:
        """How many instructions there are."""
        return len(self.declarations) + sum(1 + len(stage.steps) for stage in self.stages)

    def stage(self, name: str, before: int) -> int | None:
        """The stage that ``--from=name`` means in stage ``before``, or None if it is an image."""
        return _find(self.names, name, before)


def platform_variables(build: Platform, target: Platform) -> dict[str, str]:
    """What is declared without a value in every Dockerfile: TARGETARCH and its kin."""
    found = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"], found[f"{prefix}ARCH"] = platform.os, platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    return found


def plan(
    dockerfile: Dockerfile,
    arguments: Mapping[str, str],
    predefined: Mapping[str, str],
    target: str = "",
    labels: Mapping[str, str] | None = None,
) -> Plan:
    """Sort a Dockerfile's instructions into stages. Raises InvalidInput in Docker's words."""
    declarations, groups = _groups(dockerfile)
    known = dict(predefined)
    for declaration in declarations:
        known |= declared(declaration, known, arguments, {}, dockerfile.escape)
    names: dict[str, int] = {}
    stages: list[Stage] = []
    for number, (start, steps) in enumerate(groups):
        image = words.expand(start.image, known, dockerfile.escape)
        if not image:
            raise InvalidInput(
                f"dockerfile parse error line {start.line}: base name ({start.image}) should not be blank"
            )
        platform = words.expand(start.platform, known, dockerfile.escape)
        # A stage's number is no name for FROM: it would be an image's.
        base = names.get(image.lower())
        stages.append(Stage(number, start.name or str(number), start, image, platform, base, tuple(steps)))
        if start.name:
            names[start.name] = number
    wanted = _target(names, len(stages), target)
    if labels:
        stages[wanted] = _with_labels(stages[wanted], labels)
    needed = sorted(needed_stages(stages, names, wanted))
    chosen = tuple(stages[number] for number in needed)
    return Plan(chosen, tuple(stages), known, declarations, names, dockerfile.escape)


def declared(
    instruction: Arg, known: Mapping[str, str], arguments: Mapping[str, str], outer: Mapping[str, str], escape: str
) -> dict[str, str]:
    """The values that an ARG gives. ``known`` is for its defaults; ``outer`` are the ARGs before the first FROM."""
    values: dict[str, str] = {}
    for name, default in instruction.names:
        if name in arguments:
            values[name] = arguments[name]
        elif default is not None:
            values[name] = words.expand(default, {**known, **values}, escape)
        elif name in outer:
            values[name] = outer[name]
    return values


def _with_labels(stage: Stage, labels: Mapping[str, str]) -> Stage:
    """``--label``: one more step at the end."""
    pairs = tuple((_literal(name), _literal(value)) for name, value in sorted(labels.items()))
    written = "LABEL " + " ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return dataclasses.replace(stage, steps=(*stage.steps, Label(pairs=pairs, written=written)))


def _literal(text: str) -> str:
    """A text that expansion leaves alone."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _groups(dockerfile: Dockerfile) -> tuple[tuple[Arg, ...], list[tuple[From, list[Instruction]]]]:
    declarations: list[Arg] = []
    groups: list[tuple[From, list[Instruction]]] = []
    for instruction in dockerfile.instructions:
        if isinstance(instruction, From):
            groups.append((instruction, []))
        elif groups:
            groups[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            declarations.append(instruction)
        else:
            raise InvalidInput("no build stage in current context")
    if not groups:
        raise InvalidInput("no build stage in current context")
    return tuple(declarations), groups


def _find(names: Mapping[str, int], name: str, before: int) -> int | None:
    number = int(name) if units.is_number(name) else names.get(name.lower())
    return number if number is not None and number < before else None


def _target(names: Mapping[str, int], count: int, target: str) -> int:
    if not target:
        return count - 1
    number = _find(names, target, count)
    if number is None:
        raise InvalidInput(f"failed to reach build target {target} in Dockerfile")
    return number


def needed_stages(stages: Sequence[Stage], names: Mapping[str, int], wanted: int) -> set[int]:
    """The numbers of the stages that number ``wanted`` is built from, its own too. ``names`` are the stages' names."""
    needed, pending = set(), [wanted]
    while pending:
        number = pending.pop()
        if number not in needed:
            needed.add(number)
            pending += _uses(stages[number], names)
    return needed


def _uses(stage: Stage, names: Mapping[str, int]) -> Iterator[int]:
    """The stages that a stage is built from."""
    if stage.base is not None:
        yield stage.base
    for step in stage.steps:
        for source in sources_of(step):
            number = _find(names, source, stage.number)
            if number is not None:
                yield number


def sources_of(step: Instruction) -> list[str]:
    """The stages or images that a step takes files from."""
    if isinstance(step, Copy) and step.source_stage:
        return [step.source_stage]
    if isinstance(step, Run):
        options = [option.partition("=") for mount in step.mounts for option in fields(mount)]
        return [value for name, _, value in options if name.strip().lower() == "from"]
    return []
