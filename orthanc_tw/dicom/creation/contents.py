"""What becomes of a content, by its MIME type: Encapsulated PDF, models, raw pixels, images.

PS3.3 A.45 (encapsulated documents), A.104 (STL, OBJ, MTL), C.24.2 (Encapsulated Document module).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from orthanc_tw.dicom.creation.dataset import (
    ENCODING,
    SOP_CLASS_UID,
    NewDataset,
    Payload,
    pixel_payload,
)
from orthanc_tw.dicom.encapsulated_document import (
    DOCUMENT_LENGTH,
    ENCAPSULATED_DOCUMENT,
    MIME_TYPE,
    PDF,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError

OCTET_STREAM = "application/octet-stream"
_MODALITY, _CONVERSION_TYPE = 0x00080060, 0x00080064
# Encapsulated PDF, STL, OBJ and MTL Storage (PS3.4 table B.5-1)
_DOCUMENTS = {
    PDF: "1.2.840.10008.5.1.4.1.1.104.1",
    "model/stl": "1.2.840.10008.5.1.4.1.1.104.3",
    "model/obj": "1.2.840.10008.5.1.4.1.1.104.4",
    "model/mtl": "1.2.840.10008.5.1.4.1.1.104.5",
}
# MIME types that clients write for the same
_ALIASES = {"application/sla": "model/stl", "model/x.stl-binary": "model/stl"}
_PDF_HEADER = b"%PDF-"


def document_type(mime: str) -> str | None:
    """The MIME type to write for a document, None if there is no SOP class for it."""
    mime = _ALIASES.get(mime, mime)
    return mime if mime in _DOCUMENTS else None


def unsupported(mime: str, *, encapsulate: bool = False) -> OrthancError:
    """The refusal of a MIME type."""
    details = (
        f"Cannot encapsulate pixel data from MIME type: {mime}"
        if encapsulate
        else f"Unsupported MIME type for the content of a new DICOM file: {mime}"
    )
    return OrthancError(ErrorCode.NOT_IMPLEMENTED, details, http_status=400)


def put_document(
    dataset: NewDataset, mime: str, size_bytes: int, open_file: Callable[[], BinaryIO]
) -> None:
    """Make the instance an encapsulated document. Reads the first bytes of the file.

    :param mime: of `document_type`
    :raises OrthancError: BAD_FILE_FORMAT if it is to be a PDF and is none
    """
    if mime == PDF:
        with open_file() as file:
            if file.read(len(_PDF_HEADER)) != _PDF_HEADER:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Not a PDF file")
    dataset.sop_class_uid = _DOCUMENTS[mime]
    dataset.set_text(SOP_CLASS_UID, "UI", dataset.sop_class_uid)
    if _MODALITY not in dataset.elements:
        dataset.set_text(_MODALITY, "CS", "OT" if mime == PDF else "M3D")
    if mime == PDF:
        dataset.set_text(_CONVERSION_TYPE, "CS", "WSD")
    dataset.set_text(MIME_TYPE, "LO", mime)
    dataset.elements.pop(DOCUMENT_LENGTH, None)
    if size_bytes & 1 or (mime == PDF and _ends_with_padding(size_bytes, open_file)):
        # Nobody could tell the padding from the document
        value = struct.pack("<I", size_bytes)
        dataset.elements[DOCUMENT_LENGTH] = ENCODING.head(DOCUMENT_LENGTH, "UL", 4) + value
    dataset.payload = Payload(ENCAPSULATED_DOCUMENT, "OB", size_bytes, open_file)


def _ends_with_padding(size_bytes: int, open_file: Callable[[], BinaryIO]) -> bool:
    with open_file() as file:
        file.seek(max(size_bytes - 1, 0))
        return file.read(1) == b"\0"


def put_raw(dataset: NewDataset, size_bytes: int, open_file: Callable[[], BinaryIO]) -> None:
    """Pixels as they are; what they mean is for the client to say, in other elements."""
    dataset.payload = pixel_payload("OW", size_bytes, open_file)


def put_image(
    dataset: NewDataset,
    described: Mapping[str, Any],
    size_bytes: int,
    open_file: Callable[[], BinaryIO],
) -> None:
    """The pixels of an image.

    :param described: as `images.decode` and `images.describe_jpeg` answer it
    :param open_file: of the pixels, or of the JPEG image to encapsulate
    """
    bits = described["Bits"]
    dataset.set_us(0x00280002, described["Samples"])
    dataset.set_text(0x00280004, "CS", described["Photometric"])
    if described["Samples"] > 1:
        dataset.set_us(0x00280006, 0)
    dataset.set_us(0x00280010, described["Rows"])
    dataset.set_us(0x00280011, described["Columns"])
    dataset.set_us(0x00280100, 8 if bits <= 8 else 16)
    dataset.set_us(0x00280101, bits)
    dataset.set_us(0x00280102, bits - 1)
    dataset.set_us(0x00280103, 0)
    syntax = described.get("Syntax")
    if syntax is None:
        dataset.payload = pixel_payload("OW", size_bytes, open_file)
    else:
        dataset.transfer_syntax = syntax
        dataset.payload = pixel_payload("OB", size_bytes, open_file, encapsulated=True)
