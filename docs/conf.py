"""The book's configuration."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_extensions"), str(Path(__file__).parent.parent)]

project = "minidock"
author = "the minidock founders"
copyright = "2026, the minidock founders"
extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "annotated",
    "engine",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "minidock"
add_module_names = False
html_static_path = ["_static"]
manpages_url = "https://man7.org/linux/man-pages/man{section}/{page}.{section}.html"
copybutton_prompt_text = r"[#$>] "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Packages that do not know each other may use one word each in their own sense: there are several Records.
suppress_warnings = ["ref.python"]
