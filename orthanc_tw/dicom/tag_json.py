"""The three JSON formats of DICOM tags of the REST API.

``full``: ``{"0010,0010": {"Name", "Type", "Value", "PrivateCreator"}}``; ``short``:
``{"0010,0010": value}``; ``simplify``: ``{"PatientName": value}``, where the last element of a
name wins. A value is text, a list of such objects (sequence) or null (binary, too long).
Source: ``/instances/{id}/tags``, ``/header`` of the REST API, and what Orthanc answers.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from orthanc_tw.dicom.charset import CharacterSet, CodeExtensions, Encoding, charsets_of
from orthanc_tw.dicom.document import Document, Element, Item
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_names import dictionary_vr, tag_name
from orthanc_tw.dicom.tags import UserDictionary, format_tag, is_private
from orthanc_tw.model.json_types import JsonObject, JsonValue

MAX_TEXT_BYTES = 256
_MAX_READ_BYTES = 64 * 1024 * 1024
_NUMBERS = {"SL": "i", "SS": "h", "UL": "I", "US": "H"}
BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SV", "UN", "UV"))
_FLOATS = {"FD": "d", "FL": "f"}
_SHORT_TEXT = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI")
_TEXT = frozenset((*_SHORT_TEXT, "LT", "ST", "UR", "UT"))
_UNPADDED = frozenset(("UI", "UN"))
# By VR, by whether the file is little endian
_BINARY = {
    vr: (struct.Struct(">" + code), struct.Struct("<" + code))
    for vr, code in {**_NUMBERS, **_FLOATS, "AT": "HH"}.items()
}
_SHOWN = _TEXT | _BINARY.keys()
# One byte of a value becomes fewer bytes of UTF-8 text than this. The most is 24 for 4 bytes:
# "-1.1754943508222875e-38" and a backslash
_MAX_GROWTH = 8


class TagFormat(enum.Enum):
    """Which of the formats to answer in; the values are the names of the query arguments."""

    FULL = "full"
    SHORT = "short"
    SIMPLIFY = "simplify"


# Looking a member of an enumeration up takes as long as all else that adding a tag does
_SHORT, _SIMPLIFY = TagFormat.SHORT, TagFormat.SIMPLIFY


@dataclass(frozen=True, slots=True)
class TagOptions:
    """How values become text.

    :ivar default_encoding: of files without SpecificCharacterSet (``DefaultEncoding``)
    :ivar max_text_bytes: text whose UTF-8 is longer is shown as null (``TooLong``); 0: never
    :ivar ignore_length: tags (``0xggggeeee``) that are shown however long they are
    :ivar dictionary: elements that option ``Dictionary`` adds
    """

    default_encoding: Encoding = Encoding.LATIN1
    code_extensions: CodeExtensions = CodeExtensions.STANDARD
    max_text_bytes: int = MAX_TEXT_BYTES
    ignore_length: frozenset[int] = field(default_factory=frozenset)
    dictionary: UserDictionary | None = None


def tags_json(
    file: BinaryIO,
    tag_format: TagFormat = TagFormat.FULL,
    options: TagOptions | None = None,
    *,
    whole: bool = False,
) -> JsonObject:
    """The tags of a DICOM file, without meta information (``/instances/{id}/tags``).

    Blocks on the file: call it in a thread.

    :param whole: go on after the pixel data (``?whole``)
    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file
    """
    options = options or TagOptions()
    document = read_document(file, stop_at_pixels=not whole, dictionary=options.dictionary)
    try:
        return item_json(document, document.dataset, tag_format, options)
    finally:
        document.close()


def header_json(
    file: BinaryIO, tag_format: TagFormat = TagFormat.FULL, options: TagOptions | None = None
) -> JsonObject:
    """The meta information of a DICOM file (``/instances/{id}/header``); its text only.

    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file
    """
    document = read_document(file, stop_at_pixels=True)
    document.close()  # the meta information is never in the temporary file
    document.file = file
    meta = Item(
        {tag: e for tag, e in document.meta.elements.items() if _is_shown(e, None)},
        specific_character_set=document.meta.specific_character_set,
    )
    return item_json(document, meta, tag_format, options or TagOptions())


def item_json(
    document: Document, item: Item, tag_format: TagFormat, options: TagOptions
) -> JsonObject:
    """A data set or an item of a parsed file as JSON. May block on the file."""
    character_set = charsets_of(
        item.specific_character_set,
        options.default_encoding,
        code_extensions=options.code_extensions,
    )
    target: JsonObject = {}
    dictionary = options.dictionary
    for element in item.elements.values():
        if element.items is not None:
            kind, value = "Sequence", sequence_json(document, element, tag_format, options)
        else:
            kind, value = _leaf(document, item, element, character_set, options)
        add_tag(target, element.tag, element.private_creator, kind, value, tag_format, dictionary)
    return target


def sequence_json(
    document: Document, element: Element, tag_format: TagFormat, options: TagOptions
) -> JsonValue:
    """The items of a sequence as a list of JSON objects."""
    return [item_json(document, i, tag_format, options) for i in element.items or ()]


def add_tag(
    target: JsonObject,
    tag: int,
    private_creator: str | None,
    kind: str,
    value: JsonValue,
    tag_format: TagFormat,
    dictionary: UserDictionary | None = None,
) -> None:
    """Add one tag to a JSON object of that format; ``kind`` is the ``Type`` of ``full``."""
    if tag_format is _SHORT:
        target[format_tag(tag)] = value
        return
    name = tag_name(tag, private_creator, dictionary)
    if tag_format is _SIMPLIFY:
        target[name] = value
        return
    shown: JsonObject = {"Name": name, "Type": kind, "Value": value}
    if private_creator and is_private(tag):
        shown["PrivateCreator"] = private_creator
    target[format_tag(tag)] = shown


def _leaf(
    document: Document,
    item: Item,
    element: Element,
    character_set: CharacterSet,
    options: TagOptions,
) -> tuple[str, JsonValue]:
    if element.vr not in _SHOWN and not _is_shown(element, options.dictionary):
        return "Null", None
    value = element.inline
    limit = options.max_text_bytes
    if value is not None and len(value) * _MAX_GROWTH <= limit:
        return "String", value_text(value, element.vr, item.little_endian, character_set)
    limited = limit and element.tag not in options.ignore_length
    # UTF-8 is no shorter than half of what any encoding, with padding, takes
    most = 64 * limit if limited else _MAX_READ_BYTES
    if element.length > most:
        return "TooLong", None
    text = value_text(document.read(element), element.vr, item.little_endian, character_set)
    if limited and len(text.encode("utf-8", "replace")) > limit:
        return "TooLong", None
    return "String", text


def _is_shown(element: Element, dictionary: UserDictionary | None) -> bool:
    """Whether the value is text or numbers that the formats show; SV and UV are none to Orthanc."""
    if element.vr == "UN":
        vr = dictionary_vr(element.tag, element.private_creator, dictionary=dictionary)
        return vr in _TEXT
    return element.vr in _SHOWN


def value_text(value: bytes, vr: str, little_endian: bool, character_set: CharacterSet) -> str:
    """Text of the bytes of a value: numbers and tags too, several joined by backslashes."""
    if vr in _BINARY:
        return _number_text(value, _BINARY[vr][little_endian], vr)
    # As DCMTK has it: text ends with the first NUL, trailing spaces are padding, leading ones
    # are not; in a UID and where the VR is unknown, spaces are no padding
    if b"\0" in value:
        value = value[: value.index(b"\0")]
    text = character_set.decode(value, is_person_name=vr == "PN")
    return text if vr in _UNPADDED else text.rstrip(" ")


def _number_text(value: bytes, record: struct.Struct, vr: str) -> str:
    size = record.size
    if len(value) == size and vr in _NUMBERS:
        return str(record.unpack(value)[0])
    usable = len(value) // size * size
    numbers = record.iter_unpack(value[:usable])
    if vr in _NUMBERS:
        return "\\".join([str(number) for (number,) in numbers])
    if vr == "AT":
        return "\\".join([f"{group:04x},{element:04x}" for group, element in numbers])
    # 17 significant digits, even of a single: what Orthanc shows
    return "\\".join([f"{number:.17g}" for (number,) in numbers])
