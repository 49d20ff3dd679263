"""``login``, ``logout``, ``push``, ``search``: what needs a registry."""

from __future__ import annotations

import sys
from typing import Any

from minidock.client import credentials, pulling, terminal
from minidock.client.commands.archives import platform
from minidock.client.connection import segment
from minidock.client.context import Context
from minidock.client.flags import Command, Flag, Flags, table
from minidock.client.listing import filters, show
from minidock.client.template import Record
from minidock.errors import ErrorFromDaemon, InvalidInput


def login(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock login``: the daemon asks the registry whether it knows us; what it says is kept."""
    key = credentials.server(arguments[0] if arguments else "")
    user, password = _from_flags(flags)
    known = {} if user or password else credentials.known(key)
    if known:
        name = f" [Username: {known['username']}]" if known.get("username") else ""
        hint = "To login with a different account, run 'minidock logout' followed by 'minidock login'"
        print(f"Authenticating with existing credentials...{name}\n\n Info -> {hint}\n\n", file=sys.stderr)
        try:
            return _try(context, key, known)
        except ErrorFromDaemon as error:
            if error.status != 401:
                raise
            print("Login did not succeed, error: " + str(error), file=sys.stderr)
    if not (user and password):
        if not terminal.is_terminal(terminal.STDIN):
            raise InvalidInput("Error: Cannot perform an interactive login from a non TTY device")
        user, password = _ask(user, password, known.get("username", ""))
    return _try(context, key, {"username": user, "password": password, "serveraddress": key})


def _from_flags(flags: Flags) -> tuple[str, str]:
    """User and password, as far as the command line says them. Raises InvalidInput."""
    user, password = flags["username"], flags["password"]
    if password and flags["password-stdin"]:
        raise InvalidInput("conflicting options: cannot specify both --password and --password-stdin")
    if password:
        print("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", file=sys.stderr)
    if flags["password-stdin"]:
        if not user:
            raise InvalidInput("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    return user, password


def _ask(user: str, password: str, default: str) -> tuple[str, str]:
    import getpass

    if not user:
        hint = f" ({default})" if default else ""
        user = input(f"Username{hint}: ").strip() or default
        if not user:
            raise InvalidInput("Error: Non-null Username Required")
    if not password:
        password = getpass.getpass("Password: ")
        if not password:
            raise InvalidInput("Error: Password Required")
    return user, password


def _try(context: Context, key: str, found: dict[str, str]) -> int:
    answer = context.client.request("POST", "/auth", body=found).json() or {}
    if token := answer.get("IdentityToken"):
        found = {**found, "password": "", "identitytoken": token}
    if found != credentials.known(key):
        credentials.store(key, found)
    print(answer.get("Status") or "Login Succeeded")
    return 0


def logout(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock logout``: forget what ``login`` has kept."""
    key = credentials.server(arguments[0] if arguments else "")
    print(f"Removing login credentials for {arguments[0] if arguments else key}")
    try:
        credentials.erase(key)
    except OSError as error:
        print(f"WARNING: could not erase credentials:\n{error}", file=sys.stderr)
    return 0


def push(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock push``: an image, or with ``--all-tags`` all of a name's, go to the registry."""
    context.client.since(flags, "platform", "1.46", or_ours=True)
    image, quiet = arguments[0], flags["quiet"]
    has_tag = pulling.familiar(image) == image
    if flags["all-tags"] and has_tag:
        raise InvalidInput("tag can't be used with --all-tags/-a")
    if not flags["all-tags"] and not has_tag and not quiet:
        print("Using default tag: latest", flush=True)
    name, tag = pulling.split(image)
    headers = {"X-Registry-Auth": "e30="} | credentials.headers(image)
    query = {"tag": None if flags["all-tags"] else tag, "platform": platform(flags)}
    response = context.client.request("POST", f"/images/{segment(name)}/push", query, headers=headers)
    pulling.follow(response, pulling.Progress(sys.stdout), quiet)
    if quiet:
        print(pulling.full_name(image if flags["all-tags"] else pulling.familiar(image)))
    return 0


class Row(Record):
    """One image that a registry offers."""

    type_name = "*registry.searchContext"


HEADINGS = Row(
    Description="DESCRIPTION", IsAutomated="AUTOMATED", IsOfficial="OFFICIAL", Name="NAME", StarCount="STARS"
)


def search(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock search``."""
    query = {"term": arguments[0], "limit": flags["limit"], "filters": filters(flags["filter"])}
    headers = credentials.headers(arguments[0])
    found = context.client.request("GET", "/images/search", query, headers=headers).json()
    rows = [_row(one, not flags["no-trunc"]) for one in found]
    show(rows, HEADINGS, flags["format"], "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}")
    return 0


def _row(found: dict[str, Any], truncate: bool) -> Row:
    text = found["description"].replace("\n", " ").replace("\r", " ")
    return Row(
        Description=f"{text[:44]}…" if truncate and len(text) > 45 else text,
        IsAutomated="[OK]" if found.get("is_automated") else "",
        IsOfficial="[OK]" if found.get("is_official") else "",
        Name=found["name"],
        StarCount=str(found["star_count"]),
    )


LOGIN = Command(
    "login",
    "[OPTIONS] [SERVER]",
    "Authenticate to a registry",
    login,
    table("""
    -p, --password string   Password or Personal Access Token (PAT)
        --password-stdin    Take the Password or Personal Access Token (PAT) from stdin
    -u, --username string   Username
"""),
    long="Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
)
LOGOUT = Command(
    "logout",
    "[SERVER]",
    "Log out from a registry",
    logout,
    long="Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
)
PUSH = Command(
    "push",
    "[OPTIONS] NAME[:TAG]",
    "Upload an image to a registry",
    push,
    table(
        """
    -a, --all-tags                Push all tags of an image to the repository
        --disable-content-trust   Skip image signing (default true)
    -q, --quiet                   Suppress verbose output
""",
        Flag(
            "platform",
            "",
            "string",
            "Push a platform-specific manifest as a single-platform image to the registry.\n"
            "Image index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n"
            "'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
            "",
        ),
    ),
)
SEARCH = Command(
    "search",
    "[OPTIONS] TERM",
    "Search Docker Hub for images",
    search,
    table("""
    -f, --filter filter   Filter output based on conditions provided
        --format string   Pretty-print search using a Go template
        --limit int       Max number of search results
        --no-trunc        Don't truncate output
"""),
)
