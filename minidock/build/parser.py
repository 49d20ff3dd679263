"""A Dockerfile's text becomes instructions.

Each statement (see :mod:`minidock.build.lines`) has flags and arguments, which are read by the rules of its keyword. An
error says the line.

Source: BuildKit, frontend/dockerfile/parser (line_parsers.go) and instructions (parse.go).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minidock.build import syntax
from minidock.build.lines import directives, raw_words, statements
from minidock.build.syntax import Command, Heredoc, Instruction
from minidock.errors import InvalidInput

MAX_SIZE = 4 * 1024 * 1024
_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")


@dataclass(frozen=True)
class Dockerfile:
    """What was read. ``escape`` is the character that joins lines and takes meanings away."""

    instructions: tuple[Instruction, ...]
    escape: str = "\\"


def parse(text: str) -> Dockerfile:
    """Read a whole Dockerfile. Raises InvalidInput in Docker's words."""
    if len(text) > MAX_SIZE:
        raise InvalidInput(f"Dockerfile of {len(text)} characters: at most {MAX_SIZE} are read")
    if "\0" in text:
        raise InvalidInput("Dockerfile holds a zero byte: it is no text")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    escape = directives(lines)
    found = []
    for statement in statements(lines, escape):
        try:
            found.append(parse_instruction(statement.text, statement.heredocs, escape, statement.line))
        except InvalidInput as error:
            raise InvalidInput(f"dockerfile parse error line {statement.line}: {error}") from None
    if not found:
        raise InvalidInput("failed to parse Dockerfile: file with no instructions")
    return Dockerfile(tuple(found), escape)


def parse_trigger(text: str, escape: str = "\\") -> Instruction:
    """One instruction that an image holds for those who build on it. Raises InvalidInput."""
    for statement in statements(text.split("\n"), escape):
        return parse_instruction(statement.text, statement.heredocs, escape)
    raise InvalidInput("ONBUILD trigger is empty")


def parse_instruction(text: str, heredocs: list[Heredoc], escape: str = "\\", line: int = 0) -> Instruction:
    """One statement becomes an instruction. Raises InvalidInput."""
    keyword, *others = text.split(None, 1)
    reader = _READERS.get(keyword.upper())
    if reader is None:
        raise InvalidInput(f"unknown instruction: {keyword.upper()}")
    kind, read = reader
    flags, rest = _flags(kind, "".join(others).strip(), escape)
    if not rest:
        raise InvalidInput(
            f"{kind.keyword} requires {'exactly' if read in (_text, _from) else 'at least'} one argument"
        )
    fields = flags | read(kind.keyword, rest, escape)
    return kind(line=line, written=text.strip(), heredocs=tuple(heredocs), **fields)


# ------------------------------------------------------------------------------------------------ words of a statement


def _flags(kind: type[Instruction], text: str, escape: str) -> tuple[dict[str, Any], str]:
    """The ``--name=value`` words in front, and what comes after them."""
    fields = {field.metadata["flag"]: field for field in dataclasses.fields(kind) if "flag" in field.metadata}
    found: dict[str, Any] = {}
    while text.startswith("--"):
        word = raw_words(text, escape)[0]
        text = text[len(word) :].lstrip()
        if word == "--":
            break
        name, equals, value = _unquoted(word[2:], escape).partition("=")
        if name not in fields:
            raise InvalidInput(f"unknown flag: --{name}")
        field = fields[name]
        if isinstance(field.default, tuple):
            found[field.name] = (*found.get(field.name, ()), value)
        elif field.name in found:
            raise InvalidInput(f"duplicate flag specified: {name}")
        elif isinstance(field.default, bool | None):
            if value.lower() not in ("", "true", "false"):
                raise InvalidInput(f"expecting boolean value for flag {name}, not: {value}")
            found[field.name] = value.lower() != "false"
        else:
            found[field.name] = value
        if not equals and not isinstance(field.default, bool | None):
            raise InvalidInput(f"missing a value on flag: --{name}")
    return found, text


def _unquoted(word: str, escape: str) -> str:
    """A flag without its quotes and escapes; a variable in it is left for later."""
    one = re.escape(escape)

    def meaning(match: re.Match[str]) -> str:
        return re.sub(rf"(?s){one}(.)", r"\1", "".join(filter(None, match.groups())))

    # Quotes within quotes of the other kind are text: --mount='type=bind,"source=a,b",target=/x'
    return re.sub(rf"""(?s)'([^']*)'|"((?:{one}.|[^"{one}])*)"|({one}.)|['"]""", meaning, word)


