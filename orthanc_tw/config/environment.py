"""Options set by environment variables, as Orthanc's container images take them.

``ORTHANC__DICOM_AET`` is ``DicomAet`` and ``ORTHANC__DICOM_WEB__ENABLE`` is ``Enable`` in the
section ``DicomWeb``; ``ORTHANC_JSON`` is a whole document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from orthanc_tw.config.option import OBJECT, Json
from orthanc_tw.config.options import OPTIONS, PLUGIN_SECTIONS
from orthanc_tw.config.parse import parse
from orthanc_tw.config.settings import Settings, Source
from orthanc_tw.config.validate import has_type

PREFIX = "ORTHANC__"
DOCUMENT = "ORTHANC_JSON"


def apply(settings: Settings, environ: Mapping[str, str], folder: Path) -> list[str]:
    """Put what the environment sets over what the files set.

    :param folder: what relative paths are relative to
    :return: warnings
    :raises ConfigurationError: ``ORTHANC_JSON`` is no JSON object
    """
    warnings: list[str] = []
    for variable in sorted(v for v in environ if v.startswith(PREFIX)):
        source = Source(f"environment variable {variable}", folder)
        words = variable.removeprefix(PREFIX).split("__")
        if not all(word.strip("_") for word in words):
            warnings.append(f"{source.name}: names no option")
            continue
        path = _path(words, settings.values)
        settings.assign(path, _value(path, environ[variable]), source)
    if environ.get(DOCUMENT, "").strip():
        source = Source(f"environment variable {DOCUMENT}", folder)
        document, found = parse(environ[DOCUMENT].encode(), source.name, environ)
        warnings += found
        settings.override(document, source)
    return warnings


def _path(words: list[str], values: Mapping[str, Json]) -> tuple[str, ...]:
    known: Iterable[str] = [*OPTIONS, *PLUGIN_SECTIONS, *values]
    path: list[str] = []
    node: Json = values
    for word in words:
        name = _name(word, known)
        path.append(name)
        node = node.get(name) if isinstance(node, Mapping) else None
        known = node if isinstance(node, Mapping) else ()
    return tuple(path)


def _name(word: str, known: Iterable[str]) -> str:
    plain = word.replace("_", "").casefold()
    for name in known:
        if name.replace("_", "").casefold() == plain:
            return name
    return "".join(part.capitalize() for part in word.split("_"))


def _value(path: tuple[str, ...], text: str) -> Json:
    """JSON if the text is some and the option takes it, else the text itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    option = OPTIONS.get(path[0])
    if option is None:
        return value
    if len(path) == 1:
        return value if has_type(option, value) else text
    if option.type is OBJECT and option.rule and len(path) == 2:
        return text if any(option.rule({path[1]: value})) else value
    return value
