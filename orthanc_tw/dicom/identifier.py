"""Identifiers of queries (PS3.4 C.2.2): written from text, answers shown as JSON.

A value is text, or a list of items for a sequence; '' is universal matching, or an attribute
that is asked for. Knows nothing of levels, modalities and the network.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Union

from orthanc_tw.dicom.charset import CharacterSet, Encoding
from orthanc_tw.dicom.document import Document, Element
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, add_tag, item_json
from orthanc_tw.dicom.tags import UserDictionary, format_tag, parse_tag, vr_of
from orthanc_tw.dicom.uids import transfer_syntax
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue

QueryValue = Union[str, Sequence["Query"]]
#: Tag (``0xggggeeee``) to value.
Query = Mapping[int, QueryValue]

SPECIFIC_CHARACTER_SET = 0x00080005
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_META_SOP_CLASS_UID = 0x00020002
_META_SOP_INSTANCE_UID = 0x00020003
_LONG_VRS = frozenset(
    ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
)
_INTEGERS = {"SL": "i", "SS": "h", "UL": "I", "US": "H", "SV": "q", "UV": "Q"}
_FLOATS = {"FD": "d", "FL": "f"}
_BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW"))
_UNDEFINED_DEPTH = 16
_META = struct.Struct("<HH2sH")


def encode_query(query: Query, syntax: str, encoding: Encoding) -> bytes:
    """The data set of a query, elements in order, SpecificCharacterSet where text needs one.

    :param syntax: UID of the transfer syntax, one that is not compressed
    :param encoding: of text; one without a term of its own is replaced by UTF-8
    :raises OrthancError: BAD_REQUEST naming the tag of a value that has no such form
    """
    known = transfer_syntax(syntax)
    if known is None or known.is_deflated or known.is_encapsulated:
        raise OrthancError(
            ErrorCode.NOT_IMPLEMENTED, f"No query can be encoded in the transfer syntax {syntax}"
        )
    if not encoding.specific_character_set and encoding is not Encoding.ASCII:
        encoding = Encoding.UTF8
    if not _is_ascii(query) and SPECIFIC_CHARACTER_SET not in query:
        if encoding is Encoding.ASCII:
            encoding = Encoding.UTF8
        query = {**query, SPECIFIC_CHARACTER_SET: encoding.specific_character_set or ""}
    writer = _Writer(
        "<" if known.is_little_endian else ">", known.is_explicit, CharacterSet(encoding)
    )
    return writer.item(query, 0)


def parse_query(
    value: JsonValue, dictionary: UserDictionary | None = None, depth: int = 0
) -> dict[int, QueryValue]:
    """The query that a JSON object of names (or tags) to text, or lists of such objects, says.

    :raises OrthancError: UNKNOWN_DICOM_TAG, BAD_FILE_FORMAT
    """
    if not isinstance(value, dict) or depth > _UNDEFINED_DEPTH:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "A query must be a JSON object of DICOM tags")
    query: dict[int, QueryValue] = {}
    for name, entry in value.items():
        tag = parse_tag(name, dictionary) if dictionary is not None else parse_tag(name)
        if isinstance(entry, str):
            query[tag] = entry
        elif isinstance(entry, list):
            query[tag] = [parse_query(item, dictionary, depth + 1) for item in entry]
        else:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, f"A string or a list of objects expected: {name}"
            )
    return query


def query_json(query: Query, tag_format: TagFormat) -> JsonObject:
    """A query in one of the formats of tags."""
    target: JsonObject = {}
    for tag, value in sorted(query.items()):
        if isinstance(value, str):
            add_tag(target, tag, None, "String", value, tag_format)
        else:
            items: list[JsonValue] = [query_json(item, tag_format) for item in value]
            add_tag(target, tag, None, "Sequence", items, tag_format)
    return target


def read_identifier(content: bytes, syntax: str) -> Document:
    """Parse a data set that came without meta header.

    :raises OrthancError: BAD_FILE_FORMAT if it is malformed
    """
    uid = syntax.encode("ascii", "replace")
    uid += b"\0" * (len(uid) % 2)
    meta = bytes(128) + b"DICM" + _META.pack(2, 0x10, b"UI", len(uid)) + uid
    # What a data set must not have would be taken for more of the meta header.
    return read_document(BytesIO(meta + content))


def identifier_json(
    content: bytes, syntax: str, tag_format: TagFormat, encoding: Encoding
) -> JsonObject:
    """An answer of a query in one of the formats of tags.

    As in Orthanc, the UIDs of an instance are shown in the meta header, too.

    :raises OrthancError: BAD_FILE_FORMAT if it is malformed
    """
    document = read_identifier(content, syntax)
    elements = document.dataset.elements
    shown: JsonObject = {}
    for tag, copy in (
        (_SOP_CLASS_UID, _META_SOP_CLASS_UID),
        (_SOP_INSTANCE_UID, _META_SOP_INSTANCE_UID),
    ):
        if tag in elements:
            add_tag(shown, copy, None, "String", _text(elements[tag]), tag_format)
    options = TagOptions(default_encoding=encoding, max_text_bytes=0)
    shown.update(item_json(document, document.dataset, tag_format, options))
    return shown


def identifier_values(content: bytes, syntax: str, encoding: Encoding) -> dict[int, str]:
    """Text of the elements of an answer, by tag; sequences and bytes left out.

    :raises OrthancError: BAD_FILE_FORMAT if it is malformed
    """
    shown = identifier_json(content, syntax, TagFormat.SHORT, encoding)
    return {parse_tag(tag): value for tag, value in shown.items() if isinstance(value, str)}


def _text(element: Element) -> str:
    return (element.inline or b"").decode("ascii", "ignore").rstrip(" \0")


def _is_ascii(query: Query) -> bool:
    return all(
        value.isascii() if isinstance(value, str) else all(map(_is_ascii, value))
        for value in query.values()
    )


class _Writer:
    """Elements of one transfer syntax and one character set."""

    def __init__(self, order: str, is_explicit: bool, charset: CharacterSet) -> None:
        self._order = order
        self._is_explicit = is_explicit
        self._charset = charset

    def item(self, query: Query, depth: int) -> bytes:
        return b"".join(self._elements(query, depth))

    def _elements(self, query: Query, depth: int) -> Iterator[bytes]:
        for tag in sorted(query):
            value = query[tag]
            if isinstance(value, str):
                vr = vr_of(tag)
                yield self._element(tag, vr, self._value(tag, vr, value))
            else:
                yield self._element(tag, "SQ", self._items(value, depth + 1))

    def _items(self, items: Sequence[Query], depth: int) -> bytes:
        encoded = [self.item(item, depth) for item in items]
        return b"".join(self._head(0xFFFEE000, len(item)) + item for item in encoded)

    def _head(self, tag: int, length: int) -> bytes:
        return struct.pack(self._order + "HHL", tag >> 16, tag & 0xFFFF, length)

    def _element(self, tag: int, vr: str, value: bytes) -> bytes:
        if not self._is_explicit:
            return self._head(tag, len(value)) + value
        name = vr.encode("ascii")
        head = struct.pack(self._order + "HH2s", tag >> 16, tag & 0xFFFF, name)
        if vr in _LONG_VRS:
            return head + struct.pack(self._order + "HL", 0, len(value)) + value
        if len(value) > 0xFFFE:
            raise _bad_value(tag)
        return head + struct.pack(self._order + "H", len(value)) + value

    def _value(self, tag: int, vr: str, text: str) -> bytes:
        if not text:
            return b""
        if vr in _INTEGERS or vr in _FLOATS or vr == "AT":
            try:
                return b"".join(self._number(vr, part) for part in text.split("\\"))
            except (ValueError, struct.error, OverflowError):
                raise _bad_value(tag) from None
        if vr in _BINARY_VRS or vr == "SQ":
            raise _bad_value(tag)
        value = self._charset.encode(text)
        return value + (b"\0" if vr in ("UI", "UN") else b" ") * (len(value) % 2)

    def _number(self, vr: str, text: str) -> bytes:
        if vr == "AT":
            tag = parse_tag(text)
            return struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF)
        if vr in _FLOATS:
            return struct.pack(self._order + _FLOATS[vr], float(text))
        return struct.pack(self._order + _INTEGERS[vr], int(text))


def _bad_value(tag: int) -> OrthancError:
    return OrthancError(
        ErrorCode.BAD_REQUEST, f"Bad value in a query for the tag {format_tag(tag)}"
    )
