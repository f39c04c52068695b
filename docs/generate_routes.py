"""Writes rest-routes.rst: every route of Orthanc's API, and whether this server has it.

Usage: ``python docs/generate_routes.py``. A test fails if the file is out of date, if a route
is neither served nor named in ``routes-absent.json`` with its reason, or if a reason is stale.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
OUTPUT = ROOT / "docs" / "rest-routes.rst"
METHODS = ("GET", "POST", "PUT", "DELETE")


class Entry(NamedTuple):
    """A route of Orthanc: served by our ``path``, or absent for a reason (None: for none)."""

    method: str
    path: str
    served: bool
    reason: str | None


def reference() -> list[tuple[str, str]]:
    """Method and path of every operation of Orthanc 1.13.0."""
    paths = json.loads((ROOT / "tests" / "reference" / "api.json").read_text("utf-8"))["paths"]
    return [
        (method, path)
        for path in sorted(paths)
        for method in sorted(paths[path], key=METHODS.index)
    ]


def reasons() -> list[dict[str, str]]:
    """Why routes are absent: patterns of ``METHOD /path``."""
    found: list[dict[str, str]] = json.loads(
        (ROOT / "docs" / "routes-absent.json").read_text("utf-8")
    )
    return found


def served(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Method and path of every operation of an OpenAPI document."""
    return [
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    ]


def compare(ours: Iterable[tuple[str, str]], absent: Iterable[Mapping[str, str]]) -> list[Entry]:
    """What has become of each route of Orthanc."""
    patterns: dict[str, list[re.Pattern[str]]] = {}
    for method, path in ours:
        pattern = re.sub(r"{[^}]*}", "[^/]+", re.sub(r"[.+*]", r"\\\g<0>", path))
        patterns.setdefault(method, []).append(re.compile(pattern))
    entries = []
    for method, path in reference():
        is_served = any(pattern.fullmatch(path) for pattern in patterns.get(method, ()))
        reason = next(
            (one["why"] for one in absent if re.search(one["match"], f"{method} {path}")), None
        )
        entries.append(Entry(method, path, is_served, None if is_served else reason))
    return entries


def stale(entries: Iterable[Entry], absent: Iterable[Mapping[str, str]]) -> list[str]:
    """Patterns that match no absent route, or one that is served."""
    absent_lines, served_lines = [], []
    for entry in entries:
        (served_lines if entry.served else absent_lines).append(f"{entry.method} {entry.path}")
    return [
        one["match"]
        for one in absent
        if not any(re.search(one["match"], line) for line in absent_lines)
        or any(re.search(one["match"], line) for line in served_lines)
    ]


def render(entries: Iterable[Entry], ours: Iterable[tuple[str, str]]) -> str:
    """The whole file."""
    entries = list(entries)
    count = sum(entry.served for entry in entries)
    lines = [
        ".. Written by docs/generate_routes.py: change the routes or routes-absent.json, not this.",
        "",
        "Routes",
        "======",
        "",
        f"Of the {len(entries)} operations of Orthanc 1.13.0, {count} are served.",
        "",
        *_table("Path", "Methods", "Not there"),
    ]
    by_path: dict[str, list[Entry]] = {}
    for entry in entries:
        by_path.setdefault(entry.path, []).append(entry)
    for path, group in by_path.items():
        methods = " ".join(entry.method for entry in group if entry.served)
        missing = "; ".join(
            f"{entry.method}: {entry.reason or 'unknown'}" for entry in group if not entry.served
        )
        lines += _row(f"``{path}``", methods, missing)
    known = {_shape(path) for path in by_path}
    own = sorted({path for _, path in ours if _shape(path) not in known})
    title = "Beyond the description of Orthanc"
    lines += ["", title, "-" * len(title), "", *_table("Path", "Methods")]
    for path in own:
        methods = " ".join(
            sorted((method for method, its in ours if its == path), key=METHODS.index)
        )
        lines += _row(f"``{path}``", methods)
    return "\n".join([*lines, ""])


def _shape(path: str) -> str:
    """A path without the names of its variables."""
    return re.sub(r"{[^}]*}", "{}", path)


def _table(*headings: str) -> list[str]:
    return [".. list-table::", "   :header-rows: 1", "", *_row(*headings)]


def _row(*cells: str) -> list[str]:
    return [
        f"   {'*' if index == 0 else ' '} - {cell}".rstrip() for index, cell in enumerate(cells)
    ]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from orthanc_tw.app.describe import openapi_document

    operations = served(openapi_document())
    OUTPUT.write_text(render(compare(operations, reasons()), operations), encoding="utf-8")
