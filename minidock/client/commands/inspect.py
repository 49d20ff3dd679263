"""``inspect``: everything that the daemon knows about one thing, or a template's view of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flag, Flags, table
from minidock.client.go_types import typed
from minidock.client.listing import VIEW
from minidock.client.template import Template, TemplateError, parse_format
from minidock.client.template_functions import to_json
from minidock.errors import ErrorFromDaemon, InvalidInput, MinidockError, NotFound

# In the API's order: the first that knows the name wins.
_PLACES = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}
_TYPES = {
    "container": "container.InspectResponse",
    "image": "image.InspectResponse",
    "network": "network.Inspect",
    "volume": "volume.Volume",
}


def _inspector(context: Context, kind: str, size: bool) -> Callable[[str], dict[str, Any]]:
    """A function that finds a thing by its name. Raises NotFound when no kind of thing has it."""

    def look(name: str) -> dict[str, Any]:
        for known, place in _PLACES.items():
            if kind not in ("", known):
                continue
            query = {"size": size} if known == "container" else None
            try:
                document = context.client.request("GET", place.format(segment(name)), query).json()
            except ErrorFromDaemon as error:
                if kind or error.status not in (404, 501):
                    raise
            else:
                return dict(document)
        raise NotFound(f"Error: No such object: {name}")

    return look


def inspect(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock inspect``: a JSON list of all that was found, or one line for each. 1 when something was not."""
    kind = flags["type"] or ""
    if kind and kind not in _PLACES:
        known = ", ".join(f'"{place}"' for place in _PLACES)
        raise InvalidInput(f'unknown type: "{kind}": must be one of {known}')
    return _show(_inspector(context, kind, flags.get("size", False)), flags["format"], arguments)


def _show(look: Callable[[str], dict[str, Any]], form: str, names: list[str]) -> int:
    template = parse_format(form) if form not in ("", "json") else None
    found: list[dict[str, Any]] = []
    failures: list[MinidockError] = []
    for name in names:
        try:
            document = look(name)
            if template:
                _print(template, document)
            found.append(document)
        except (ErrorFromDaemon, NotFound, TemplateError) as error:
            failures.append(error)
    if form == "json":
        print(to_json(found))
    elif not template:
        print(json.dumps(found, indent=4, ensure_ascii=False))
    sys.stdout.flush()
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _print(template: Template, document: dict[str, Any]) -> None:
    """Print a template's view of the document with Go's types, or else of the document as it is: so does Docker."""
    try:
        text = template.render(typed(document, _TYPES[_kind(document)]))
    except TemplateError:
        try:
            text = template.render(document)
        except TemplateError as error:
            print()
            raise TemplateError(f"template parsing error: {error}") from None
    print(text)


def _kind(document: dict[str, Any]) -> str:
    """What kind of thing the API told about."""
    marks = {"HostConfig": "container", "RootFS": "image", "IPAM": "network"}
    return next((kind for mark, kind in marks.items() if mark in document), "volume")


def _of_kind(kind: str) -> Callable[[Context, Flags, list[str]], int]:
    """``minidock KIND inspect``."""

    def run(context: Context, flags: Flags, names: list[str]) -> int:
        context.client.since(flags, "platform", "1.49")
        return _show(_inspector(context, kind, flags.get("size", False)), flags["format"], names)

    return run


_PLATFORM = Flag(
    "platform",
    "",
    "string",
    "Inspect a specific platform of the multi-platform image.\n"
    "If the image or the server is not multi-platform capable, "
    "the command will error out if the platform does not match.\n"
    "'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    "",
)

INSPECT = Command(
    "inspect",
    "[OPTIONS] NAME|ID [NAME|ID...]",
    "Return low-level information on Docker objects",
    inspect,
    (
        VIEW,
        *table("""
    -s, --size          Display total file sizes if the type is container
        --type string   Only inspect objects of the given type
        """),
    ),
)
CONTAINER = Command(
    "container inspect",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Display detailed information on one or more containers",
    _of_kind("container"),
    (VIEW, *table("-s, --size  Display total file sizes")),
)
IMAGE = Command(
    "image inspect",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Display detailed information on one or more images",
    _of_kind("image"),
    (VIEW, _PLATFORM),
)
NETWORK = Command(
    "network inspect",
    "[OPTIONS] NETWORK [NETWORK...]",
    "Display detailed information on one or more networks",
    _of_kind("network"),
    (VIEW, *table("-v, --verbose  Verbose output for diagnostics")),
)
VOLUME = Command(
    "volume inspect",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Display detailed information on one or more volumes",
    _of_kind("volume"),
    (VIEW,),
)