def _json_list(text: str) -> tuple[str, ...] | None:
    """``["a", "b"]``, or None if it is something else. What follows the list is ignored, as Docker does."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text.lstrip()) if text.lstrip().startswith("[") else (None, 0)
    except ValueError:
        return None
    if found is None:
        return None
    if not all(isinstance(word, str) for word in found):
        raise InvalidInput("only string type is allowed in JSON array")
    return tuple(found)


def _words_or_json(text: str) -> tuple[str, ...]:
    words = _json_list(text)
    return tuple(text.split()) if words is None else words


def _command(text: str) -> Command:
    words = _json_list(text)
    return Command((text,), shell=True) if words is None else Command(words)


# ------------------------------------------------------------------------------------------------ one keyword each


def _from(_: str, rest: str, __: str) -> dict[str, Any]:
    parts = rest.split()
    if len(parts) == 3 and parts[1].upper() == "AS":
        name = parts[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise InvalidInput(
                f'invalid name for build stage: "{parts[2]}", name can\'t start with a number or contain symbols'
            )
        return {"image": parts[0], "name": name}
    if len(parts) != 1:
        raise InvalidInput("FROM requires either one or three arguments")
    return {"image": parts[0]}


def _run(keyword: str, rest: str, _: str) -> dict[str, Any]:
    command = _command(rest)
    if not command.words:
        raise InvalidInput(f"{keyword} requires at least one argument")
    return {"command": command}


def _program(_: str, rest: str, __: str) -> dict[str, Any]:
    return {"command": _command(rest)}


def _shell(keyword: str, rest: str, _: str) -> dict[str, Any]:
    words = _json_list(rest)
    if not words:
        raise InvalidInput(f"{keyword} requires the arguments to be in JSON form")
    return {"command": Command(words)}


def _copy(keyword: str, rest: str, _: str) -> dict[str, Any]:
    *sources, destination = _words_or_json(rest) or ("",)
    if not sources:
        raise InvalidInput(f"{keyword} requires at least two arguments, but only one was provided")
    return {"sources": tuple(sources), "destination": destination}


def _pairs(keyword: str, rest: str, escape: str) -> dict[str, Any]:
    words = raw_words(rest, escape)
    if "=" not in words[0]:
        name, *value = rest.split(None, 1)
        if not value:
            raise InvalidInput(f"{keyword} must have two arguments")
        return {"pairs": ((name, value[0]),)}
    for word in words:
        if "=" not in word:
            raise InvalidInput(f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value')
        if word.startswith("="):
            raise InvalidInput(f"{keyword} names can not be blank")
    return {"pairs": tuple((name, value) for name, _, value in (word.partition("=") for word in words))}


def _arg(_: str, rest: str, escape: str) -> dict[str, Any]:
    found = []
    for word in raw_words(rest, escape):
        name, equals, value = word.partition("=")
        if not name:
            raise InvalidInput("ARG names can not be blank")
        found.append((name, value if equals else None))
    return {"names": tuple(found)}


def _text(_: str, rest: str, __: str) -> dict[str, Any]:
    return {"value": rest}


def _expose(_: str, rest: str, __: str) -> dict[str, Any]:
    return {"ports": tuple(rest.split())}


def _volume(keyword: str, rest: str, __: str) -> dict[str, Any]:
    paths = _words_or_json(rest)
    if not paths:
        raise InvalidInput(f"{keyword} requires at least one argument")
    if not all(path.strip() for path in paths):
        raise InvalidInput("VOLUME specified can not be an empty string")
    return {"paths": paths}


def _health(_: str, rest: str, __: str) -> dict[str, Any]:
    kind, *command = rest.split(None, 1)
    if kind.upper() == "NONE":
        if command:
            raise InvalidInput("HEALTHCHECK NONE takes no arguments")
        return {}
    if kind.upper() != "CMD":
        raise InvalidInput(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    if not command:
        raise InvalidInput("missing command after HEALTHCHECK CMD")
    return {"command": _command(command[0])}


def _on_build(_: str, rest: str, __: str) -> dict[str, Any]:
    keyword = rest.split(None, 1)[0].upper()
    if keyword == "ONBUILD":
        raise InvalidInput("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("FROM", "MAINTAINER"):
        raise InvalidInput(f"{keyword} isn't allowed as an ONBUILD trigger")
    if keyword not in _READERS:
        raise InvalidInput(f"unknown instruction: {keyword}")
    return {"value": rest}


_READERS: dict[str, tuple[type[Instruction], Callable[[str, str, str], dict[str, Any]]]] = {
    "ADD": (syntax.Add, _copy),
    "ARG": (syntax.Arg, _arg),
    "CMD": (syntax.Cmd, _program),
    "COPY": (syntax.Copy, _copy),
    "ENTRYPOINT": (syntax.Entrypoint, _program),
    "ENV": (syntax.Env, _pairs),
    "EXPOSE": (syntax.Expose, _expose),
    "FROM": (syntax.From, _from),
    "HEALTHCHECK": (syntax.HealthCheck, _health),
    "LABEL": (syntax.Label, _pairs),
    "MAINTAINER": (syntax.Maintainer, _text),
    "ONBUILD": (syntax.OnBuild, _on_build),
    "RUN": (syntax.Run, _run),
    "SHELL": (syntax.Shell, _shell),
    "STOPSIGNAL": (syntax.StopSignal, _text),
    "USER": (syntax.User, _text),
    "VOLUME": (syntax.Volume, _volume),
    "WORKDIR": (syntax.Workdir, _text),
}
