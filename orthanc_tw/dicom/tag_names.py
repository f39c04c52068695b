"""Names of data elements as Orthanc shows them, and their VR where the file has none.

The names are those of DCMTK's dictionary: the keyword (PS3.6), ``RETIRED_`` before that of a
retired element, and a few general ones for group lengths, private creators and the unknown.
"""

from __future__ import annotations

from functools import lru_cache

from orthanc_tw.dicom.private_dictionary import private_dictionary
from orthanc_tw.dicom.public_dictionary import entry as public_entry
from orthanc_tw.dicom.tags import UNKNOWN_NAME, DictionaryEntry, UserDictionary, is_private

# Orthanc names OtherPatientIDs without the prefix; the others were retired by DICOM after
# DCMTK 3.6.7, the version that Orthanc 1.13.0 is released with
_NAMED_AS_CURRENT = frozenset(
    (
        0x00101000,
        0x00380004,
        0x00701807,
        0x00701808,
        0x30040010,
        0x30040012,
        0x30060085,
        0x30060088,
        0x3008002B,
        0x30100090,
    )
)
_AMBIGUOUS = {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


def is_private_creator(tag: int) -> bool:
    """Whether this element reserves a block for a private creator (PS3.5 section 7.8.1)."""
    return is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF


def tag_name(
    tag: int, private_creator: str | None = None, dictionary: UserDictionary | None = None
) -> str:
    """Name of an element.

    :param private_creator: value of the private creator element of its block, if it has one
    :param dictionary: elements that option ``Dictionary`` adds
    """
    if dictionary:
        entry = _user_entry(tag, private_creator, dictionary)
        if entry:
            return entry.name
        if dictionary.private is not None and private_creator and _is_vendors(tag):
            found = dictionary.private.find(tag, private_creator)
            return found.name if found else UNKNOWN_NAME
    return _tag_name(tag, private_creator)


def dictionary_vr(
    tag: int,
    private_creator: str | None = None,
    signed: bool = False,
    dictionary: UserDictionary | None = None,
) -> str:
    """VR of an element of an implicit VR transfer syntax; ``UN`` if it is unknown.

    :param signed: whether PixelRepresentation of the data set is 1 (``US or SS``)
    """
    if dictionary:
        entry = _user_entry(tag, private_creator, dictionary)
        if entry:
            return entry.vr
        if dictionary.private is not None and private_creator and _is_vendors(tag):
            found = dictionary.private.find(tag, private_creator)
            return _dicom_vr(found.vr, signed) if found else "UN"
    return _dictionary_vr(tag, private_creator, signed)


def _is_vendors(tag: int) -> bool:
    """Whether this is an element of a block that a private creator reserves."""
    return is_private(tag) and tag & 0xFFFF > 0xFF


def _dicom_vr(vr: str, signed: bool) -> str:
    """DICOM's VR of one of DCMTK, which has its own for ``OB or OW`` and ``US or SS``."""
    return {"ox": "OW", "px": "OW", "xs": "SS" if signed else "US"}.get(vr, vr)


def _user_entry(
    tag: int, private_creator: str | None, dictionary: UserDictionary
) -> DictionaryEntry | None:
    entry = dictionary.by_tag.get(tag)
    if entry and is_private(tag) and entry.creator != private_creator:
        return None
    return entry


@lru_cache(maxsize=8192)
def _tag_name(tag: int, private_creator: str | None) -> str:
    if is_private(tag):
        if tag & 0xFFFF == 0:
            return "PrivateGroupLength" if tag >> 16 > 8 else "IllegalGroupLength"
        if is_private_creator(tag):
            return "PrivateCreator" if tag >> 16 > 8 else "IllegalPrivateCreator"
        found = private_dictionary().find(tag, private_creator) if private_creator else None
        return found.name if found else UNKNOWN_NAME
    entry = public_entry(tag)
    if entry is None:
        return "GenericGroupLength" if tag & 0xFFFF == 0 else UNKNOWN_NAME
    _, _, _, retired, keyword = entry
    if not keyword:
        return UNKNOWN_NAME
    return f"RETIRED_{keyword}" if retired and tag not in _NAMED_AS_CURRENT else keyword


@lru_cache(maxsize=8192)
def _dictionary_vr(tag: int, private_creator: str | None, signed: bool) -> str:
    if tag & 0xFFFF == 0:
        return "UL"
    if is_private(tag):
        if is_private_creator(tag):
            return "LO"
        found = private_dictionary().find(tag, private_creator) if private_creator else None
        return _dicom_vr(found.vr if found else "UN", signed)
    entry = public_entry(tag)
    if entry is None:
        return "UN"
    vr = entry[0]
    if vr == "US or SS" and signed:
        return "SS"
    return _AMBIGUOUS.get(vr, vr)
