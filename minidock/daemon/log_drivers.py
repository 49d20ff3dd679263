"""Where a container's output is kept: ``json-file``, ``local`` or ``none``, and their options.

``json-file`` is Docker's format, to be read by whoever knows it. ``local`` is for reading through the daemon only,
which lets us keep it in the same format: what differs is where it is, and that it is turned over and packed by default.

A log without a limit fills the disk. Docker lets it; here ``json-file`` without ``max-size`` keeps its last gigabyte.

Source: moby, ``daemon/logger``; the texts too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from minidock import units
from minidock.containers.wire import LogOptions
from minidock.daemon.records import Record
from minidock.errors import InvalidInput, NotImplementedYet
from minidock.messages import LogConfig
from minidock.patterns import Pattern

ALL = ("json-file", "local", "none")
ELSEWHERE = ("syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "etwlogs", "gcplogs", "logentries")
"""Drivers of Docker's that send the output to other programs."""
_SIZE, _ATTRIBUTES = ("max-size", "max-file", "compress"), ("labels", "labels-regex", "env", "env-regex", "tag")
OPTIONS = {"json-file": (*_SIZE, *_ATTRIBUTES), "local": _SIZE, "none": ()}
UNLIMITED = {"max-size": "500m", "max-file": "2"}
LOCAL = {"max-size": str(20 << 20), "max-file": "5", "compress": "true"}


def check(config: LogConfig) -> None:
    """Raises InvalidInput in Docker's words, NotImplementedYet for drivers and options that minidock lacks."""
    if config.type in ELSEWHERE:
        raise NotImplementedYet(f"log driver {config.type!r}: minidock does not have this, only {', '.join(ALL)}")
    if config.type not in ALL:
        raise InvalidInput(f'error looking up logging plugin {config.type}: plugin "{config.type}" not found')
    if config.type == "none":
        return  # options are for whoever reads them
    if config.config.get("mode", "blocking") != "blocking":
        raise NotImplementedYet(f"log mode {config.config['mode']!r}: minidock has only 'blocking'")
    for key in config.config:
        if key not in (*OPTIONS[config.type], "mode"):
            whose = "json-file log driver" if config.type == "json-file" else f"log driver {config.type}"
            raise InvalidInput(f"unknown log opt '{key}' for {whose}")
    try:
        _limits(config)
    except InvalidInput as error:
        raise InvalidInput(f"failed to initialize logging driver: {error}") from None
    for text in re.findall("{{.*?}}", config.config.get("tag", "")):
        if text.strip("{}. ") not in _TAGS:
            raise InvalidInput(f"log tag: minidock knows {', '.join(f'{{{{.{name}}}}}' for name in _TAGS)}, not {text}")


def log_path(record: Record, bundle: Path) -> Path | None:
    """The log's file; None when nothing is kept."""
    kind = record.host.log_config.type
    if kind == "none":
        return None
    return bundle / "local-logs" / "container.log" if kind == "local" else bundle / f"{record.id}-json.log"


def options(record: Record) -> LogOptions:
    """What the container's shim has to know."""
    limits = _limits(record.host.log_config)
    if record.host.log_config.type == "none" or not (found := _attributes(record)):
        return limits
    text = json.dumps(dict(sorted(found.items())), separators=(",", ":"))
    return LogOptions(max_bytes=limits.max_bytes, files=limits.files, compress=limits.compress, attributes=text)


def _limits(config: LogConfig) -> LogOptions:
    """How large and how many. ``max-size`` counts in powers of 1000, as Docker's does."""
    said = config.config
    defaults = LOCAL if config.type == "local" else {} if "max-size" in said else UNLIMITED
    chosen = defaults | {key: said[key] for key in _SIZE if key in said}
    size = units.parse_size(chosen["max-size"], base=1000)
    if size <= 0:
        raise InvalidInput("max-size must be a positive number")
    try:
        files = int(chosen.get("max-file", "1"))
    except ValueError:
        raise InvalidInput(f'strconv.Atoi: parsing "{chosen["max-file"]}": invalid syntax') from None
    if files < 1:
        raise InvalidInput("max-file cannot be less than 1")
    compress = chosen.get("compress", "false")
    if compress.lower() not in ("1", "t", "true", "0", "f", "false"):
        raise InvalidInput(f'strconv.ParseBool: parsing "{compress}": invalid syntax')
    packed = compress.lower() in ("1", "t", "true")
    if config.type == "json-file" and packed and (files == 1 or "max-size" not in said):
        raise InvalidInput("compress cannot be true when max-file is less than 2 or max-size is not set")
    return LogOptions(max_bytes=size, files=files, compress=packed and files > 1)


_TAGS = ("ID", "FullID", "Name", "ImageName", "ImageID", "ImageFullID", "DaemonName")


def _attributes(record: Record) -> dict[str, str]:
    """What ``docker logs --details`` shows: some labels, some variables, a tag."""
    said = record.host.log_config.config
    variables = dict(entry.partition("=")[::2] for entry in record.config.env or [])
    found: dict[str, str] = {}
    for option, values in (("labels", record.config.labels or {}), ("env", variables)):
        names, expression = said.get(option, "").split(","), said.get(f"{option}-regex", "")
        wanted = Pattern(expression).occurs_in if expression else names.__contains__
        found |= {key: value for key, value in values.items() if key in names or wanted(key)}
    if tag := said.get("tag"):
        image = record.image_id.partition(":")[2]
        known = (record.id[:12], record.id, record.name, record.image, image[:12], record.image_id, "minidock")
        meaning = dict(zip(_TAGS, known, strict=True))
        found["tag"] = re.sub(r"{{\s*\.(\w+)\s*}}", lambda match: meaning[match[1]], tag)
    return found
