"""What a shell may offer next.

The scripts are short: they ask ``minidock __complete WORD…`` for each Tab, and this answers. Commands and flags are in
the tables; a command's usage line says whether an argument is a container, an image, a network, a volume or a context,
and the daemon, if it runs, which there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from minidock.client import contexts
from minidock.client.context import Context
from minidock.client.flags import Command, parse_flags
from minidock.errors import InvalidFlag, MinidockError

# What is the value of a flag.
_FLAGS = {"--context": "CONTEXT", "--network": "NETWORK", "--volumes-from": "CONTAINER", "--link": "CONTAINER"}

SCRIPTS = {
    "bash": """_minidock() {
    local IFS=$'\\n'
    COMPREPLY=($(minidock __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
complete -o default -F _minidock minidock""",
    "zsh": """#compdef minidock
_minidock() { compadd -- ${(f)"$(minidock __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"} }
compdef _minidock minidock""",
    "fish": """function __minidock
    minidock __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
complete -c minidock -f -a '(__minidock)'""",
}


def candidates(words: list[str]) -> list[str]:
    """What the last of ``words`` may become."""
    from minidock.client.main import COMMANDS, GLOBAL_FLAGS, GROUPS, load

    *before, last = words or [""]
    try:
        flags, rest = parse_flags(GLOBAL_FLAGS, before, interspersed=False)
    except InvalidFlag:
        return []
    places = COMMANDS
    found = [f"--{flag.name}" for flag in GLOBAL_FLAGS] if last.startswith("-") else [*COMMANDS, *GROUPS]
    if rest and rest[0] in GROUPS:
        places = GROUPS[rest.pop(0)][1]
        found = list(places)
    if rest:
        found = [*_arguments(Context(flags), load(places[rest[0]]), rest[1:], last)] if rest[0] in places else []
    return sorted({word for word in found if word.startswith(last)})


def _arguments(context: Context, command: Command, before: list[str], last: str) -> list[str]:
    """What may follow a command and the words behind it."""
    if last.startswith("-"):
        return [f"--{flag.name}" for flag in command.flags] + ["--help"]
    noun = _FLAGS.get(before[-1], "") if before else ""
    try:
        # The last word of ``before`` may be a flag whose value is what is being typed.
        given = parse_flags(command.flags, before, command.interspersed)[1] if not noun else []
    except InvalidFlag:
        return []
    nouns = re.findall("[A-Z_]+", command.arguments.replace("[OPTIONS]", ""))
    if not noun and len(given) >= len(nouns):
        noun = nouns[-1] if nouns and "..." in command.arguments and command.interspersed else ""
    noun = noun or (nouns[len(given)] if len(given) < len(nouns) else "")
    if noun == "NAME" and "ID" not in nouns:  # of an image that may come or go, as in push
        noun = "IMAGE"
    try:
        return [*_names(context, noun)] if noun else []
    except MinidockError:
        return []


def _names(context: Context, noun: str) -> Iterator[str]:
    """The names of all things of a kind."""
    if noun == "CONTEXT":
        yield from [contexts.DEFAULT, *(document["Name"] for document in contexts.every())]
        return
    context.address.connect().close()  # completion must not start a daemon
    client, everything = context.client, noun in ("NAME", "ID")
    if noun == "CONTAINER" or everything:
        for container in client.request("GET", "/containers/json", {"all": True}).json():
            yield from (name.removeprefix("/") for name in container["Names"])
    if "IMAGE" in noun or everything:
        for image in client.request("GET", "/images/json").json():
            yield from (tag for tag in image.get("RepoTags") or [] if tag != "<none>:<none>")
    if noun == "NETWORK" or everything:
        yield from (network["Name"] for network in client.request("GET", "/networks").json())
    if noun == "VOLUME" or everything:
        yield from (volume["Name"] for volume in client.request("GET", "/volumes").json()["Volumes"] or [])
