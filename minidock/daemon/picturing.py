"""Images as Docker's clients want to see them: ``images``, ``inspect``, ``history``, ``rmi``, ``image prune``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import msgspec

from minidock import globs, messages, units
from minidock.daemon.engine import Engine
from minidock.errors import Conflict, InvalidInput, NoSuchImage
from minidock.images import Deletion, Image
from minidock.images.removal import Use
from minidock.oci.image import ContainerDefaults


def summaries(
    engine: Engine, wanted: Mapping[str, list[str]], shared_size: bool = False
) -> list[messages.ImageSummary]:
    """``GET /images/json``: newest first. With ``shared_size`` also how much of each others have too, else -1."""
    used = engine.images_in_use()
    images = engine.images.all()
    having = Counter(diff_id for image in images for diff_id in set(image.diff_ids))
    return [
        messages.ImageSummary(
            id=image.id,
            repo_tags=_asked_for(image.tags, wanted),
            repo_digests=_asked_for(image.digests, wanted),
            created=_created(image) // 10**9,
            size=image.size,
            shared_size=_size(engine, {d for d in image.diff_ids if having[d] > 1}) if shared_size else -1,
            virtual_size=image.size,
            labels=image.config.config.labels or None,
            containers=len(used.get(image.id, [])),
        )
        for image in images
        if _matches(engine, image, wanted)
    ]


def _size(engine: Engine, diff_ids: set[str]) -> int:
    return sum(engine.images.layers.size(diff_id) for diff_id in diff_ids)


def _matches(engine: Engine, image: Image, wanted: Mapping[str, list[str]]) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "reference": lambda value: bool(_asked_for([*image.tags, *image.digests], {"reference": [value]})),
        "dangling": lambda value: (value.lower() in ("true", "1")) == (not image.tags),
        "before": lambda value: _created(image) < _created(engine.images.get(value)),
        "since": lambda value: _created(image) > _created(engine.images.get(value)),
        "until": lambda value: _created(image) < units.parse_time(value, time.time_ns()),
    }
    labels = image.config.config.labels
    if not all(_has_label(labels, text) for text in wanted.get("label", [])):
        return False
    if any(_has_label(labels, text) for text in wanted.get("label!", [])):
        return False
    return all(any(test(value) for value in wanted[name]) for name, test in tests.items() if name in wanted)


def _has_label(labels: Mapping[str, str], text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in labels and (not equals or labels[name] == value)


def _asked_for(names: list[str], wanted: Mapping[str, list[str]]) -> list[str]:
    """Of an image's names those that a ``reference`` filter lets through: ``debian``, ``debian:1*``, ``*/tool``."""
    patterns = wanted.get("reference")
    if patterns is None:
        return names
    tests = [globs.compiled(pattern) for pattern in patterns]
    return [name for name in names if any(test(name) or test(_without_tag(name)) for test in tests)]


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
        config=container_config(config.config),
        architecture=config.architecture,
        variant=config.variant or msgspec.UNSET,
        os=config.os,
        size=image.size,
        virtual_size=image.size,
        graph_driver=messages.GraphDriver(data=_directories(engine, image)),
        root_fs=messages.RootFS(layers=list(image.diff_ids)),
        metadata=messages.ImageMetadata(
            last_tag_time=units.format_rfc3339(image.last_tagged_ns) if image.last_tagged_ns else messages.NEVER
        ),
    )


def _directories(engine: Engine, image: Image) -> dict[str, str]:
    """Where the layers are unpacked, as an overlay would have them: the topmost, and those below it."""
    *lower, upper = ["", *(str(engine.images.layers.path(diff_id)) for diff_id in image.diff_ids)]
    return {"LowerDir": ":".join(reversed(lower[1:])), "UpperDir": upper}


def container_config(defaults: ContainerDefaults) -> messages.ContainerConfig:
    """What an image says of its containers, in the API's form."""
    check = defaults.healthcheck
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
        stop_timeout=defaults.stop_timeout,
        healthcheck=messages.HealthConfig(**msgspec.structs.asdict(check)) if check else None,
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


def remove(engine: Engine, name: str, force: bool) -> list[Deletion]:
    """``DELETE /images/NAME``. Raises NoSuchImage, Conflict."""
    users = {
        image_id: [Use(container.id, container.record.running) for container in containers]
        for image_id, containers in engine.images_in_use().items()
    }
    return engine.images.remove(name, force, users)


def deleted(lines: Iterable[Deletion]) -> list[messages.ImageDeleted]:
    """What was removed, in the API's form."""
    return [messages.ImageDeleted(**{line.what.lower(): line.name}) for line in lines]


def prune(engine: Engine, wanted: Mapping[str, list[str]]) -> tuple[list[Deletion], int]:
    """``POST /images/prune``: the images without any name, or with ``dangling=false`` all that no container uses.

    What was removed, and how many bytes the files of the layers had that are gone.
    """
    only_dangling = all(value.lower() not in ("false", "0") for value in wanted.get("dangling", []))
    wanted = {name: values for name, values in wanted.items() if name != "dangling"}
    used = engine.images_in_use()
    before = {diff_id for image in engine.images.all() for diff_id in image.diff_ids}
    sizes = {diff_id: engine.images.layers.size(diff_id) for diff_id in before}
    removed: list[Deletion] = []
    for image in engine.images.all():
        if image.id in used or (only_dangling and image.names) or not _matches(engine, image, wanted):
            continue
        with suppress(NoSuchImage, Conflict):  # somebody else was faster, or uses it now
            removed += remove(engine, image.id, force=True)
    after = {diff_id for image in engine.images.all() for diff_id in image.diff_ids}
    return removed, sum(sizes[diff_id] for diff_id in before - after)
