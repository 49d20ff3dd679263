"""A container's life as a state machine: whatever a client does in whatever order, model and engine agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from tests.engine.harness import Daemon

pytestmark = pytest.mark.root


class Model:
    """What we believe of one container."""

    def __init__(self) -> None:
        self.status = "created"
        self.exit_code = 0
        self.gone = False


def machine(daemon: Daemon) -> type[RuleBasedStateMachine]:
    """The state machine for one daemon."""

    class Lifecycle(RuleBasedStateMachine):
        """Every rule is one request; its status code follows from the model."""

        containers = Bundle("containers")

        def __init__(self) -> None:
            super().__init__()
            self.models: dict[str, Model] = {}

        def ask(self, method: str, container: str, verb: str = "") -> int:
            return daemon.request(method, f"/containers/{container}{verb}")[0]

        @rule(target=containers)
        def create(self) -> str:
            document = {"Image": "tiny", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}}
            container: str = daemon.json("POST", "/containers/create", document)["Id"]
            self.models[container] = Model()
            return container

        @rule(container=containers)
        def start(self, container: str) -> None:
            model = self.models[container]
            expected = {"running": 304, "paused": 409}.get(model.status, 204)
            assert self.ask("POST", container, "/start") == (404 if model.gone else expected)
            if not model.gone and expected == 204:
                model.status, model.exit_code = "running", 0

        @rule(container=containers)
        def stop(self, container: str) -> None:
            model = self.models[container]
            runs = model.status in ("running", "paused")
            expected = 404 if model.gone else 204 if runs else 304
            assert self.ask("POST", container, "/stop?t=0") == expected
            if expected == 204:
                model.status, model.exit_code = "exited", 137

        @rule(container=containers)
        def kill(self, container: str) -> None:
            model = self.models[container]
            runs = model.status in ("running", "paused")
            expected = 404 if model.gone else 204 if runs else 409
            assert self.ask("POST", container, "/kill") == expected
            if expected == 204:
                model.status, model.exit_code = "exited", 137

        @rule(container=containers, verb=st.sampled_from(["pause", "unpause"]))
        def freeze(self, container: str, verb: str) -> None:
            model = self.models[container]
            before, after = ("running", "paused") if verb == "pause" else ("paused", "running")
            expected = 404 if model.gone else 204 if model.status == before else 409
            assert self.ask("POST", container, f"/{verb}") == expected
            if expected == 204:
                model.status = after

        @rule(container=containers)
        def restart(self, container: str) -> None:
            model = self.models[container]
            assert self.ask("POST", container, "/restart?t=0") == (404 if model.gone else 204)
            if not model.gone:
                model.status, model.exit_code = "running", 0

        @rule(container=consumes(containers), force=st.booleans())
        def remove(self, container: str, force: bool) -> None:
            model = self.models[container]
            runs = model.status in ("running", "paused")
            expected = 404 if model.gone else 409 if runs and not force else 204
            assert self.ask("DELETE", container, f"?force={int(force)}") == expected
            model.gone = model.gone or expected == 204

        @invariant()
        def model_and_engine_agree(self) -> None:
            """The list holds what is there, in the states and with the exit codes that we expect."""
            listed: list[dict[str, Any]] = daemon.json("GET", "/containers/json?all=1")
            seen = {item["Id"]: item["State"] for item in listed}
            assert seen == {key: model.status for key, model in self.models.items() if not model.gone}
            for key, model in self.models.items():
                if model.status == "exited" and not model.gone:
                    assert daemon.inspect(key)["State"]["ExitCode"] == model.exit_code

        def teardown(self) -> None:
            for container in self.models:
                daemon.request("DELETE", f"/containers/{container}?force=1")

    return Lifecycle


def test_every_order_of_requests_is_answered_as_the_model_says(daemon: Daemon) -> None:
    """Random lives of several containers; status codes, states and exit codes are the model's."""
    chosen = settings(max_examples=12, stateful_step_count=15, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine(daemon), settings=chosen)
