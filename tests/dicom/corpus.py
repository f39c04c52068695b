<<<<<<< HEAD
"""The recorded exchanges and the files they are about, for tests of functions."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
=======
"""The reference corpus and pydicom's test files, for the tests of ``orthanc_tw.dicom``."""

from __future__ import annotations

import json
from functools import lru_cache
>>>>>>> jobs
from pathlib import Path
from typing import Any

import pydicom

<<<<<<< HEAD
RECORDINGS = Path(__file__).parent.parent / "reference" / "recordings"
DATA = Path(pydicom.__file__).parent / "data"

Exchange = dict[str, Any]


@functools.lru_cache(maxsize=4)
def exchanges(topic: str) -> list[Exchange]:
    """All exchanges of a topic."""
    with open(RECORDINGS / f"{topic}.json", encoding="utf-8") as file:
        found: list[Exchange] = json.load(file)["exchanges"]
    return found


def with_files(topic: str) -> Iterator[tuple[Exchange, dict[str, Path]]]:
    """Exchanges, with the files of the instances that are on the server at that time."""
    present: dict[str, Path] = {}
    for exchange in exchanges(topic):
        answer = exchange.get("response", {})
        if exchange["method"] == "POST" and exchange["path"] == "/instances":
            identifier = (answer.get("json") or {}).get("ID")
            if identifier and "body_file" in exchange and "truncate" not in exchange:
                present[identifier] = DATA / exchange["body_file"]
        yield exchange, present


def matches(answer: dict[str, Any], value: object) -> bool:
    """Whether ``value`` is the JSON value of a recorded answer."""
    # A recording holds what went over the wire: UTF-8
    text = json.dumps(value, sort_keys=True)
    if "json_hash" in answer:
        expected = answer["json_hash"]
        digest = expected["sha256"] if isinstance(expected, dict) else expected
        return hashlib.sha256(text.encode()).hexdigest() == digest
    return text == json.dumps(answer["json"], sort_keys=True)
=======
DATA = Path(pydicom.__file__).parent / "data"
RECORDINGS = Path(__file__).parent.parent / "reference" / "recordings"


@lru_cache(maxsize=4)
def exchanges(topic: str) -> list[dict[str, Any]]:
    """Exchanges of one recording."""
    loaded: dict[str, Any] = json.loads((RECORDINGS / f"{topic}.json").read_text("utf-8"))
    result: list[dict[str, Any]] = loaded["exchanges"]
    return result


def topics() -> list[str]:
    """Names of all recordings."""
    return sorted(path.stem for path in RECORDINGS.glob("*.json"))


def dicom_files() -> list[Path]:
    """All files below pydicom's test and character set files, DICOM or not."""
    return sorted(
        path
        for folder in ("test_files", "charset_files")
        for path in (DATA / folder).rglob("*")
        if path.is_file()
    )
>>>>>>> jobs
