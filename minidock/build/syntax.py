"""A Dockerfile as data: one frozen class for each instruction. ``str()`` writes an instruction down again.

Nothing is expanded here: words are as they were written, quotes and variables and all. Flags (``--chown=…``) are fields
made with :func:`_flag`, so that reading and writing them is one piece of code for all instructions.

Source: https://docs.docker.com/reference/dockerfile/.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

_SPECIAL = re.compile(r"""[\s"'\\]""")


def _flag(name: str, default: Any = "") -> Any:
    """A field that is written as ``--name=value``, or ``--name`` if it is a bool (or None for neither).

    A tuple is a flag that repeats.
    """
    return dataclasses.field(default=default, metadata={"flag": name})


@dataclass(frozen=True)
class Command:
    """A command in exec form (a list of words) or in shell form (one text, for a shell)."""

    words: tuple[str, ...]
    shell: bool = False

    def __str__(self) -> str:
        return self.words[0] if self.shell else json.dumps(self.words)


@dataclass(frozen=True)
class Heredoc:
    """``<<NAME`` and the lines up to ``NAME``. ``verbatim``: the name was quoted, so that nothing in it is expanded.

    ``strips_tabs``: written ``<<-NAME``; the tabs are still in ``content``.
    """

    name: str
    content: str
    verbatim: bool = False
    strips_tabs: bool = False

    @property
    def text(self) -> str:
        """The content, without leading tabs if so wished."""
        return re.sub(r"(?m)^\t+", "", self.content) if self.strips_tabs else self.content

    def __str__(self) -> str:
        return f"{self.content}{self.name}\n"


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """Any instruction. ``line`` is where it begins, from 1; ``written`` how it was written, on one line."""

    keyword: ClassVar[str]
    line: int = dataclasses.field(default=0, compare=False)
    written: str = dataclasses.field(default="", compare=False)
    heredocs: tuple[Heredoc, ...] = ()

    def arguments(self) -> str:
        """What stands after the flags."""
        raise NotImplementedError

    def __str__(self) -> str:
        words = [self.keyword, *self._flags(), self.arguments()]
        return " ".join(filter(None, words)) + "".join(["\n" * bool(self.heredocs), *map(str, self.heredocs)])

    def _flags(self) -> Iterator[str]:
        for field in dataclasses.fields(self):
            name, value = field.metadata.get("flag"), getattr(self, field.name)
            if name is None or value == field.default:
                continue
            for item in value if isinstance(value, tuple) else [value]:
                if isinstance(item, bool):
                    yield f"--{name}" if item else f"--{name}=false"
                else:
                    yield f"--{name}=" + _SPECIAL.sub(r"\\\g<0>", item)


@dataclass(frozen=True, kw_only=True)
class From(Instruction):
    """A stage begins."""

    keyword = "FROM"
    image: str
    name: str = ""
    platform: str = _flag("platform")

    def arguments(self) -> str:
        return f"{self.image} AS {self.name}" if self.name else self.image


@dataclass(frozen=True, kw_only=True)
class Run(Instruction):
    """A command is run, and what it changed is a layer."""

    keyword = "RUN"
    command: Command
    mounts: tuple[str, ...] = _flag("mount", ())
    network: str = _flag("network")
    security: str = _flag("security")

    def arguments(self) -> str:
        return str(self.command)


@dataclass(frozen=True, kw_only=True)
class Copy(Instruction):
    """Files of the context, of another stage or of an image are copied."""

    keyword = "COPY"
    sources: tuple[str, ...]
    destination: str
    source_stage: str = _flag("from")
    chown: str = _flag("chown")
    chmod: str = _flag("chmod")
    link: bool = _flag("link", False)
    parents: bool = _flag("parents", False)
    exclude: tuple[str, ...] = _flag("exclude", ())

    def arguments(self) -> str:
        return _list([*self.sources, self.destination])


