"""Images as Docker's clients want to see them: ``images``, ``inspect``, ``history``, ``rmi``."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping

import msgspec

from minidock import messages, units
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput
from minidock.images.image import Image
from minidock.images.removal import Use
from minidock.oci.image import ContainerDefaults


def summaries(engine: Engine, wanted: Mapping[str, list[str]]) -> list[messages.ImageSummary]:
    """``GET /images/json``: newest first."""
    used = engine.images_in_use()
    return [
        messages.ImageSummary(
            id=image.id,
            repo_tags=_asked_for(image.tags, wanted) or ["<none>:<none>"] * bool(not image.digests),
            repo_digests=_asked_for(image.digests, wanted),
            created=_created(image) // 10**9,
            size=image.size,
            virtual_size=image.size,
            labels=image.config.config.labels or None,
            containers=len(used.get(image.id, [])),
        )
        for image in engine.images.all()
        if _matches(engine, image, wanted)
    ]


def _matches(engine: Engine, image: Image, wanted: Mapping[str, list[str]]) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "reference": lambda value: bool(_asked_for([*image.tags, *image.digests], {"reference": [value]})),
        "dangling": lambda value: (value.lower() in ("true", "1")) == (not image.tags),
        "before": lambda value: _created(image) < _created(engine.images.get(value)),
        "since": lambda value: _created(image) > _created(engine.images.get(value)),
        "until": lambda value: _created(image) < units.parse_time(value, 0),
    }
    labels = image.config.config.labels
    for text in wanted.get("label", []):
        name, equals, value = text.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return all(any(test(value) for value in wanted[name]) for name, test in tests.items() if name in wanted)


def _asked_for(names: list[str], wanted: Mapping[str, list[str]]) -> list[str]:
    """Of an image's names those that a ``reference`` filter lets through: ``debian``, ``debian:1*``, ``*/tool``."""
    patterns = wanted.get("reference")
    if patterns is None:
        return names
    return [
        name
        for name in names
        if any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(_without_tag(name), pattern) for pattern in patterns)
    ]


def _without_tag(name: str) -> str:
    head, separator, last = name.partition("@")[0].rpartition("/")
    return head + separator + last.partition(":")[0]


def _created(image: Image) -> int:
    return _nanoseconds(image.config.created)


def _nanoseconds(created: str) -> int:
    """Since 1970; 0 when an image does not say, or says nonsense."""
    try:
        return max(0, units.parse_rfc3339(created)) if created else 0
    except InvalidInput:
        return 0


def inspect(engine: Engine, name: str) -> messages.ImageInspect:
    """``GET /images/NAME/json``. Raises NoSuchImage."""
    image = engine.images.get(name)
    config = image.config
    return messages.ImageInspect(
        id=image.id,
        repo_tags=image.tags,
        repo_digests=image.digests,
        comment=config.comment or (config.history[-1].comment if config.history else ""),
        created=config.created or messages.NEVER,
        docker_version=config.docker_version,
        author=config.author,
        config=_container_config(config.config),
        architecture=config.architecture,
        variant=config.variant or msgspec.UNSET,
        os=config.os,
        size=image.size,
        virtual_size=image.size,
        graph_driver=messages.GraphDriver(data={"Layers": str(engine.config.data_root / "layers")}),
        root_fs=messages.RootFS(layers=list(image.diff_ids)),
        metadata=messages.ImageMetadata(
            last_tag_time=units.format_rfc3339(image.last_tagged_ns) if image.last_tagged_ns else messages.NEVER
        ),
    )


def _container_config(defaults: ContainerDefaults) -> messages.ContainerConfig:
    return messages.ContainerConfig(
        user=defaults.user,
        exposed_ports=defaults.exposed_ports or None,
        env=defaults.env or None,
        cmd=defaults.cmd or None,
        volumes=defaults.volumes or None,
        working_dir=defaults.working_dir,
        entrypoint=defaults.entrypoint or None,
        on_build=defaults.on_build or None,
        labels=defaults.labels or None,
        stop_signal=defaults.stop_signal or None,
        shell=defaults.shell or None,
    )


def history(engine: Engine, name: str) -> list[messages.HistoryLine]:
    """``GET /images/NAME/history``: the last step first; only the topmost has the image's id. Raises NoSuchImage."""
    image = engine.images.get(name)
    sizes = iter([engine.images.layers.size(diff_id) for diff_id in image.diff_ids])
    lines = [
        messages.HistoryLine(
            created=_nanoseconds(step.created) // 10**9,
            created_by=step.created_by,
            size=0 if step.empty_layer else next(sizes, 0),
            comment=step.comment,
        )
        for step in image.config.history
    ]
    lines.reverse()
    if lines:
        lines[0].id, lines[0].tags = image.id, image.tags or None
    return lines


def remove(engine: Engine, name: str, force: bool) -> list[messages.ImageDeleted]:
    """``DELETE /images/NAME``. Raises NoSuchImage, Conflict."""
    users = {
        image_id: [Use(container.id, container.record.running) for container in containers]
        for image_id, containers in engine.images_in_use().items()
    }
    return [
        messages.ImageDeleted(**{line.what.lower(): line.name}) for line in engine.images.remove(name, force, users)
    ]
