"""The description of the API for machines: OpenAPI takes it as one, and it says everything that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from minidock.daemon import api
from minidock.daemon.api.openapi import parameters
from minidock.daemon.api.routes import ROUTES, description
from tests.engine.harness import Daemon

OPERATIONS = [(path, method, what) for path, item in description()["paths"].items() for method, what in item.items()]


def test_it_is_openapi() -> None:
    """The specification's own schema, and its rules beyond that."""
    validate(description())


@pytest.mark.root
def test_the_daemon_serves_it(daemon: Daemon) -> None:
    """With a version in the path and without."""
    assert daemon.json("GET", "/openapi.json") == daemon.json("GET", "/v1.44/openapi.json") == description()


def test_every_route_is_in_it() -> None:
    """With its method and its path."""
    told = {(method.upper(), path) for path, method, _ in OPERATIONS}
    assert told == {(route.method, re.sub(r":[^}]*", "", route.path)) for route in ROUTES}


def test_every_document_has_a_name() -> None:
    """A client can make a class of it. (The description itself is the one that cannot be named in itself.)"""
    for path, _, operation in OPERATIONS:
        for response in operation["responses"].values():
            schema = response.get("content", {}).get("application/json", {}).get("schema")
            if schema is not None and path != "/openapi.json":
                assert _is_named(schema), (path, schema)


def _is_named(schema: dict[str, Any]) -> bool:
    return (
        "$ref" in schema
        or (schema.get("type") == "array" and _is_named(schema["items"]))
        or any(_is_named(choice) for choice in schema.get("anyOf", []))
    )


READ = r"""(?:query\.get(?:all)?\(|query\[|boolean\(request, |number\(request, |moment\(request, )"([\w-]+)\""""


def test_every_parameter_that_is_read_is_in_it_and_no_other() -> None:
    """The docstrings of handlers name them; the code reads them."""
    source = "".join(path.read_text() for path in Path(api.__file__).parent.glob("*.py"))
    told = {name for route in ROUTES for name in parameters(route.handler.__doc__ or "")}
    assert set(re.findall(READ, source)) - told == set()
    assert [name for name in told if f'"{name}"' not in source] == []
