"""``commit --change``, ``import --change``: a few Dockerfile instructions that give a new image its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from minidock.build import parser, settings, words
from minidock.oci.image import ContainerDefaults


def apply(lines: Sequence[str], config: ContainerDefaults = ContainerDefaults()) -> ContainerDefaults:  # noqa: B008
    """The configuration that the instructions make of ``config``. Raises InvalidInput."""
    keywords = set()
    for line in lines:
        instruction = parser.parse_trigger(line)
        variables = dict(entry.partition("=")[::2] for entry in config.env)
        config, _ = settings.apply(instruction, config, partial(words.expand, variables=variables))
        keywords.add(instruction.keyword)
    # The old command was written for the old entrypoint.
    outdated = "ENTRYPOINT" in keywords and "CMD" not in keywords
    return msgspec.structs.replace(config, cmd=[]) if outdated else config
