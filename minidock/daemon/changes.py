"""``commit --change``, ``import --change``: a few Dockerfile instructions that give a new image its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from minidock.build import settings, words
from minidock.build.parser import parse_instruction
from minidock.errors import InvalidInput
from minidock.oci.image import ContainerDefaults

#: What else a Dockerfile can say is about files.
_ALLOWED = {
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip


def apply(lines: Sequence[str], config: ContainerDefaults = ContainerDefaults()) -> ContainerDefaults:  # noqa: B008
    """The configuration that the instructions make of ``config``. Raises InvalidInput."""
    keywords = set()
    for line in lines:
        keyword = line.split(None, 1)[0].upper()
        if keyword not in _ALLOWED:
            raise InvalidInput(f"{keyword} is not a valid change command")
        variables = dict(entry.partition("=")[::2] for entry in config.env)
        instruction = parse_instruction(line, [])
        config, _ = settings.apply(instruction, config, partial(words.expand, variables=variables))
        keywords.add(keyword)
    # The old command was written for the old entrypoint.
    outdated = "ENTRYPOINT" in keywords and "CMD" not in keywords
    return msgspec.structs.replace(config, cmd=[]) if outdated else config
