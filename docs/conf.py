"""The book's configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import minidock  # noqa: F401  (autodoc needs the package; fail here, clearly, when it is not installed)

sys.path[:0] = [str(Path(__file__).parent / "_extensions"), str(Path(__file__).parent.parent)]

project = "minidock"
author = "the minidock founders"
copyright = "2026, the minidock founders"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode", "engine"]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "minidock"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Packages that do not know each other may use one word each in their own sense: there are several Records.
suppress_warnings = ["ref.python"]
