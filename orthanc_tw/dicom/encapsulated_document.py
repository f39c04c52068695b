"""The document that an instance is made of (PS3.3 C.24.2, Encapsulated Document module)."""

from __future__ import annotations

from typing import BinaryIO, Literal

from orthanc_tw.dicom.content import ContentValue
from orthanc_tw.dicom.document import Document, Element
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tags import UserDictionary

PDF = "application/pdf"
ENCAPSULATED_DOCUMENT, MIME_TYPE, DOCUMENT_LENGTH = 0x00420011, 0x00420012, 0x00420015


def encapsulated_pdf(
    file: BinaryIO, dictionary: UserDictionary | None = None
) -> ContentValue | None:
    """Where the PDF is, None if the instance is none. Blocks on the file.

    Without the padding of the element.

    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM file
    """
    document = read_document(file, dictionary=dictionary or None)
    found = _find(document)
    if found is None:
        document.close()
    return found


def _find(document: Document) -> ContentValue | None:
    elements = document.dataset.elements
    mime, value = elements.get(MIME_TYPE), elements.get(ENCAPSULATED_DOCUMENT)
    if mime is None or value is None or value.items is not None or value.is_encapsulated:
        return None
    if document.read(mime, 64).strip(b" \0").lower() != PDF.encode("ascii"):
        return None
    return ContentValue(document, value.offset, _length(document, value), content_type=PDF)


def _length(document: Document, value: Element) -> int:
    """Bytes of the document: as the instance tells, else without a byte that looks like padding."""
    length = value.length
    declared = document.dataset.elements.get(DOCUMENT_LENGTH)
    if declared is not None and declared.length == 4:
        order: Literal["little", "big"] = "little" if document.dataset.little_endian else "big"
        told = int.from_bytes(document.read(declared), order)
        if told in (length, length - 1):
            return told
    if length and b"".join(document.chunks(value.offset + length - 1, 1)) == b"\0":
        return length - 1
    return length
