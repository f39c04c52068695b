"""Identifiers of queries (PS3.4 C.2.2) as the REST API has them: made of JSON, shown as JSON.

Knows nothing of levels, modalities and the network. The bytes are those of
`orthanc_tw.dicom.attributes`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from io import BytesIO

from orthanc_tw.dicom.attributes import Attribute, Attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.document import Element
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, add_tag, item_json
from orthanc_tw.dicom.tags import UserDictionary, format_tag, parse_tag, vr_of
from orthanc_tw.dicom.values import TEXT_VRS
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_META_SOP_CLASS_UID = 0x00020002
_META_SOP_INSTANCE_UID = 0x00020003
_META = struct.Struct("<HH2sH")
_INTEGERS = frozenset(("SL", "SS", "UL", "US", "SV", "UV"))
_FLOATS = frozenset(("FD", "FL"))
_MAX_DEPTH = 16


def attribute_of(tag: int, text: str) -> Attribute:
    """An attribute with the VR of the dictionary.

    :raises OrthancError: BAD_REQUEST (400) naming the tag, if no value of that VR has such text
    """
    vr = vr_of(tag)
    if vr == "UN" or (not text and vr not in TEXT_VRS):
        return Attribute("LO" if vr == "UN" else vr, text)
    if vr not in TEXT_VRS and not _is_number(vr, text):
        raise OrthancError(
            ErrorCode.BAD_REQUEST, f"Bad value in a query for the tag {format_tag(tag)}"
        )
    return Attribute(vr, text)


def attributes_of(values: Mapping[int, str]) -> Attributes:
    """Attributes of text by tag.

    :raises OrthancError: as `attribute_of`
    """
    return {tag: attribute_of(tag, text) for tag, text in values.items()}


def parse_query(
    value: JsonValue, dictionary: UserDictionary | None = None, depth: int = 0
) -> Attributes:
    """What a JSON object asks for: names or tags, with text or a list of such objects.

    :raises OrthancError: UNKNOWN_DICOM_TAG, BAD_FILE_FORMAT, BAD_REQUEST
    """
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "A query must be a JSON object of DICOM tags")
    query: Attributes = {}
    for name, entry in value.items():
        tag = parse_tag(name, dictionary) if dictionary is not None else parse_tag(name)
        if isinstance(entry, str):
            query[tag] = attribute_of(tag, entry)
        elif isinstance(entry, list):
            items = tuple(parse_query(item, dictionary, depth + 1) for item in entry)
            query[tag] = Attribute("SQ", items=items)
        else:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, f"A string or a list of objects expected: {name}"
            )
    return query


def query_json(query: Mapping[int, Attribute], tag_format: TagFormat) -> JsonObject:
    """A query in one of the formats of tags."""
    target: JsonObject = {}
    for tag in sorted(query):
        attribute = query[tag]
        if attribute.items is None:
            add_tag(target, tag, None, "String", attribute.text, tag_format)
        else:
            items: list[JsonValue] = [query_json(item, tag_format) for item in attribute.items]
            add_tag(target, tag, None, "Sequence", items, tag_format)
    return target


def identifier_json(
    content: bytes,
    syntax: str,
    tag_format: TagFormat,
    encoding: Encoding,
    dictionary: UserDictionary | None = None,
) -> JsonObject:
    """An answer of a query in one of the formats of tags.

    As in Orthanc, the UIDs of an instance are shown as those of a meta header, too.

    :param content: data set without meta header
    :param syntax: UID of its transfer syntax
    :param encoding: of text, where the data set names none
    :raises OrthancError: BAD_FILE_FORMAT if it is malformed
    """
    uid = syntax.encode("ascii", "replace")
    uid += b"\0" * (len(uid) % 2)
    meta = bytes(128) + b"DICM" + _META.pack(2, 0x10, b"UI", len(uid)) + uid
    document = read_document(BytesIO(meta + content), dictionary=dictionary)
    elements = document.dataset.elements
    shown: JsonObject = {}
    for tag, copy in (
        (_SOP_CLASS_UID, _META_SOP_CLASS_UID),
        (_SOP_INSTANCE_UID, _META_SOP_INSTANCE_UID),
    ):
        if tag in elements:
            add_tag(shown, copy, None, "String", _text(elements[tag]), tag_format)
    options = TagOptions(default_encoding=encoding, max_text_bytes=0, dictionary=dictionary)
    shown.update(item_json(document, document.dataset, tag_format, options))
    return shown


def _text(element: Element) -> str:
    return (element.inline or b"").decode("ascii", "ignore").rstrip(" \0")


def _is_number(vr: str, text: str) -> bool:
    parts: Iterable[str] = text.split("\\")
    try:
        for part in parts:
            if vr in _INTEGERS:
                int(part)
            elif vr in _FLOATS:
                float(part)
            elif vr == "AT":
                int(part.replace(",", ""), 16)
            else:
                return False
    except ValueError:
        return False
    return True
