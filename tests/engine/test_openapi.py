"""The description of the API for machines: OpenAPI takes it as one, and it says everything that there is."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from openapi_spec_validator import validate

from minidock import messages
from minidock.daemon import api
from minidock.daemon.api import answers
from minidock.daemon.api.parameters import Parameter
from minidock.daemon.api.routes import ROUTES, description
from minidock.errors import InvalidInput
from minidock.registry.credentials import Credentials
from tests.engine.contract import Answered, problem_with
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


def test_every_reference_in_it_leads_somewhere() -> None:
    """To a type by its own name: no two are called the same. (What makes sure that it is OpenAPI does not look.)"""
    components = description()["components"]
    found = set(re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(description())))
    assert ("schemas", "Platform") in found and ("headers", "Api-Version") in found
    assert [(kind, name) for kind, name in found if name not in components[kind] or "." in name] == []


def _is_named(schema: dict[str, Any]) -> bool:
    return (
        "$ref" in schema
        or (schema.get("type") == "array" and _is_named(schema["items"]))
        or any(_is_named(choice) for choice in schema.get("anyOf", []))
    )


def test_an_answer_that_is_not_as_described_is_noticed() -> None:
    """The check that all engine tests' answers go through says no: a type, a field, a status, a route, a header."""
    ours = answers.OURS | {"Content-Type": "application/json; charset=utf-8"}
    good = Answered("POST", "/containers/create", 201, ours, '{"Id": "x", "Warnings": []}')
    refused = Answered("GET", "/containers/{name}/json", 404, ours, '{"message": "no"}')
    nothing = Answered("POST", "/containers/{name}/stop", 304, answers.OURS, None)
    encoded = base64.b64encode(msgspec.json.encode(messages.PathStat(name="x", size=0, mode=0, mtime=""))).decode()
    stat = {"X-Docker-Container-Path-Stat": encoded}
    found = Answered("HEAD", "/containers/{name}/archive", 200, answers.OURS | stat, None)
    lost = Answered("GET", "/nonsense", 404, ours, '{"message": "page not found"}')
    for answer in (good, refused, nothing, found, lost):
        assert problem_with(answer) is None, answer
    wrong = [
        *(good._replace(body=body) for body in ('{"Id": 1, "Warnings": []}', '{"Warnings": []}')),
        good._replace(body='{"Id": "x", "Warnings": [], "More": 1}'),
        *(good._replace(status=status) for status in (200, 304)),
        good._replace(headers=answers.OURS),
        good._replace(headers=answers.OURS | {"Content-Type": "text/plain"}),
        *(good._replace(headers={name: ours[name] for name in ours if name != gone}) for gone in answers.OURS),
        *(good._replace(headers=ours | more) for more in ({"X-More": "1"}, {"Api-Version": "1.43"}, stat)),
        *(found._replace(headers=answers.OURS | {name: "e30="}) for name in stat),
        found._replace(headers=answers.OURS),
        nothing._replace(headers=ours),
        *(case._replace(body='{"Message": "no"}') for case in (refused, lost)),
        *(case._replace(headers={"Content-Type": "application/json"}) for case in (refused, lost)),
        lost._replace(status=200, body="{}"),
    ]
    for answer in wrong:
        assert problem_with(answer) is not None, answer


@pytest.mark.root
def test_what_docker_s_own_client_was_answered_has_been_looked_at(daemon: Daemon) -> None:
    """Documents, streams of them, errors and what has no document, whoever asked."""
    daemon.ok("run", "--rm", "--network", "none", "tiny", "true")
    daemon.docker("inspect", "nothing")
    daemon.contract.check()
    seen = {tuple(json.loads(line)[:3]) for line in daemon.contract.seen}
    assert {
        ("POST", "/containers/create", 201),
        ("POST", "/containers/{name}/wait", 200),
        ("GET", "/containers/{name}/json", 404),
        ("POST", "/images/create", 200),
        ("HEAD", "/_ping", 200),
        ("POST", "/containers/{name}/attach", 101),
    } <= seen


ASKED = [
    (route, attribute, item)
    for route in ROUTES
    if route.asked is not None
    for kind in route.asked.__mro__
    for attribute, item in vars(kind).items()
    if isinstance(item, Parameter)
]


def test_every_parameter_that_is_read_is_in_it() -> None:
    """A handler has no other way: what is asked is looked at in one place alone, which reads what was declared."""
    for path in Path(api.__file__).parent.glob("*.py"):
        found = re.findall(r"request\.(?:rel_url|query|query_string|headers|raw_headers|url)\b", path.read_text())
        assert bool(found) == (path.name == "parameters.py"), (path, found)
    for route in ROUTES:
        told = description()["paths"][re.sub(r":[^}]*", "", route.path)][route.method.lower()]["parameters"]
        named = [(item["in"], item["name"]) for item in told if item["in"] != "path"]
        declared = [(item.place, item.name) for other, _, item in ASKED if other is route]
        assert sorted(named) == sorted(declared), route.path
        assert len({*named}) == len(named) and all(item["description"] for item in told), route.path


