"""The reference corpus and pydicom's test files, for the tests of ``orthanc_tw.dicom``."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pydicom

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
