"""Small data sets as text: identifiers of queries, their answers, worklists.

An `Attribute` has its VR and its text, decoded; sequences have items. What has no text (binary
values, very long ones) keeps its place with empty text, since a query names what it wants back.
`orthanc_tw.dicom.attributes_writer` is the way back to bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.document import Document, DocumentLimits, Element, Item
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_json import BINARY_VRS, value_text
from orthanc_tw.dicom.tag_names import dictionary_vr
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.dicom.values import TEXT_VRS

SPECIFIC_CHARACTER_SET = 0x00080005
MAX_TEXT_BYTES = 64 * 1024
_LIMITS = DocumentLimits(max_elements=50_000, max_inflated_bytes=16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A data element.

    :ivar vr: two letters
    :ivar text: value without padding, several joined by backslashes; '' for a sequence
    :ivar items: of a sequence, else None
    """

    vr: str
    text: str = ""
    items: tuple[Attributes, ...] | None = None


Attributes = dict[int, Attribute]


def parse_attributes(
    content: bytes,
    transfer_syntax: str,
    default_encoding: Encoding,
    dictionary: UserDictionary | None = None,
) -> Attributes:
    """Read a data set as it comes with a DIMSE message (PS3.7 6.3.1: no meta information).

    For data sets of some KiB: nothing here waits for anything.

    :param transfer_syntax: UID of the presentation context
    :param default_encoding: of text, unless the data set has SpecificCharacterSet
    :raises OrthancError: BAD_FILE_FORMAT if it is malformed or exceeds a limit
    """
    if not content:
        return {}
    uid = transfer_syntax.encode("ascii", "replace")
    uid += b"\0" * (len(uid) % 2)
    meta = b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid
    file = BytesIO(bytes(128) + b"DICM" + meta + content)
    return read_attributes(file, default_encoding, dictionary)


def read_attributes(
    file: BinaryIO, default_encoding: Encoding, dictionary: UserDictionary | None = None
) -> Attributes:
    """Read a DICOM file up to its pixels. Blocks on the file.

    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM or exceeds a limit
    """
    document = read_document(file, stop_at_pixels=True, limits=_LIMITS, dictionary=dictionary)
    try:
        return _attributes(document, document.dataset, default_encoding)
    finally:
        document.close()


def _attributes(document: Document, item: Item, default_encoding: Encoding) -> Attributes:
    charset = charsets_of(item.specific_character_set, default_encoding)
    found: Attributes = {}
    for element in item:
        if element.tag & 0xFFFF == 0:  # a group length is wrong in any other data set
            continue
        if element.items is not None:
            items = tuple(_attributes(document, i, default_encoding) for i in element.items)
            found[element.tag] = Attribute("SQ", items=items)
        else:
            found[element.tag] = _leaf(document, item, element, charset)
    return found


def _leaf(document: Document, item: Item, element: Element, charset: CharacterSet) -> Attribute:
    vr = element.vr
    if vr == "UN":
        vr = dictionary_vr(element.tag, element.private_creator)
        if vr not in TEXT_VRS:
            return Attribute("UN")
    if vr == "SQ":
        return Attribute("SQ", items=())
    if vr in BINARY_VRS or element.is_encapsulated or element.length > MAX_TEXT_BYTES:
        return Attribute(vr)
    text = value_text(document.read(element), vr, item.little_endian, charset)
    return Attribute(vr, text.strip(" ") if vr in _TRIMMED else text)


# Spaces around a value mean nothing (PS3.5 6.2), nor does the NUL that pads a UID
_TRIMMED = frozenset(("AE", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI"))