def test_every_parameter_in_it_is_read() -> None:
    """Where the handler is, or where the parameter is declared: ``asked.limit``, ``self.limit``."""
    for route, attribute, _ in ASKED:
        assert route.asked is not None
        modules = {route.handler.__module__, *(kind.__module__ for kind in route.asked.__mro__)} - {"builtins"}
        source = "".join(Path(sys.modules[name].__file__ or "").read_text() for name in modules)
        assert re.search(rf"\b(asked|self)\.{attribute}\b", source), (route.path, attribute)


def test_the_defaults_and_types_in_it_are_those_that_handlers_see() -> None:
    """Of a request that says nothing, and of one that says the default itself."""
    for route, attribute, item in ASKED:
        assert route.asked is not None
        silent = getattr(route.asked(make_mocked_request("GET", "/")), attribute)
        if "default" in item.schema:
            assert silent == item.schema["default"], (route.path, item.name)
            jsonschema.validate(silent, item.schema)
            if not isinstance(silent, list):
                said = make_mocked_request("GET", f"/?{urlencode({item.name: str(silent)})}")
                assert getattr(route.asked(said), attribute) == silent, (route.path, item.name)
        else:
            assert not silent or silent == Credentials(), (route.path, item.name)


def test_what_is_not_of_its_type_is_refused() -> None:
    """As Docker does: a number that is none, a text that is none of the few, a filter that there is not."""
    refused = {
        "integer": ["x", "1.5", "1_000", " 1", "٣", "9223372036854775808", "1" * 5000],
        "object": ["[]", "{", '{"made-up": ["x"]}'],
    }
    kinds = set()
    for route, attribute, item in ASKED:
        kind = "enum" if "enum" in item.schema else item.schema.get("type", "")
        for value in ["made-up"] if kind == "enum" else refused.get(kind, []):
            kinds.add(kind)
            assert route.asked is not None
            asked = route.asked(make_mocked_request("GET", f"/?{urlencode({item.name: value})}"))
            with pytest.raises(InvalidInput, match=r"invalid|out of range|one of"):
                getattr(asked, attribute)
    assert kinds == {"integer", "object", "enum"}


@pytest.mark.root
def test_what_is_needed_is_refused_when_it_is_missing(daemon: Daemon) -> None:
    """By the handler: the container and the image are there."""
    daemon.ok("create", "--name", "needing", "tiny", "true")
    kinds = {"images": "tiny", "containers": "needing"}
    looked_at = [(route, item) for route, _, item in ASKED if item.needed and not route.path.startswith("/exec/")]
    assert len(looked_at) > 5
    for route, item in looked_at:
        path = re.sub(r"\{.*\}", kinds.get(route.path.split("/")[1], ""), route.path)
        status, _ = daemon.request(route.method, path)
        assert 400 <= status < 500, (route.path, item.name, status)


@pytest.mark.root
def test_a_document_says_that_it_is_one(daemon: Daemon) -> None:
    """In Content-Type, with a character set or without; what is empty need not. So a web page that has a browser send
    a form or text to a loopback address changes nothing: for JSON the browser would ask first."""
    for kind, status in (("application/json", 201), ("application/json; charset=utf-8", 201), ("text/plain", 400)):
        assert daemon.request("POST", "/volumes/create", b'{"Name": "said"}', Content_Type=kind)[0] == status
    told = json.loads(daemon.request("POST", "/volumes/create", b"{}", Content_Type="text/plain")[1])
    assert told["message"] == "unsupported Content-Type header (text/plain): must be 'application/json'"
    assert daemon.request("POST", "/containers/create", b"{}", Content_Type="")[0] == 400
    status, made = daemon.request("POST", "/volumes/create", Content_Type="")
    assert status == 201
    for name in ("said", json.loads(made)["Name"]):
        assert daemon.request("DELETE", f"/volumes/{name}")[0] == 204


@pytest.mark.root
def test_another_method_is_another_page(daemon: Daemon) -> None:
    """As with Docker, whether the path is known or not."""
    for method, path in (("POST", "/version"), ("PUT", "/containers/json"), ("GET", "/nonsense")):
        assert daemon.request(method, path) == (404, b'{"message":"page not found"}\n')


@pytest.mark.root
def test_a_number_that_is_none_is_refused_in_docker_s_words(daemon: Daemon) -> None:
    """Through the daemon, where there is a container to stop."""
    daemon.ok("create", "--name", "numbers", "tiny", "true")
    status, body = daemon.request("POST", "/containers/numbers/stop?t=soon")
    assert (status, json.loads(body)["message"]) == (400, 'strconv.Atoi: parsing "soon": invalid syntax')
    assert daemon.request("POST", "/build?t=soon:1&memory=soon")[0] == 400
