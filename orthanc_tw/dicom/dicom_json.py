"""The DICOM JSON model (PS3.18 annex F): ``/instances/{id}/file`` as ``application/dicom+json``.

Written piece by piece, since binary values are inline: pixel data passes through, and is
never whole in memory. As Orthanc does, DS stays text (it is decimal, JSON numbers are not),
encapsulated values are left out, and the meta information too.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from orthanc_tw.dicom.charset import CharacterSet, charsets_of
from orthanc_tw.dicom.document import NUMBER_BYTES, Document, Element, Item
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_json import BINARY_VRS, TagOptions, value_text
from orthanc_tw.model.json_types import JsonValue

CONTENT_TYPE = "application/dicom+json"
# A multiple of 3, so that pieces of base64 can be joined
_CHUNK_BYTES = 48 * 1024
_SINGLE_VALUED = frozenset(("LT", "ST", "UR", "UT"))
_INTEGERS = frozenset(("IS", "SL", "SS", "UL", "US"))
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def dicom_json(file: BinaryIO, options: TagOptions | None = None) -> Iterator[bytes]:
    """A DICOM file as DICOM JSON: pieces of UTF-8 that make up one object.

    Blocks on the file while it is iterated: do that in a thread, and keep the file open. The
    file is parsed at once, so that errors come before the first piece.

    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file
    """
    options = options or TagOptions()
    document = read_document(file, dictionary=options.dictionary)
    return _pieces(document, options)


def _pieces(document: Document, options: TagOptions) -> Iterator[bytes]:
    try:
        yield from _item(document, document.dataset, options)
    finally:
        document.close()


def _item(document: Document, item: Item, options: TagOptions) -> Iterator[bytes]:
    character_set = charsets_of(
        item.specific_character_set,
        options.default_encoding,
        code_extensions=options.code_extensions,
    )
    separator = b"{"
    for element in item:
        if element.is_encapsulated:
            continue
        yield separator + b'"%08X":{"vr":"%s"' % (element.tag, element.vr.encode("ascii"))
        if element.items:
            yield from _sequence(document, element.items, options)
        elif element.vr in BINARY_VRS and element.length:
            yield from _binary(document, item, element)
        elif element.items is None and element.length:
            values = _values(document, item, element, character_set)
            if values:
                yield b',"Value":' + _dump(values)
        yield b"}"
        separator = b","
    yield b"}" if separator == b"," else b"{}"


def _sequence(document: Document, items: list[Item], options: TagOptions) -> Iterator[bytes]:
    separator = b',"Value":['
    for item in items:
        yield separator
        yield from _item(document, item, options)
        separator = b","
    yield b"]"


def _binary(document: Document, item: Item, element: Element) -> Iterator[bytes]:
    yield b',"InlineBinary":"'
    unit = 1 if item.little_endian else NUMBER_BYTES.get(element.vr, 1)
    for chunk in document.chunks(element.offset, element.length, _CHUNK_BYTES, unit):
        yield base64.b64encode(chunk)
    yield b'"'


def _values(
    document: Document, item: Item, element: Element, character_set: CharacterSet
) -> list[JsonValue]:
    vr = element.vr
    text = value_text(document.read(element), vr, item.little_endian, character_set)
    if vr in _SINGLE_VALUED:
        return [text] if text else []
    return [_value(part, vr) for part in text.split("\\")] if text else []


def _value(text: str, vr: str) -> JsonValue:
    if vr == "PN":
        return dict(zip(_GROUPS, text.split("="), strict=False))
    if vr == "AT":
        return text.replace(",", "").upper()
    text = text.strip(" ")
    try:
        if vr in _INTEGERS:
            return int(text) if _INTEGER.fullmatch(text) else text
        if vr in ("FL", "FD"):
            number = float(text)
            # JSON has no infinities: PS3.18 F.2.3.1 would not have them either
            if number - number != 0:
                return text
            return int(number) if number == int(number) else number
    except ValueError:
        pass
    return text


def _dump(value: JsonValue) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
