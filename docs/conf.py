"""Sphinx configuration. Build: ``python -m sphinx -W docs docs/_build``."""

import pathlib
import re

_INIT = pathlib.Path(__file__).parents[1] / "orthanc_tw" / "__init__.py"
_VERSION = re.search(r'^__version__ = "([^"]+)"', _INIT.read_text(), re.MULTILINE)

project = "orthanc-tw"
author = "the orthanc-tw developers"
release = version = _VERSION[1] if _VERSION else "0"
exclude_patterns = ["_build", "configuration-options.rst"]
extensions = ["sphinx.ext.graphviz"]
html_theme = "alabaster"
html_theme_options = {"description": "An Orthanc-compatible DICOM server on Twisted"}
nitpicky = True
