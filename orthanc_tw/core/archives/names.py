"""Folder and file names of an archive, from main DICOM tags. Pure functions.

The names are those that a running Orthanc 1.13.0 gives (recording 20-jobs-archives and
13-charsets); what is not recorded there, as it is by 1.10.1 (``-2`` for a name that is
taken, the unknown ones).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Tags = Mapping[str, str]

PATIENT_ID = "0010,0020"
PATIENT_NAME = "0010,0010"
ACCESSION_NUMBER = "0008,0050"
STUDY_DESCRIPTION = "0008,1030"
SERIES_NUMBER = "0020,0011"
MODALITY = "0008,0060"
SERIES_DESCRIPTION = "0008,103e"

# what Windows forbids in a name, which includes every separator
_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_MODALITY = re.compile(r"[^A-Z0-9]")
_MAXIMUM_INSTANCE_NUMBER = 999_999_999
# a member's name has at most 65,535 bytes, a file's on most systems 255
_MAXIMUM_NAME_BYTES = 200


def patient_folder(tags: Tags, *, utf8: bool) -> str:
    """``PatientID - PatientName``."""
    return _folder("Unknown Patient", utf8, tags.get(PATIENT_ID), tags.get(PATIENT_NAME))


def study_folder(tags: Tags, *, utf8: bool) -> str:
    """``AccessionNumber - StudyDescription``."""
    return _folder("Unknown Study", utf8, tags.get(ACCESSION_NUMBER), tags.get(STUDY_DESCRIPTION))


def series_folder(tags: Tags, *, utf8: bool) -> str:
    """``SeriesNumber - Modality - SeriesDescription``."""
    return _folder(
        "Unknown Series",
        utf8,
        tags.get(SERIES_NUMBER),
        tags.get(MODALITY),
        tags.get(SERIES_DESCRIPTION),
    )


def instance_file(series: Tags, number: str | None, position: int) -> str:
    """Two letters of the modality and InstanceNumber, or ``position`` in the series without one.

    :param number: InstanceNumber as it is in the file

    :returns: such as ``CT000018``; the extension is the caller's to add
    """
    prefix = _MODALITY.sub("", series.get(MODALITY, "").upper())[:2]
    parsed = _instance_number(number or "")
    return f"{prefix}{position if parsed is None else parsed:0{8 - len(prefix)}d}"


def unique(name: str, taken: set[str]) -> str:
    """``name``, or with ``-2``, ``-3``... if that is taken; it is added to ``taken``."""
    candidate, n = name, 1
    while candidate in taken:
        n += 1
        candidate = f"{name}-{n}"
    taken.add(candidate)
    return candidate


def _folder(unknown: str, utf8: bool, *parts: str | None) -> str:
    name = " - ".join(part.strip() for part in parts if part and part.strip())
    if not utf8:
        name = _NOT_ASCII.sub("", name)
    name = _CONTROL.sub("", _FORBIDDEN.sub(" ", name))
    name = name.encode("utf-8", "ignore")[:_MAXIMUM_NAME_BYTES].decode("utf-8", "ignore").strip()
    # "." and ".." would lead out of the archive
    return name if name.strip(". ") else unknown


def _instance_number(text: str) -> int | None:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        return None
    number = int(text)
    return number if number <= _MAXIMUM_INSTANCE_NUMBER else None
