"""What ``POST /build?minidock=1`` tells: steps, their output and their times, for a client that draws them.

Docker's classic endpoint knows only text. Ours says the same as :class:`BuildEvent`, in each line's field ``build``.
"""

from __future__ import annotations

from msgspec import Struct

from minidock.messages.document import Message


class BuildEvent(Struct, omit_defaults=True, kw_only=True, rename="camel"):
    """One thing that happened. ``step`` counts from 1 to ``total``; several steps may be under way at once.

    ``kind`` is one of::

        plan      total: the steps that there will be
        started   step, stage (its name or number), text (the instruction as written, on one line)
        output    step, stream ("stdout", "stderr"), text (what a RUN wrote, in pieces as they come)
        status    step, text (a base image is pulled, a file downloaded)
        done      step, cached, seconds, image (what the image's id would be if this were the last step)
        failed    step, text, seconds; the stream's last line is the error
        cancelled step, seconds: another step failed
        image     image (the id), names, seconds: the end
    """

    kind: str
    step: int = 0
    total: int = 0
    stage: str = ""
    text: str = ""
    stream: str = ""
    cached: bool = False
    seconds: float = 0
    container: str = ""
    """Only in the text of Docker's form: ``running`` and ``removed`` name a RUN's container."""
    image: str = ""
    names: list[str] = []


class BuildSecrets(Message):
    """``POST /build/secrets``: what ``RUN --mount=type=secret`` may read, by id, in base64. Kept in memory only."""

    secrets: dict[str, str]


class BuildSecretsKept(Message):
    """Its answer: ``POST /build?secrets=ID`` may use them, once, within ten minutes."""

    id: str


class BuildPruned(Message):
    """``POST /build/prune``."""

    caches_deleted: list[str] = []
    space_reclaimed: int = 0
