"""``context``: names for daemons."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from minidock.client import config, contexts
from minidock.client.commands.containers import for_each
from minidock.client.commands.system import formatted
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, boolean, pairs, split_commas, table
from minidock.client.listing import FORMAT, VIEW, show
from minidock.client.template import Record
from minidock.errors import InvalidInput

_DEFAULT = {"Name": contexts.DEFAULT, "Metadata": {"Description": "Current DOCKER_HOST based configuration"}}


class Row(Record):
    """One context."""

    type_name = "*formatter.clientContextContext"


HEADINGS = Row(Current="", Description="DESCRIPTION", DockerEndpoint="DOCKER ENDPOINT", Error="ERROR", Name="NAME")


def ls(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context ls``."""
    default = _DEFAULT | {"Endpoints": {"docker": {"Host": context.from_environment}}}
    rows = [
        Row(
            Current=document["Name"] == context.name,
            Description=document["Metadata"].get("Description", ""),
            DockerEndpoint=document["Endpoints"].get("docker", {}).get("Host", ""),
            Error="",
            Name=document["Name"],
        )
        for document in sorted([default, *contexts.every()], key=lambda one: str(one["Name"]))
    ]
    columns = "{{.Name}}{{if eq .Current true}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"
    show(rows, HEADINGS, "{{.Name}}" if flags["quiet"] else flags["format"], columns)
    return 0


def current(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context show``."""
    print(context.name)
    return 0


def use(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context use``."""
    name = arguments[0]
    document = config.read()
    if name == contexts.DEFAULT:
        document.pop("currentContext", None)
    else:
        contexts.read(name)
        document["currentContext"] = name
    config.write(document)
    print(name)
    print(f'Current context is now "{name}"', file=sys.stderr)
    return 0


def create(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context create``."""
    name = arguments[0]
    check_name(name)
    if flags["docker"] and flags["from"]:
        raise InvalidInput("cannot use --docker flag when --from is set")
    endpoint, files = _endpoint(context, flags["docker"], flags["from"])
    description = {"Description": flags["description"]} if flags["description"] else {}
    contexts.write({"Name": name, "Metadata": description, "Endpoints": {"docker": endpoint}}, files)
    print(name)
    print(f'Successfully created context "{name}"', file=sys.stderr)
    return 0


def update(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context update``: what is given of an endpoint replaces all of it, certificates too."""
    name = arguments[0]
    if name == contexts.DEFAULT:
        raise InvalidInput('"default" is a reserved context name')
    document, files = contexts.read(name), None
    if flags["description"]:
        document["Metadata"]["Description"] = flags["description"]
    if flags["docker"]:
        document["Endpoints"]["docker"], files = _endpoint(context, flags["docker"], "")
    contexts.write(document, files)
    print(name)
    print(f'Successfully updated context "{name}"', file=sys.stderr)
    return 0


def _endpoint(context: Context, words: list[str], source: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """``--docker``: where the daemon is, and its certificates by their files' names. Raises InvalidInput, NotFound."""
    options = pairs([part for text in words for part in split_commas(text)])
    source = options.pop("from", source)
    endpoint: dict[str, Any] = contexts.read(source)["Endpoints"]["docker"] if source else {}
    endpoint = {"Host": options.pop("host", endpoint.get("Host", context.from_environment))} | endpoint
    endpoint["SkipTLSVerify"] = boolean(options.pop("skip-tls-verify", "false"))
    files = {f"{one}.pem": read_file(options.pop(one)) for one in contexts.FILES if one in options}
    if options:
        raise InvalidInput(f"unable to create docker endpoint config: unrecognized config key: {next(iter(options))}")
    return endpoint, files


def check_name(name: str) -> None:
    """May a new context have this name? Raises InvalidInput."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+", name):
        raise InvalidInput(f'context name "{name}" is invalid, names are validated against regexp "{_NAMES}"')
    if name == contexts.DEFAULT or any(one["Name"] == name for one in contexts.every()):
        reserved = name == contexts.DEFAULT
        raise InvalidInput('"default" is a reserved context name' if reserved else f'context "{name}" already exists')


_NAMES = "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"


def read_file(path: str, most: int = -1) -> bytes:
    """A file that the user has named, or its first ``most`` bytes. Raises InvalidInput."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return file.read(most)
    except OSError as error:
        raise InvalidInput(f"open {path}: {str(error.strerror).lower()}") from None


def described(context: Context, name: str) -> dict[str, Any]:
    """A context's document; that of the default one is made of the environment. Raises NotFound."""
    if name != contexts.DEFAULT:
        return contexts.read(name)
    host = {"Host": context.from_environment, "SkipTLSVerify": False}
    return {"Name": name, "Metadata": {}, "Endpoints": {"docker": host}}


def inspect(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context inspect``."""
    found = []
    for name in arguments or [context.name]:
        document = described(context, name)
        if name == contexts.DEFAULT:
            storage = {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"}
        else:
            storage = {"MetadataPath": contexts.metadata(name), "TLSPath": contexts.certificates(name)}
        directory = f"{contexts.certificates(name)}/docker"
        material = {"docker": sorted(os.listdir(directory))} if os.path.isdir(directory) else {}
        found.append(document | {"TLSMaterial": material, "Storage": storage})
    if flags["format"]:
        print("\n".join(formatted("", flags["format"], document) for document in found))
    else:
        print(json.dumps(found, indent=4))
    return 0


def rm(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock context rm``."""

    def action(name: str) -> str:
        if name == contexts.DEFAULT:
            raise InvalidInput('context "default" cannot be removed')
        if name == context.name and not flags["force"]:
            raise InvalidInput(f'context "{name}" is in use, set -f flag to force remove')
        contexts.remove(name)
        return name

    return for_each(arguments, action)


CREATE = Command(
    "context create",
    "[OPTIONS] CONTEXT",
    "Create a context",
    create,
    table("""
        --description string      Description of the context
        --docker stringToString   set the docker endpoint (default [])
        --from string             create context from a named context
"""),
)
INSPECT = Command(
    "context inspect",
    "[OPTIONS] [CONTEXT] [CONTEXT...]",
    "Display detailed information on one or more contexts",
    inspect,
    (VIEW,),
)
LS = Command("context ls", "[OPTIONS]", "List contexts", ls, (FORMAT, *table("-q, --quiet  Only show context names")))
RM = Command(
    "context rm",
    "CONTEXT [CONTEXT...]",
    "Remove one or more contexts",
    rm,
    table("-f, --force  Force the removal of a context in use"),
)
SHOW = Command("context show", "", "Print the name of the current context", current)
UPDATE = Command(
    "context update",
    "[OPTIONS] CONTEXT",
    "Update a context",
    update,
    table("""
        --description string      Description of the context
        --docker stringToString   set the docker endpoint (default [])
"""),
)
USE = Command("context use", "CONTEXT", "Set the current docker context", use)
