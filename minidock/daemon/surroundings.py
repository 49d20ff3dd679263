"""What a container binds of the host's files: before it is created, it is looked at, or made."""

from __future__ import annotations

from pathlib import Path

from minidock.daemon.binds import Attached
from minidock.daemon.container import Container
from minidock.daemon.engine import Engine
from minidock.errors import InvalidInput
from minidock.kernel import mounts


async def prepare(engine: Engine, container: Container) -> None:
    """What it binds is there on the host, and passes mounts on if it shall. Raises InvalidInput."""
    binds = [item for item in container.record.mounts if item.kind == "bind"]
    if binds:
        await engine.host_mounts.change(lambda: _check_sources(binds))


def _check_sources(binds: list[Attached]) -> None:
    for item in binds:
        _check_source(item)


def _check_source(item: Attached) -> None:
    source = Path(item.source)
    if item.make_source:
        _make_source(source)
    elif not source.exists():
        raise InvalidInput(f'invalid mount config for type "bind": bind source path does not exist: {source}')
    kind = item.propagation.removeprefix("r")
    if kind in ("shared", "slave"):
        # The mount that the source is on has to hear of others, or the container would wait for them in vain.
        around = [mount for mount in mounts.mounts("thread-self") if source.is_relative_to(mount.mount_point)]
        last = max(reversed(around), key=lambda mount: len(mount.mount_point))
        heard = last.shared or (kind == "slave" and any(tag.startswith("master:") for tag in last.optional))
        if not heard:
            wanted = "a shared mount" if kind == "shared" else "a shared or slave mount"
            raise InvalidInput(f"path {source} is mounted on {last.mount_point} but it is not {wanted}")


def _make_source(source: Path) -> None:
    try:
        source.mkdir(mode=0o755, parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file may be bound too
    except OSError as error:
        raise InvalidInput(f"error while creating mount source path '{source}': {error.strerror}") from None
