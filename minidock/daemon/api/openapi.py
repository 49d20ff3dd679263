"""The API's description for machines: made of the table of routes and of the types of its documents, never by hand.

What a request takes beside its path, the handler's docstring names: ``?all=&limit=``.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from minidock import messages
from minidock.daemon.api.route import Answer, Route

PLACE = "#/components/schemas/{name}"

Document = dict[str, Any]


def describe(routes: Iterable[Route]) -> Document:
    """The description, an OpenAPI 3.1 document."""
    routes = [*routes]
    kinds = [answer.document for route in routes for answer in route.answers if answer.document is not None]
    kinds += [route.takes for route in routes if not isinstance(route.takes, str | None)]
    schemas, named = msgspec.json.schema_components([messages.Error, *kinds], ref_template=PLACE)
    schema_of = dict(zip(map(repr, [messages.Error, *kinds]), schemas, strict=True))
    paths: Document = {}
    for route in routes:
        operation = _operation(route, schema_of)
        paths.setdefault(re.sub(r":[^}]*", "", route.path), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "minidock: Docker's Engine API", "version": messages.API_VERSION},
        "servers": [{"url": "/"}, {"url": f"/v{messages.API_VERSION}"}],
        "paths": paths,
        "components": {"schemas": named},
    }


def _operation(route: Route, schema_of: Document) -> Document:
    described = inspect.cleandoc(route.handler.__doc__ or "")
    found: Document = {
        "operationId": f"{route.method.lower()}:{route.path}",
        "description": described,
        "parameters": [
            *(_parameter(name, "path") for name in re.findall(r"\{(\w+)", route.path)),
            *(_parameter(name, "query") for name in parameters(described)),
        ],
        "responses": _responses(route.answers, schema_of),
    }
    if isinstance(route.takes, str):
        found["requestBody"] = {"content": {route.takes: {}}}
    elif route.takes is not None:
        found["requestBody"] = {"content": {"application/json": {"schema": schema_of[repr(route.takes)]}}}
    return found


def parameters(text: str) -> list[str]:
    """The names in ``?all=&limit=``."""
    return [*dict.fromkeys(re.findall(r"[?&]([\w-]+)=", text))]


def _parameter(name: str, place: str) -> Document:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _responses(good: Iterable[Answer], schema_of: Document) -> Document:
    found: Document = {}
    for answer in good:
        response = found.setdefault(str(answer.status), {"description": "as asked"})
        if answer.media:
            schema = {"schema": schema_of[repr(answer.document)]} if answer.document is not None else {}
            response.setdefault("content", {})[answer.media] = schema
    error = {"application/json": {"schema": schema_of[repr(messages.Error)]}}
    return found | {"default": {"description": "why not", "content": error}}
