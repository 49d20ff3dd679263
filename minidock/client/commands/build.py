"""``build``: a directory, an archive or a repository goes to the daemon, and an image comes of it.

The request is that of Docker's classic builder: one archive, and a query. Two things are ours (docs/architecture.md,
"Building"): secrets travel ahead, and with ``minidock=1`` the daemon tells of each step. Another daemon knows nothing
of that and sends its text.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

from minidock.client import pulling, values
from minidock.client.building import progress_for
from minidock.client.connection import Response
from minidock.client.context import Context
from minidock.client.flags import Command, Flags, pairs, split_commas, table
from minidock.errors import ErrorInStream, InvalidInput

# Flags whose value goes into the query as it is, and those that are 1 when set.
_QUERY = {
    "cgroup-parent": "cgroupparent",
    "cpu-period": "cpuperiod",
    "cpu-quota": "cpuquota",
    "cpu-shares": "cpushares",
    "cpuset-cpus": "cpusetcpus",
    "cpuset-mems": "cpusetmems",
    "isolation": "isolation",
    "memory": "memory",
    "memory-swap": "memswap",
    "platform": "platform",
    "shm-size": "shmsize",
    "target": "target",
    "add-host": "extrahosts",
    "tag": "t",
}
_SWITCHES = {"force-rm": "forcerm", "no-cache": "nocache", "pull": "pull", "quiet": "q", "squash": "squash"}


class BuildFailed(ErrorInStream):
    """The daemon could not build it; the exit code is the failed program's own."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(200, text)
        self.exit_code = code


def build(context: Context, flags: Flags, arguments: list[str]) -> int:
    """``minidock build``."""
    from minidock.client import build_context

    quiet = flags["quiet"] or flags["progress"] == "quiet"
    if flags["iidfile"] and os.path.exists(flags["iidfile"]):
        os.unlink(flags["iidfile"])
    sent = build_context.prepare(arguments[0], flags["file"], flags["compress"])
    with sent:
        query = _query(flags, quiet) | {"dockerfile": sent.dockerfile, "remote": sent.remote}
        if flags["secret"]:
            query["secrets"] = _send_secrets(context, flags["secret"])
        headers = {"Content-Type": "application/x-tar", "X-Registry-Config": _registries()}
        response = context.client.request("POST", "/build", query, sent.body, headers)
        image = _follow(response, flags, quiet)
    if flags["iidfile"]:
        if not image:
            raise InvalidInput(f"server did not provide an image ID. Cannot write {flags['iidfile']}")
        with open(flags["iidfile"], "w") as file:
            file.write(image)
    return 0


def _query(flags: Flags, quiet: bool) -> dict[str, Any]:
    query: dict[str, Any] = {field: flags[name] for name, field in _QUERY.items() if flags[name]}
    query |= {field: True for name, field in _SWITCHES.items() if flags[name]}
    query |= {"q": quiet, "rm": 1 if flags["rm"] else 0, "version": 1, "minidock": 1}
    query["networkmode"] = flags["network"]
    # Whoever has it set means every build, as with Docker's buildx.
    given = ["SOURCE_DATE_EPOCH"] if os.environ.get("SOURCE_DATE_EPOCH") else []
    if given or flags["build-arg"]:
        query["buildargs"] = json.dumps(dict(map(_argument, [*given, *flags["build-arg"]])))
    if flags["label"]:
        query["labels"] = json.dumps(pairs(flags["label"]))
    for name, field in (("cache-from", "cachefrom"), ("ulimit", "ulimits")):
        if flags[name]:
            query[field] = json.dumps(flags[name])
    if flags["security-opt"]:
        query["securityopt"] = json.dumps(flags["security-opt"])
    return query


def _argument(text: str) -> tuple[str, str | None]:
    """``NAME=value``; ``NAME`` has the value that it has here, or none."""
    name, equals, value = text.partition("=")
    return name, value if equals else os.environ.get(name)


def _registries() -> str:
    """Credentials for every registry that there are any for: nobody knows yet which of them a FROM will need."""
    from minidock.client import credentials

    return base64.urlsafe_b64encode(json.dumps(credentials.everything()).encode()).decode()


def _send_secrets(context: Context, texts: list[str]) -> str:
    """Hand the secrets over; the id by which this build may use them."""
    contents = dict(map(_secret, texts))
    body = {"Secrets": {name: base64.b64encode(data).decode() for name, data in contents.items()}}
    return str(context.client.request("POST", "/build/secrets", body=body).json()["Id"])


