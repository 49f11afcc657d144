"""Sphinx settings. ``make docs`` builds the site into build/docs; warnings are errors, nothing is downloaded."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "src")]
metadata = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]

project = metadata["name"]
author = metadata["authors"][0]["name"]
copyright = author
release = metadata["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_extensions"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 3
smartquotes = False  # they would turn --option into a dash

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
add_module_names = False
suppress_warnings = ["misc.highlighting_failure", "myst.header"]

html_theme = "furo"
html_title = f"potstill {release}"
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
