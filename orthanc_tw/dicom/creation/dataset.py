"""A new data set: elements that are encoded already, and one large value that is streamed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from orthanc_tw.dicom.document import EXPLICIT
from orthanc_tw.dicom.modification.encoding import UNDEFINED, ElementEncoding
from orthanc_tw.dicom.tags import PIXEL_DATA
from orthanc_tw.dicom.write_meta_header import meta_header
from orthanc_tw.model.errors import ErrorCode, OrthancError

ENCODING = ElementEncoding(implicit=False, little_endian=True)
SOP_CLASS_UID, SOP_INSTANCE_UID = 0x00080016, 0x00080018
# What DCMTK, and so Orthanc, names an instance of no SOP class (the meta header must name one)
NO_SOP_CLASS = "1.2.276.0.7230010.3.1.0.1"
_CHUNK_BYTES = 256 * 1024
_MAX_BYTES = 0xFFFFFFFE
_PADDING = b"\0"


@dataclass(frozen=True, slots=True)
class Payload:
    """The large value of an instance: pixels or a document.

    :ivar size_bytes: of what ``open`` gives
    :ivar open: a new reader of the value
    :ivar encapsulated: whether it is one fragment of compressed pixels (PS3.5 annex A.4)
    """

    tag: int
    vr: str
    size_bytes: int
    open: Callable[[], BinaryIO]
    encapsulated: bool = False


@dataclass(slots=True)
class NewDataset:
    """Elements of an instance, in explicit VR little endian.

    :ivar elements: each with its head, by tag
    """

    elements: dict[int, bytes] = field(default_factory=dict)
    payload: Payload | None = None
    transfer_syntax: str = EXPLICIT
    sop_class_uid: str = ""
    sop_instance_uid: str = ""

    def set(self, tag: int, vr: str, value: bytes) -> None:
        """Set an element; the value is padded to an even length."""
        if len(value) & 1:
            value += _PADDING if vr in ("UI", "OB", "OW", "UN") else b" "
        self.elements[tag] = ENCODING.head(tag, vr, len(value)) + value

    def set_text(self, tag: int, vr: str, text: str) -> None:
        """Set an element to ASCII text."""
        self.set(tag, vr, text.encode("ascii", "replace"))

    def set_us(self, tag: int, value: int) -> None:
        """Set an element of VR US.

        :raises OrthancError: BAD_FILE_FORMAT if the number is too large for the VR
        """
        if not 0 <= value <= 0xFFFF:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"{value} does not fit VR US")
        self.set(tag, "US", struct.pack("<H", value))

    def copy(self) -> NewDataset:
        """Another one with the same elements."""
        return NewDataset(
            dict(self.elements),
            self.payload,
            self.transfer_syntax,
            self.sop_class_uid,
            self.sop_instance_uid,
        )

    def pieces(self) -> Iterator[bytes]:
        """The file, PS3.10. Blocks on the payload's reader.

        :raises OrthancError: BAD_FILE_FORMAT if the payload is too long for an element
        """
        yield meta_header(
            self.sop_class_uid or NO_SOP_CLASS, self.sop_instance_uid, self.transfer_syntax
        )
        payload = self.payload
        if payload is not None and payload.size_bytes > _MAX_BYTES:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The content is too long for DICOM")
        after = payload.tag if payload is not None else 1 << 32
        tags = sorted(tag for tag in self.elements if tag != after)
        yield b"".join(self.elements[tag] for tag in tags if tag < after)
        if payload is not None:
            yield from _payload_pieces(payload)
        yield b"".join(self.elements[tag] for tag in tags if tag > after)


def _payload_pieces(payload: Payload) -> Iterator[bytes]:
    odd = payload.size_bytes & 1
    length = payload.size_bytes + odd
    if payload.encapsulated:
        yield ENCODING.head(payload.tag, payload.vr, UNDEFINED)
        yield ENCODING.item_head(0)  # the Basic Offset Table
        yield ENCODING.item_head(length)
    else:
        yield ENCODING.head(payload.tag, payload.vr, length)
    with payload.open() as file:
        while data := file.read(_CHUNK_BYTES):
            yield data
    yield _PADDING * odd
    if payload.encapsulated:
        yield struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def pixel_payload(
    vr: str, size_bytes: int, open_file: Callable[[], BinaryIO], *, encapsulated: bool = False
) -> Payload:
    """PixelData."""
    return Payload(PIXEL_DATA, vr, size_bytes, open_file, encapsulated)
