"""Completion in the shell: ``source <(minidock completion bash)``.

The shell hands over the words so far; the last one is what is being typed. Commands and flags come from the tables,
names of containers and images from the daemon, if it runs.
"""

from __future__ import annotations

from minidock.client.context import Context
from minidock.client.flags import Command
from minidock.errors import MinidockError

_IMAGES = frozenset(("run", "create", "rmi", "tag", "image inspect", "inspect"))
_CONTAINERS = frozenset(
    [
        *("attach", "exec", "inspect", "kill", "logs", "pause", "rename", "restart", "rm", "start", "stop", "unpause"),
        *("wait", "container inspect"),
    ]
)

SCRIPTS = {
    "bash": """_minidock() {
    local IFS=$'\\n'
    COMPREPLY=($(minidock __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _minidock minidock""",
    "zsh": """#compdef minidock
_minidock() { compadd -- ${(f)"$(minidock __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"} }
compdef _minidock minidock""",
    "fish": """function __minidock
    minidock __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
complete -c minidock -f -a '(__minidock)'""",
}


def candidates(context: Context, words: list[str]) -> list[str]:
    """What the last of ``words`` may become."""
    from minidock.client.main import COMMANDS, GROUPS, load

    *before, last = words or [""]
    before = [word for word in before if not word.startswith("-")]
    if not before:
        found = [*COMMANDS, *GROUPS]
    elif before[0] in GROUPS and len(before) == 1:
        found = list(GROUPS[before[0]][1])
    else:
        places = GROUPS[before[0]][1] if before[0] in GROUPS else COMMANDS
        name = before[1] if before[0] in GROUPS else before[0]
        found = _words(context, load(places[name]), last) if name in places else []
    return sorted(word for word in set(found) if word.startswith(last))


def _words(context: Context, command: Command, last: str) -> list[str]:
    if last.startswith("-"):
        return [f"--{flag.name}" for flag in command.flags] + ["--help"]
    try:
        context.address.connect().close()  # completion must not start a daemon
        return _names(context, command.name)
    except MinidockError:
        return []


def _names(context: Context, command: str) -> list[str]:
    names: list[str] = []
    if command in _CONTAINERS:
        containers = context.client.request("GET", "/containers/json", {"all": True}).json()
        names += [name.removeprefix("/") for container in containers for name in container["Names"]]
    if command in _IMAGES:
        images = context.client.request("GET", "/images/json").json()
        names += [tag for image in images for tag in image.get("RepoTags") or []]
    return names
