"""The description of the API for machines: OpenAPI takes it as one, and it says everything that there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from minidock.daemon import api
from minidock.daemon.api.openapi import parameters
from minidock.daemon.api.routes import ROUTES, description
from tests.engine.contract import problem_with
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


def test_an_answer_that_is_not_as_described_is_noticed() -> None:
    """The check that all engine tests' answers go through says no: a type, a field, a status, a route."""
    good = ("POST", "/containers/create", 201, {"Id": "x", "Warnings": []})
    assert problem_with(*good) is None
    assert problem_with("GET", "/containers/{name}/json", 404, {"message": "no"}) is None
    wrong: list[tuple[str, str, int, object]] = [
        (*good[:3], {"Id": 1, "Warnings": []}),
        (*good[:3], {"Id": "x", "Warnings": [], "More": 1}),
        (*good[:3], {"Warnings": []}),
        (*good[:2], 200, good[3]),
        ("GET", "/nonsense", 200, {}),
        ("GET", "/containers/{name}/json", 404, {"Message": "no"}),
    ]
    for answer in wrong:
        assert problem_with(*answer) is not None, answer


@pytest.mark.root
def test_what_docker_s_own_client_was_answered_has_been_looked_at(daemon: Daemon) -> None:
    """Documents, streams of them and errors, whoever asked."""
    daemon.ok("run", "--rm", "--network", "none", "tiny", "true")
    daemon.docker("inspect", "nothing")
    daemon.contract.check()
    seen = {tuple(json.loads(line)[:3]) for line in daemon.contract.seen}
    assert {
        ("POST", "/containers/create", 201),
        ("POST", "/containers/{name}/wait", 200),
        ("GET", "/containers/{name}/json", 404),
        ("POST", "/images/create", 200),
    } <= seen


READ = r"""(?:query\.get(?:all)?\(|query\[|boolean\(request, |number\(request, |moment\(request, )"([\w-]+)\""""


def test_every_parameter_that_is_read_is_in_it_and_no_other() -> None:
    """The docstrings of handlers name them; the code reads them."""
    source = "".join(path.read_text() for path in Path(api.__file__).parent.glob("*.py"))
    told = {name for route in ROUTES for name in parameters(route.handler.__doc__ or "")}
    assert set(re.findall(READ, source)) - told == set()
    assert [name for name in told if f'"{name}"' not in source] == []
