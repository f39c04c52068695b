"""The pixel data of a file in another encoding: frame by frame, through a temporary file."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from orthanc_tw.dicom.codecs.encoding import ENCODINGS, Encoding, encode_frame, encoding_of
from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.dicom.images.colour import apply_palette, to_rgb
from orthanc_tw.dicom.images.image_file import PIXEL_DATA, ImageFile
from orthanc_tw.dicom.modification.encoding import UNDEFINED, ElementEncoding
from orthanc_tw.dicom.modification.rope import FilePiece, Rope
from orthanc_tw.dicom.transcoding.refusal import refusal

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

# Baseline and extended JPEG, whose decoders leave the colours in YBR, with full resolution
_OF_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_MAX_OFFSET = 0xFFFFFFFF
_SEQUENCE_DELIMITER = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True)
class NewPixels:
    """Pixel data in its new encoding.

    :ivar element: head and value of (7FE0,0010)
    :ivar pixel_format: how it is to be described
    :ivar native_bytes: size of all frames, uncompressed
    :ivar coded_bytes: the same as they are written
    :ivar encoding: what has encoded them, None if they are native
    :ivar digest: SHA-256 of what is written
    """

    element: Rope
    pixel_format: PixelFormat
    native_bytes: int
    coded_bytes: int
    encoding: Encoding | None
    digest: bytes


def encapsulated_pixels(
    image: ImageFile, syntax: str, quality: int, scratch: BinaryIO
) -> NewPixels:
    """Encode all frames, each into a fragment of its own.

    :param quality: of lossy syntaxes, 1 to 100
    :param scratch: an empty file, which is read when the element is written
    :raises OrthancError: as `ImageFile.samples` and `encode_frame`; NOT_IMPLEMENTED (501) if such
        an image cannot be written in this syntax
    """
    digest = hashlib.sha256()
    encoding: Encoding | None = None
    described: PixelFormat | None = None
    native = coded = size = 0
    offsets = []
    for index in range(image.frame_count):
        samples, found = _decoded(image, index)
        if ENCODINGS[syntax].is_lossy and found.photometric_interpretation == "PALETTE COLOR":
            # What is lost of an index is another colour: the colours are encoded instead
            samples = apply_palette(samples, found, image.attributes)
            found = replace(
                found, photometric_interpretation="RGB", samples_per_pixel=3,
                bits_allocated=8, bits_stored=8, pixel_representation=0,
            )  # fmt: skip
        encoding = encoding_of(syntax, found)
        if encoding is None or not _is_integer(samples):
            raise refusal(image.transfer_syntax, syntax, _kind(found))
        data, frame_format = encode_frame(samples, syntax, found, quality)
        if described is not None and frame_format != described:
            raise refusal(image.transfer_syntax, syntax, "frames that differ in their format")
        described = frame_format
        padded = data + b"\0" * (len(data) & 1)
        offsets.append(size)
        scratch.write(struct.pack("<HHI", 0xFFFE, 0xE000, len(padded)))
        scratch.write(padded)
        digest.update(padded)
        size += 8 + len(padded)
        native += samples.nbytes
        coded += len(data)
    assert described is not None
    element = Rope()
    element.add(ElementEncoding(False, True).head(PIXEL_DATA, "OB", UNDEFINED))
    # Beyond 4 GB the basic offset table has to be empty (PS3.5 A.4)
    table = struct.pack(f"<{len(offsets)}I", *offsets) if offsets[-1] <= _MAX_OFFSET else b""
    element.add(struct.pack("<HHI", 0xFFFE, 0xE000, len(table)) + table)
    element.add_file(FilePiece(scratch, size))
    element.add(_SEQUENCE_DELIMITER)
    return NewPixels(element, described, native, coded, encoding, digest.digest())


def native_pixels(image: ImageFile, encoding: ElementEncoding, scratch: BinaryIO) -> NewPixels:
    """Decode all frames.

    :param encoding: of the data set
    :param scratch: an empty file, which is read when the element is written
    :raises OrthancError: as `ImageFile.samples`; NOT_IMPLEMENTED (501) for more than 4 GB
    """
    digest = hashlib.sha256()
    described: PixelFormat | None = None
    size = 0
    for index in range(image.frame_count):
        samples, found = _decoded(image, index)
        if found.bits_allocated == 1:
            raise refusal(image.transfer_syntax, "native pixels", _kind(found))
        if described is not None and found != described:
            raise refusal(
                image.transfer_syntax, "native pixels", "frames that differ in their format"
            )
        described = found
        data = samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()
        scratch.write(data)
        digest.update(data)
        size += len(data)
    assert described is not None
    native = size
    if size & 1:
        scratch.write(b"\0")
        size += 1
    if size > UNDEFINED - 1:
        raise refusal(image.transfer_syntax, "native pixels", f"{size} bytes of pixels")
    element = Rope()
    element.add(encoding.head(PIXEL_DATA, "OW", size))
    # Two bytes are a word of OW, whatever the size of a sample (PS3.5 6.2)
    element.add_file(FilePiece(scratch, size, 1 if encoding.little_endian else 2))
    return NewPixels(element, described, native, native, None, digest.digest())


def _decoded(image: ImageFile, index: int) -> tuple[Samples, PixelFormat]:
    """A frame; colours that only make sense to the codec it comes from as RGB."""
    samples, found = image.samples(index)
    space = found.photometric_interpretation
    if (image.transfer_syntax in _OF_JPEG and found.is_colour) or space in ("YBR_RCT", "YBR_ICT"):
        samples = to_rgb(samples, found)
        found = replace(found, photometric_interpretation="RGB")
    return samples, found


def _is_integer(samples: Samples) -> bool:
    return samples.dtype.kind in "iu"


def _kind(found: PixelFormat) -> str:
    sign = "signed " if found.pixel_representation else ""
    return (
        f"{sign}samples of {found.bits_stored} bits ({found.bits_allocated} allocated), "
        f"{found.photometric_interpretation}"
    )
