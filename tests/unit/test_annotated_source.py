"""What the annotated source says beside a module's code."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

pytest.importorskip("sphinx")


def test_a_module_names_tests_that_import_from_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """``from minidock.containers import steps``, then ``steps.BindRoot``: a test of the module that defines it."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs" / "_extensions")
    named = importlib.import_module("annotated").uses()["tests/kernel/test_steps.py"]
    assert {"minidock.containers.steps.roots.BindRoot", "minidock.containers.steps.roots"} <= named