def _secret(text: str) -> tuple[str, bytes]:
    """``id=name,src=path`` or ``id=name,env=NAME``: name and content. Raises InvalidInput."""
    fields = pairs(split_commas(text))
    name = fields.pop("id", "")
    variable, path = fields.pop("env", ""), fields.pop("src", "") or fields.pop("source", "")
    kind = fields.pop("type", "file")
    if fields or kind not in ("file", "env") or not (name or path or variable):
        raise InvalidInput(f'invalid secret "{text}": it takes id=NAME with src=PATH or env=VARIABLE')
    name = name or os.path.basename(path) or variable
    if not path and (variable or name in os.environ):
        variable = variable or name
        if variable not in os.environ:
            raise InvalidInput(f"secret {name}: the environment has no {variable}")
        return name, os.environ[variable].encode()
    try:
        with open(path or name, "rb") as file:
            return name, file.read()
    except OSError as error:
        raise InvalidInput(f"secret {name}: open {path or name}: {str(error.strerror).lower()}") from None


def _follow(response: Response, flags: Flags, quiet: bool) -> str:
    """Show the build to its end. Returns the image's id. Raises BuildFailed."""
    image, said = "", [""]
    text = pulling.Progress(sys.stdout)
    steps = progress_for(flags["progress"], sys.stderr)
    with steps:
        for document in response.documents():
            if "error" in document or "errorDetail" in document:
                detail = document.get("errorDetail") or {}
                steps.end()
                print(end="".join(said), file=sys.stderr)
                raise BuildFailed(str(detail.get("message") or document["error"]), detail.get("code") or 1)
            if "aux" in document:
                image = document["aux"].get("ID", image)
            elif "build" in document:
                steps.show(document["build"])
                image = document["build"].get("image") or image
            elif quiet:
                said.append(str(document.get("stream", "")))
            else:
                _print(text, document)
    if quiet:
        print(said[-1].strip() or image)
    return image or said[-1].strip()


def _print(text: pulling.Progress, document: dict[str, Any]) -> None:
    if "stream" in document:
        print(document["stream"], end="", flush=True)
    else:
        text.show(document)


BUILD = Command(
    "build",
    "[OPTIONS] PATH | URL | -",
    "Build an image from a Dockerfile",
    build,
    table(
        """
        --add-host list           Add a custom host-to-IP mapping ("host:ip")
        --build-arg list          Set build-time variables
        --cache-from strings      Images to consider as cache sources
        --cgroup-parent string    Set the parent cgroup for the "RUN" instructions during build
        --compress                Compress the build context using gzip
        --cpu-period int          Limit the CPU CFS (Completely Fair Scheduler) period
        --cpu-quota int           Limit the CPU CFS (Completely Fair Scheduler) quota
    -c, --cpu-shares int          CPU shares (relative weight)
        --cpuset-cpus string      CPUs in which to allow execution (0-3, 0,1)
        --cpuset-mems string      MEMs in which to allow execution (0-3, 0,1)
        --disable-content-trust   Skip image verification (default true)
    -f, --file string             Name of the Dockerfile (Default is "PATH/Dockerfile")
        --force-rm                Always remove intermediate containers
        --iidfile string          Write the image ID to the file
        --isolation string        Container isolation technology
        --label list              Set metadata for an image
    -m, --memory bytes            Memory limit
        --memory-swap bytes       Swap limit equal to memory plus swap: -1 to enable unlimited swap
        --network string          Set the networking mode for the RUN instructions during build (default "default")
        --no-cache                Do not use cache when building the image
        --platform string         Set platform if server is multi-platform capable
        --pull                    Always attempt to pull a newer version of the image
    -q, --quiet                   Suppress the build output and print image ID on success
        --rm                      Remove intermediate containers after a successful build (default true)
        --security-opt strings    Security options
        --shm-size bytes          Size of "/dev/shm"
        --squash                  Squash newly built layers into a single new layer
    -t, --tag list                Name and optionally a tag in the "name:tag" format
        --target string           Set the target build stage to build.
        --ulimit ulimit           Ulimit options (default [])
        --progress string   Set type of progress output ("auto", "plain", "tty", "quiet", "rawjson") (default "auto")
        --secret list       Secret to expose to the build (format: "id=mysecret[,src=/local/secret|,env=VARIABLE]")
        """,
        add_host=values.extra_host,
        memory_swap=values.memory_swap,
        ulimit=values.ulimit,
    ),
    number=(1, 1),
)
