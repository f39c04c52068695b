"""Transfer syntaxes and storage SOP classes that are known, and the patterns that choose them.

Sources: PS3.5 section 10 and annex A, PS3.6 annex A; order and extent of the lists are those of
``/tools/accepted-transfer-syntaxes`` and ``/tools/accepted-sop-classes``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orthanc_tw.dicom.public_dictionary import uid_name
from orthanc_tw.dicom.storage_sop_classes import STORAGE_SOP_CLASSES

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set is encoded.

    :ivar is_encapsulated: pixel data is a sequence of fragments (PS3.5 A.4)
    :ivar is_deflated: what follows the meta header is a raw deflate stream (PS3.5 A.5)
    """

    uid: str
    is_explicit: bool = True
    is_little_endian: bool = True
    is_encapsulated: bool = False
    is_deflated: bool = False

    @property
    def name(self) -> str:
        """Name in PS3.6, or the UID."""
        return uid_name(self.uid)


_JPEG = "1.2.840.10008.1.2.4."
_ENCAPSULATED = (*range(50, 67), 70, 80, 81, 90, 91, 92, 93)
_VIDEO = range(100, 109)

_ORDERED = (
    TransferSyntax(IMPLICIT_LITTLE_ENDIAN, is_explicit=False),
    TransferSyntax(EXPLICIT_LITTLE_ENDIAN),
    TransferSyntax(DEFLATED_EXPLICIT_LITTLE_ENDIAN, is_deflated=True),
    TransferSyntax(EXPLICIT_BIG_ENDIAN, is_little_endian=False),
    *(TransferSyntax(f"{_JPEG}{number}", is_encapsulated=True) for number in _ENCAPSULATED),
    # JPIP: the pixels are elsewhere, named by (0028,7FE0).
    TransferSyntax(f"{_JPEG}94"),
    TransferSyntax(f"{_JPEG}95", is_deflated=True),
    *(TransferSyntax(f"{_JPEG}{number}", is_encapsulated=True) for number in _VIDEO),
    TransferSyntax("1.2.840.10008.1.2.5", is_encapsulated=True),
    TransferSyntax("1.2.840.10008.1.2.6.1"),
    TransferSyntax("1.2.840.10008.1.2.6.2"),
    # JPEG XL and High-Throughput JPEG 2000.
    *(
        TransferSyntax(f"{_JPEG}{number}", is_encapsulated=True)
        for number in (110, 111, 112, 201, 202, 203)
    ),
)

TRANSFER_SYNTAXES: dict[str, TransferSyntax] = {syntax.uid: syntax for syntax in _ORDERED}
"""Known transfer syntaxes by UID, in the order of the REST API."""


def transfer_syntax(uid: str) -> TransferSyntax | None:
    """The transfer syntax of that UID, or None if it is not known."""
    return TRANSFER_SYNTAXES.get(uid)


def is_known_transfer_syntax(uid: str) -> bool:
    """Say whether the UID is that of a transfer syntax in `TRANSFER_SYNTAXES`."""
    return uid in TRANSFER_SYNTAXES


def accepted_transfer_syntaxes(patterns: Iterable[str]) -> list[str]:
    """UIDs of the known transfer syntaxes that match any pattern (``*`` and ``?``)."""
    return _matching(TRANSFER_SYNTAXES, patterns)


def accepted_sop_classes(accepted: Sequence[str] = (), rejected: Sequence[str] = ()) -> list[str]:
    """Storage SOP classes that match ``accepted`` (all if it is empty) and not ``rejected``."""
    candidates = _matching(STORAGE_SOP_CLASSES, accepted) if accepted else STORAGE_SOP_CLASSES
    refused = set(_matching(candidates, rejected))
    return [uid for uid in candidates if uid not in refused]


def _matching(uids: Iterable[str], patterns: Iterable[str]) -> list[str]:
    expressions = [
        re.escape(pattern.strip()).replace(r"\*", ".*").replace(r"\?", ".") for pattern in patterns
    ]
    if not expressions:
        return []
    matcher = re.compile("|".join(expressions))
    return [uid for uid in uids if matcher.fullmatch(uid)]
