"""Configuration of the documentation site: ``make docs`` makes it without a network and fails on any warning."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import buildr_jupyter

project = "buildr_jupyter"
copyright = "the authors of buildr_jupyter"  # noqa: A001
author = "the authors of buildr_jupyter"
version = release = buildr_jupyter.__version__

extensions = ["myst_parser", "reference"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

smartquotes = False  # they make one dash of the two before an option

html_theme = "pydata_sphinx_theme"
html_title = "buildr_jupyter"
html_theme_options = {"show_prev_next": True, "navigation_with_keys": False, "secondary_sidebar_items": ["page-toc"]}
html_sidebars = {"**": ["sidebar-nav-bs"]}
html_show_sourcelink = False
