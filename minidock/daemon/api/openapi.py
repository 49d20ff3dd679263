"""The API's description for machines: made of the table of routes, of the types of its documents and of the parameters
that its handlers read, never by hand.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from minidock import messages
from minidock.daemon.api import answers
from minidock.daemon.api.parameters import Parameter
from minidock.daemon.api.route import Answer, Route
from minidock.oci.platform import Platform

PLACE = "#/components/schemas/{name}"
ABOUT = (
    "A boolean is false when it is empty, 0, no, false or none, in any case, and else true; an empty number is as "
    "none. A body that should be JSON says so in Content-Type; an archive need not. Whatever else is not described is "
    "not looked at."
)
NAMES = {
    "containers": "a name, an id, or the beginning of one that no other has",
    "exec": "an id, or the beginning of one that no other has",
    "images": "a name with a tag, a digest or neither, an id, or the beginning of one",
    "distribution": "an image's name, with a tag, a digest or neither",
    "networks": "a name, an id, or the beginning of one",
    "volumes": "a name",
}
"""What stands for a thing in a path, by the path's first part."""
OURS = {
    "Api-Version": "the newest version that is spoken",
    "Docker-Experimental": "has it what Docker has on trial?",
    "Ostype": "of the containers",
    "Server": "who answers",
}

Document = dict[str, Any]


def describe(routes: Iterable[Route]) -> Document:
    """The description, an OpenAPI 3.1 document."""
    routes = [*routes]
    kinds = [answer.document for route in routes for answer in route.answers if answer.document is not None]
    kinds += [route.takes for route in routes if route.takes_document]
    kinds += [messages.Error, messages.PathStat, Platform]
    schemas, named = msgspec.json.schema_components(kinds, ref_template=PLACE)
    schema_of = dict(zip(map(repr, kinds), schemas, strict=True))
    paths: Document = {}
    for route in routes:
        operation = _operation(route, schema_of)
        paths.setdefault(re.sub(r":[^}]*", "", route.path), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "minidock: Docker's Engine API", "version": messages.API_VERSION, "description": ABOUT},
        "servers": [{"url": "/"}, {"url": f"/v{messages.API_VERSION}"}],
        "paths": paths,
        "components": {"schemas": named, "headers": _headers()},
    }


def _operation(route: Route, schema_of: Document) -> Document:
    found: Document = {
        "operationId": f"{route.method.lower()}:{route.path}",
        "description": inspect.cleandoc(route.handler.__doc__ or ""),
        "parameters": [
            *(_in_path(name, NAMES[route.path.split("/")[1]]) for name in re.findall(r"\{(\w+)", route.path)),
            *(_parameter(item) for item in (route.asked.parameters() if route.asked else [])),
        ],
        "responses": _responses(route.answers, schema_of),
    }
    if route.takes_document:
        found["requestBody"] = {"content": {"application/json": {"schema": schema_of[repr(route.takes)]}}}
    elif route.takes is not None:
        found["requestBody"] = {"content": {route.takes: {}}}
    return found


def _in_path(name: str, about: str) -> Document:
    return {"name": name, "in": "path", "required": True, "description": about, "schema": {"type": "string"}}


def _parameter(item: Parameter[Any]) -> Document:
    schema = {"content": {item.media: {"schema": item.schema}}} if item.media else {"schema": item.schema}
    return {"name": item.name, "in": item.place, "description": item.about, "required": item.needed, **schema}


def _headers() -> Document:
    return {
        name: {"description": OURS[name], "required": True, "schema": {"const": value}}
        for name, value in answers.OURS.items()
    }


def _responses(good: Iterable[Answer], schema_of: Document) -> Document:
    ours = {name: {"$ref": f"#/components/headers/{name}"} for name in answers.OURS}
    found: Document = {}
    for answer in good:
        response = found.setdefault(str(answer.status), {"description": "as asked", "headers": dict(ours)})
        for name, about, schema in answer.headers:
            response["headers"][name] = {"description": about, "required": True, "schema": schema}
        if answer.media:
            schema = {"schema": schema_of[repr(answer.document)]} if answer.document is not None else {}
            response.setdefault("content", {})[answer.media] = schema
    error = {"application/json": {"schema": schema_of[repr(messages.Error)]}}
    return found | {"default": {"description": "why not", "headers": ours, "content": error}}
