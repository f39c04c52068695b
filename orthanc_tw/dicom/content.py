"""Navigation into a DICOM file by path: ``/instances/{id}/content/...`` of the REST API.

A path is tag, index of an item or fragment, tag, and so on. What is found is a list of names
to go on with, or the bytes of a value, which are streamed and never loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from orthanc_tw.dicom.document import NUMBER_BYTES, Document, Element, Item
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tags import UserDictionary, format_tag, parse_tag

OCTET_STREAM = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class ContentList:
    """Names of what is below: tags as ``gggg-eeee``, or indices. Answered as JSON."""

    names: list[str]


@dataclass(frozen=True, slots=True)
class ContentValue:
    """The bytes of a value or fragment, answered as `OCTET_STREAM`.

    :ivar document: `Document.close` it once the value has been read
    :ivar offset: first byte in ``document.file``
    :ivar length: in bytes; a value of odd length has been padded in the file
    :ivar swapped_bytes: 2, 4 or 8 if numbers of that size are to be swapped (big endian)
    """

    document: Document
    offset: int
    length: int
    swapped_bytes: int = 1
    content_type: str = OCTET_STREAM

    def chunks(self, size_bytes: int = 64 * 1024) -> Iterator[bytes]:
        """The bytes, at most ``size_bytes`` (a multiple of 8) at a time. Blocks on the file."""
        return self.document.chunks(self.offset, self.length, size_bytes, self.swapped_bytes)


def content(
    file: BinaryIO, path: Sequence[str], dictionary: UserDictionary | None = None
) -> ContentList | ContentValue | None:
    """What is at ``path`` of a DICOM file; None if there is nothing (404 without a body).

    Blocks on the file: call it in a thread.

    :param path: segments after ``/content``
    :param dictionary: elements that option ``Dictionary`` adds
    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file; UNKNOWN_DICOM_TAG if a segment
        that should be a tag is none
    """
    dictionary = dictionary or UserDictionary()
    document = read_document(file, dictionary=dictionary)
    try:
        found = _navigate(document, [segment for segment in path if segment], dictionary)
    except BaseException:
        document.close()
        raise
    if not isinstance(found, ContentValue):
        document.close()
    return found


def _navigate(
    document: Document, path: Sequence[str], dictionary: UserDictionary
) -> ContentList | ContentValue | None:
    item = document.dataset
    for position in range(0, len(path), 2):
        element = item.elements.get(parse_tag(path[position], dictionary))
        if element is None:
            return None
        rest = path[position + 1 :]
        if element.items is None:
            return _value(document, item, element, rest)
        if not rest:
            return ContentList([str(index) for index in range(len(element.items))])
        index = _index(rest[0], len(element.items))
        if index is None:
            return None
        item = element.items[index]
    return ContentList([format_tag(tag).replace(",", "-") for tag in item.elements])


def _value(
    document: Document, item: Item, element: Element, rest: Sequence[str]
) -> ContentList | ContentValue | None:
    if not element.is_encapsulated and element.tag != 0x7FE00010:
        return None if rest else _range(document, item, element)
    fragments = element.fragments if element.is_encapsulated else None
    count = 1 if fragments is None else len(fragments)
    if not rest:
        return ContentList([str(index) for index in range(count)])
    index = _index(rest[0], count)
    if index is None or len(rest) > 1:
        return None
    if fragments is None:
        return _range(document, item, element)
    return ContentValue(document, *fragments[index])


def _range(document: Document, item: Item, element: Element) -> ContentValue:
    unit = 1 if item.little_endian else NUMBER_BYTES.get(element.vr, 1)
    return ContentValue(document, element.offset, element.length, unit)


def _index(text: str, count: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return int(text) if int(text) < count else None
