"""The recorded exchanges and the files they are about, for tests of functions."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import pydicom

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.levels import ResourceType

RECORDINGS = Path(__file__).parent.parent / "reference" / "recordings"
DATA = Path(pydicom.__file__).parent / "data"

Exchange = dict[str, Any]

# Topics whose exchanges show tags, with the DefaultEncoding of their configuration
TOPIC_ENCODINGS = {
    "12-tags": Encoding.LATIN1,
    "13-charsets-ascii": Encoding.ASCII,
    "13-charsets-latin1": Encoding.LATIN1,
    "13-charsets-utf8": Encoding.UTF8,
}


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
        if exchange["method"] == "DELETE":
            present.pop(exchange["path"].split("/")[2], None)
        answer = exchange.get("response", {})
        if exchange["method"] == "POST" and exchange["path"] == "/instances":
            identifier = (answer.get("json") or {}).get("ID")
            if identifier and "body_file" in exchange and "truncate" not in exchange:
                present[identifier] = DATA / exchange["body_file"]
        yield exchange, present


@functools.lru_cache(maxsize=1024)
def public_ids(path: Path) -> dict[ResourceType, str]:
    """Orthanc identifiers of the resources that a file belongs to."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    identifiers = DicomIdentifiers(
        str(dataset.get("PatientID") or ""),
        str(dataset.StudyInstanceUID),
        str(dataset.SeriesInstanceUID),
        str(dataset.SOPInstanceUID),
    )
    return {level: identifiers.public_id(level) for level in ResourceType}


def matches(answer: dict[str, Any], value: object) -> bool:
    """Whether ``value`` is the JSON value of a recorded answer."""
    text = json.dumps(value, sort_keys=True)
    if "json_hash" in answer:
        expected = answer["json_hash"]
        digest = expected["sha256"] if isinstance(expected, dict) else expected
        return hashlib.sha256(text.encode()).hexdigest() == digest
    return text == json.dumps(answer["json"], sort_keys=True)


#: Files whose names use ISO 2022 code extensions, which the reference does not follow.
CODE_EXTENDED = ("chrH32.dcm", "chrJapMultiExplicitIR6.dcm")


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


def format_of(arguments: Container[str], default: TagFormat) -> TagFormat:
    """What a request asks for, by the names of its query arguments."""
    order = (TagFormat.SIMPLIFY, TagFormat.SHORT, TagFormat.FULL)
    return next((one for one in order if one.value in arguments), default)
