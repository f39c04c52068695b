"""Identifying values of the source that stand in elements which nobody thought of.

The profile goes by the element; a technician who types the patient's name into the name of
a protocol does not. After the profile has been applied, text that still has an identifying
value of the source in it is emptied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.document import Document, Element, Item
from orthanc_tw.dicom.modification.iod_types import dummy_text
from orthanc_tw.dicom.modification.new_values import is_encodable
from orthanc_tw.dicom.modification.profile import Action
from orthanc_tw.dicom.tags import is_private

_IDENTIFYING = frozenset(
    (
        0x00080050,  # AccessionNumber
        0x00080080,  # InstitutionName
        0x00080081,  # InstitutionAddress
        0x00100020,  # PatientID
        0x00100030,  # PatientBirthDate
        0x00101000,  # OtherPatientIDs
        0x00101040,  # PatientAddress
        0x00102154,  # PatientTelephoneNumbers
        0x00380010,  # AdmissionID
        0x00402016,  # PlacerOrderNumberImagingServiceRequest
        0x00402017,  # FillerOrderNumberImagingServiceRequest
    )
)
_TEXT_VRS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"))
_BINARY_VRS = frozenset(("OB", "OW"))
_BINARY_GROUPS = frozenset((0x5400, 0x7FE0))  # waveforms and pixels
_OVERLAYS = range(0x6000, 0x6100)
_STUDY_ID = 0x00200010
# Their tables keep labels that often repeat the StudyID
_EDITIONS_WITH_LABELS = frozenset(("2008", "2017c"))
# Shorter ones are in too many words, and items have many more values
_MIN_LETTERS = 4
_MIN_LETTERS_IN_ITEMS = 6
# An institution may be called Here
_MIN_ANY_CASE = 6
_MAX_TEXT_BYTES = 1024 * 1024
_MAX_BINARY_BYTES = 64 * 1024
# Who keeps private elements wants the headers of vendors, not emptied ones
_MAX_PRIVATE_BYTES = 1024
# An anonymized object that is anonymized again keeps its dummy values
_DUMMIES = frozenset(dummy_text(vr).lower() for vr in ("LO", "PN", "DA"))
_UTF8 = "ISO_IR 192"


class Leaks:
    """Finds the identifying values of one instance in the bytes of other elements.

    Values in items count too. Names are looked for as they are, and as ``Doe Jane``,
    ``Doe, Jane`` and ``Jane Doe``, in each character set of the instance and in UTF-8; case
    does not count in longer ones.

    :param action: what becomes of an element, by its tag and depth
    :param edition: of the profile
    :param default_encoding: of data sets without SpecificCharacterSet
    :param uids: of the instance, that change
    """

    def __init__(
        self,
        document: Document,
        action: Callable[[int, int], Action],
        edition: str,
        default_encoding: Encoding,
        uids: Iterable[str] = (),
    ) -> None:
        self._action = action
        self._tags = _IDENTIFYING
        if edition not in _EDITIONS_WITH_LABELS:
            self._tags |= {_STUDY_ID}
        self._uids = [uid.encode("latin-1", "replace") for uid in uids if len(uid) > _MIN_LETTERS]
        charsets = {_UTF8: charsets_of(_UTF8, Encoding.UTF8)}
        found: set[str] = set()
        raw: set[bytes] = set()
        for item, element, value in self._values(document.dataset, 0):
            name = item.specific_character_set
            charset = charsets.get(name or "")
            if charset is None:
                charset = charsets[name or ""] = charsets_of(name, default_encoding)
            is_name = element.vr == "PN"
            stripped = value.strip(b" \0^=")
            if stripped.lower().decode("latin-1") not in _DUMMIES:
                raw.update(part for part in stripped.split(b"\\") if len(part) >= _MIN_LETTERS)
            for text in charset.decode(value, is_person_name=is_name).split("\\"):
                found.update(_forms(text, is_name))
        self._pattern = _pattern(frozenset(raw | set(_encoded(found, charsets.values()))))

    def has(self, element: Element, read: Callable[[], bytes]) -> bool:
        """Whether the value of an element has one of them in it.

        :param read: answers the value
        """
        length = element.length
        is_binary = element.vr in _BINARY_VRS or element.vr == "UN"
        if is_binary and is_private(element.tag) and length > _MAX_PRIVATE_BYTES:
            return False
        if element.vr in _BINARY_VRS:
            group = element.tag >> 16
            if length > _MAX_BINARY_BYTES or group in _BINARY_GROUPS or group in _OVERLAYS:
                return False
        elif element.vr not in _TEXT_VRS:
            return False
        if not _MIN_LETTERS <= length <= _MAX_TEXT_BYTES or element.is_encapsulated:
            return False
        value = read()
        if self._pattern is not None and self._pattern.search(value) is not None:
            return True
        return b"." in value and any(uid in value for uid in self._uids)

    def _values(self, item: Item, depth: int) -> Iterator[tuple[Item, Element, bytes]]:
        for element in item:
            if element.items is not None:
                for nested in element.items:
                    yield from self._values(nested, depth + 1)
                continue
            if element.vr != "PN" and element.tag not in self._tags:
                continue
            value = element.inline
            if not value or len(value) < (_MIN_LETTERS_IN_ITEMS if depth else _MIN_LETTERS):
                continue
            if self._action(element.tag, depth) is not Action.KEEP:
                yield item, element, value


def _forms(text: str, is_name: bool) -> Iterator[str]:
    """A value, and how people write it elsewhere."""
    for group in (text, *text.split("=")) if is_name else (text,):
        whole = group.strip(" \0^=")
        if len(whole) < _MIN_LETTERS or whole.lower() in _DUMMIES:
            continue
        yield whole
        parts = [part.strip() for part in whole.split("^") if part.strip()] if is_name else []
        if len(parts) > 1:
            yield " ".join(parts)
            family, given = parts[:2]
            if len(family) + len(given) > _MIN_LETTERS:
                yield from (f"{family} {given}", f"{family}, {given}", f"{given} {family}")
                yield from (f"{family}^{given}", f"{given}^{family}")


def _encoded(texts: Iterable[str], charsets: Iterable[CharacterSet]) -> Iterator[bytes]:
    known = list(charsets)
    for text in texts:
        if text.isascii():
            yield text.encode("ascii")
            continue
        for charset in known:
            if is_encodable(text, charset):
                yield charset.encode(text)


@lru_cache(maxsize=64)
def _pattern(values: frozenset[bytes]) -> re.Pattern[bytes] | None:
    # Instances of a study have the same values
    if not values:
        return None
    forms = (
        b"(?i:%s)" % re.escape(value) if len(value) >= _MIN_ANY_CASE else re.escape(value)
        for value in sorted(values)
    )
    return re.compile(b"|".join(forms))