@dataclass(frozen=True, kw_only=True)
class Add(Instruction):
    """The same, but archives are unpacked, and a source may be a URL."""

    keyword = "ADD"
    sources: tuple[str, ...]
    destination: str
    chown: str = _flag("chown")
    chmod: str = _flag("chmod")
    link: bool = _flag("link", False)
    exclude: tuple[str, ...] = _flag("exclude", ())
    checksum: str = _flag("checksum")
    keep_git_dir: bool = _flag("keep-git-dir", False)
    unpack: bool | None = _flag("unpack", None)
    """None: archives of the context are unpacked, those from the web are not."""

    def arguments(self) -> str:
        return _list([*self.sources, self.destination])


@dataclass(frozen=True, kw_only=True)
class _Pairs(Instruction):
    pairs: tuple[tuple[str, str], ...]

    def arguments(self) -> str:
        (name, value), *others = self.pairs
        if not others and "=" not in name and not re.fullmatch(r"(\\.|[^\s\\\"'])*", value):
            return f"{name} {value}"  # the old form, whose value is the whole rest
        return " ".join(f"{name}={value}" for name, value in self.pairs)


@dataclass(frozen=True, kw_only=True)
class Env(_Pairs):
    """Variables for what is built and for what will run."""

    keyword = "ENV"


@dataclass(frozen=True, kw_only=True)
class Label(_Pairs):
    """Remarks on the image."""

    keyword = "LABEL"


@dataclass(frozen=True, kw_only=True)
class Arg(Instruction):
    """Variables that whoever builds may set; without a default the value is None."""

    keyword = "ARG"
    names: tuple[tuple[str, str | None], ...]

    def arguments(self) -> str:
        return " ".join(name if value is None else f"{name}={value}" for name, value in self.names)


@dataclass(frozen=True, kw_only=True)
class _Text(Instruction):
    value: str

    def arguments(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class User(_Text):
    """Who runs what comes."""

    keyword = "USER"


@dataclass(frozen=True, kw_only=True)
class Workdir(_Text):
    """Where what comes is run; made if it is not there."""

    keyword = "WORKDIR"


@dataclass(frozen=True, kw_only=True)
class StopSignal(_Text):
    """How the program is asked to end."""

    keyword = "STOPSIGNAL"


@dataclass(frozen=True, kw_only=True)
class Maintainer(_Text):
    """Who made it (old)."""

    keyword = "MAINTAINER"


@dataclass(frozen=True, kw_only=True)
class OnBuild(_Text):
    """An instruction, as text, for whoever builds on this image."""

    keyword = "ONBUILD"


@dataclass(frozen=True, kw_only=True)
class Expose(Instruction):
    """Ports that the program listens on."""

    keyword = "EXPOSE"
    ports: tuple[str, ...]

    def arguments(self) -> str:
        return " ".join(self.ports)


@dataclass(frozen=True, kw_only=True)
class Volume(Instruction):
    """Directories whose content outlives the container."""

    keyword = "VOLUME"
    paths: tuple[str, ...]

    def arguments(self) -> str:
        return _list(self.paths)


@dataclass(frozen=True, kw_only=True)
class _Program(Instruction):
    command: Command

    def arguments(self) -> str:
        return str(self.command)


@dataclass(frozen=True, kw_only=True)
class Cmd(_Program):
    """What is run when nobody says otherwise, or the entrypoint's arguments."""

    keyword = "CMD"


@dataclass(frozen=True, kw_only=True)
class Entrypoint(_Program):
    """What is run."""

    keyword = "ENTRYPOINT"


@dataclass(frozen=True, kw_only=True)
class Shell(_Program):
    """Which shell runs commands in shell form."""

    keyword = "SHELL"


@dataclass(frozen=True, kw_only=True)
class HealthCheck(Instruction):
    """How to find out whether the program is well; without a command, that nobody shall."""

    keyword = "HEALTHCHECK"
    command: Command | None = None
    interval: str = _flag("interval")
    timeout: str = _flag("timeout")
    start_period: str = _flag("start-period")
    start_interval: str = _flag("start-interval")
    retries: str = _flag("retries")

    def arguments(self) -> str:
        return f"CMD {self.command}" if self.command else "NONE"


def _list(words: Iterable[str]) -> str:
    """Words in a row, or as JSON if they could not be told apart."""
    words = list(words)
    plain = all(word and not re.search(r"\s|\\$", word) for word in words) and not words[0].startswith(("[", "--"))
    return " ".join(words) if plain else json.dumps(words)
