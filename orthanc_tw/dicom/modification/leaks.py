"""Identifying values of the source that stand in elements which nobody thought of.

The profile goes by the element; a technician who types the patient's name into the name of
a protocol does not. After the profile has been applied, text that still has an identifying
value of the source in it is emptied.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from orthanc_tw.dicom.document import Document
from orthanc_tw.dicom.modification.profile import Action

_IDENTIFYING = (
    0x00080050,  # AccessionNumber
    0x00080080,  # InstitutionName
    0x00080081,  # InstitutionAddress
    0x00100020,  # PatientID
    0x00101000,  # OtherPatientIDs
    0x00101040,  # PatientAddress
    0x00102154,  # PatientTelephoneNumbers
)
_TEXT_VRS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"))
_STUDY_ID = 0x00200010
# Their tables keep labels that often repeat the StudyID
_EDITIONS_WITH_LABELS = frozenset(("2008", "2017c"))
# Shorter ones are in too many words
_MIN_BYTES = 4
_MAX_TEXT_BYTES = 1024 * 1024


class Leaks:
    """Finds the identifying values of one instance in the bytes of other elements.

    :param action: what becomes of an element of the data set, by its tag
    :param edition: of the profile
    """

    def __init__(self, document: Document, action: Callable[[int], Action], edition: str) -> None:
        found: set[bytes] = set()
        tags = {*_IDENTIFYING}
        if edition not in _EDITIONS_WITH_LABELS:
            tags.add(_STUDY_ID)
        for element in document.dataset:
            value = element.inline
            if not value or len(value) < _MIN_BYTES:
                continue
            if element.vr != "PN" and element.tag not in tags:
                continue
            if action(element.tag) is Action.KEEP:
                continue
            for part in value.split(b"\\"):
                stripped = part.strip(b" \0^=")
                if len(stripped) >= _MIN_BYTES:
                    found.add(stripped)
                    found.add(stripped.replace(b"^", b" "))
        self._pattern = re.compile(b"|".join(map(re.escape, found))) if found else None

    def has(self, vr: str, length: int, read: Callable[[], bytes]) -> bool:
        """Whether a value has one of them in it."""
        if self._pattern is None or vr not in _TEXT_VRS or not length >= _MIN_BYTES:
            return False
        if length > _MAX_TEXT_BYTES:
            return False
        return self._pattern.search(read()) is not None
