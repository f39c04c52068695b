"""An image in a DICOM file: its format and its frames, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from orthanc_tw.dicom.codecs.decoding import decode_frame
from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.dicom.document import NUMBER_BYTES, Document, Element
from orthanc_tw.dicom.images.attributes import Attributes
from orthanc_tw.dicom.images.encapsulated import Fragment, frames_of
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
_PIXEL_TAGS = (PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS)
NO_PIXELS = "Cannot extract a frame from a DICOM file that does not have pixel data."
#: What IS can hold (PS3.5 table 6.2-1).
_MAX_FRAMES = 2**31 - 1
_FLOAT_BITS = {FLOAT_PIXELS: 32, DOUBLE_PIXELS: 64}


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What an image may cost.

    :ivar frame_bytes: size of one decoded frame
    :ivar coded_bytes: size of one compressed frame
    """

    frame_bytes: int = 512 * 1024 * 1024
    coded_bytes: int = 512 * 1024 * 1024


class ImageFile:
    """The frames of a file. Blocks on it, and decodes: for a worker process.

    :ivar attributes: of its header
    :ivar pixel_format: as the header says it
    :ivar frame_count: as the header says it, 1 at least

    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM, or an impossible image; BAD_REQUEST
        if it has no pixels
    """

    def __init__(self, file: BinaryIO, limits: ImageLimits | None = None) -> None:
        self._limits = limits or ImageLimits()
        self.document: Document = read_document(file)
        try:
            self.attributes = Attributes(self.document)
            self.frame_count = frame_count(self.attributes)
            self.pixels = self._find_pixels()
            self.pixel_format = _format(self.attributes, _FLOAT_BITS.get(self.pixels.tag))
            self.pixel_format.check(self._limits.frame_bytes)
        except BaseException:
            self.close()
            raise
        self._frames: list[list[Fragment]] | None = None

    @property
    def transfer_syntax(self) -> str:
        """UID."""
        return self.document.transfer_syntax

    @property
    def is_encapsulated(self) -> bool:
        """Whether the frames are compressed."""
        return self.pixels.fragments is not None

    @property
    def is_float(self) -> bool:
        """Whether the samples are floating point numbers (PS3.3 C.7.6.24, C.7.6.25)."""
        return self.pixels.tag in _FLOAT_BITS

    def close(self) -> None:
        """Free what the document holds; the file of the caller stays open."""
        self.document.close()

    def _find_pixels(self) -> Element:
        for tag in _PIXEL_TAGS:
            element = self.attributes.element(tag)
            if element is not None:
                return element
        raise OrthancError(ErrorCode.BAD_REQUEST, NO_PIXELS)

    def place(self, index: int) -> list[Fragment]:
        """Where a frame is: ``(offset, length)`` of its pieces in the document's file.

        :raises OrthancError: PARAMETER_OUT_OF_RANGE if there is no such frame; BAD_FILE_FORMAT
            if the file ends before it
        """
        if not 0 <= index < self.frame_count:
            raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
        if self.pixels.fragments is not None:
            if self._frames is None:
                self._frames = frames_of(self.pixels.fragments, self.frame_count, self._read)
            return self._frames[index]
        bits = self.pixel_format.native_bits
        start, end = index * bits // 8, -(-(index + 1) * bits // 8)
        if end > self.pixels.length:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT,
                f"The pixel data end at {self.pixels.length} bytes, frame {index} at {end}",
            )
        return [(self.pixels.offset + start, end - start)]

    def check_stored(self, index: int) -> None:
        """Whether `stored` can answer a frame.

        :raises OrthancError: as `place`; BAD_FILE_FORMAT for what Orthanc does not answer either
        """
        self.place(index)
        space = self.pixel_format.photometric_interpretation
        if space == "YBR_FULL_422" and not self.is_encapsulated:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT)

    def stored(self, index: int) -> Iterator[bytes]:
        """A frame as it is stored, piece by piece; numbers little endian, as Orthanc answers it.

        :raises OrthancError: as `place`
        """
        for offset, length in self.place(index):
            unit = 1
            if self.pixels.fragments is None and not self.document.dataset.little_endian:
                unit = NUMBER_BYTES.get(self.pixels.vr, 1)
            skipped = (offset - self.pixels.offset) % unit
            whole = skipped + length + -(skipped + length) % unit
            left = length
            for data in self.document.chunks(offset - skipped, whole, swapped_bytes=unit):
                piece = data[skipped : skipped + left]
                skipped, left = 0, left - len(piece)
                yield piece

    def samples(self, index: int) -> tuple[Samples, PixelFormat]:
        """A frame, decoded.

        :returns: shape (rows, columns) or (rows, columns, samples), colour by pixel, in the
            byte order of the machine, and how they are to be read
        :raises OrthancError: as `place`, and if it cannot be decoded
        """
        place = self.place(index)
        size_bytes = sum(length for _, length in place)
        if self.pixels.fragments is None:
            if self._has_swapped_bytes():
                return self._native(b"".join(self.stored(index)), index)
            return self._native(self._read(*place[0]), index)
        if size_bytes > self._limits.coded_bytes:
            raise OrthancError(
                ErrorCode.NOT_ENOUGH_MEMORY,
                f"A compressed frame of {size_bytes} bytes, the limit is "
                f"{self._limits.coded_bytes}",
            )
        data = b"".join(self._read(*piece) for piece in place)
        return decode_frame(data, self.transfer_syntax, self.pixel_format)

    def _read(self, offset: int, length: int) -> bytes:
        self.document.file.seek(offset)
        return self.document.file.read(length)

    def _native(self, data: bytes, index: int) -> tuple[Samples, PixelFormat]:
        import numpy

        described = self.pixel_format
        rows, columns = described.rows, described.columns
        if len(data) != self.place(index)[0][1]:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"The file ends within frame {index}")
        if described.bits_allocated == 1:
            # PS3.5 8.2: frames follow each other without padding, the first pixel lowest
            skipped = index * described.native_bits % 8
            bits = numpy.unpackbits(numpy.frombuffer(data, "u1"), bitorder="little")
            flat = bits[skipped : skipped + rows * columns * described.samples_per_pixel]
        else:
            flat = numpy.frombuffer(data, self._dtype()).astype(self._dtype().newbyteorder("="))
        if described.photometric_interpretation == "YBR_FULL_422":
            return _spread_422(flat, described), replace(
                described, photometric_interpretation="YBR_FULL", planar_configuration=0
            )
        if not described.is_colour:
            return flat.reshape(rows, columns), described
        if described.planar_configuration:
            planes = flat.reshape(described.samples_per_pixel, rows, columns)
            return planes.transpose(1, 2, 0), replace(described, planar_configuration=0)
        return flat.reshape(rows, columns, described.samples_per_pixel), described

    def _has_swapped_bytes(self) -> bool:
        """Samples of a byte in OW are pairs in words, which big endian has the other way round."""
        return (
            not self.document.dataset.little_endian
            and self.pixels.vr == "OW"
            and self.pixel_format.bits_allocated <= 8
        )

    def _dtype(self) -> numpy.dtype[Any]:
        import numpy

        order = "<" if self.document.dataset.little_endian else ">"
        size_bytes = self.pixel_format.bits_allocated // 8
        if self.pixels.tag in _FLOAT_BITS:
            return numpy.dtype(f"{order}f{size_bytes}")
        kind = "i" if self.pixel_format.pixel_representation else "u"
        return numpy.dtype(f"{order}{kind}{size_bytes}")


def has_pixels(attributes: Attributes) -> bool:
    """Whether there is an image."""
    return any(attributes.element(tag) is not None for tag in _PIXEL_TAGS)


def frame_count(attributes: Attributes) -> int:
    """NumberOfFrames, 1 if there is none.

    :raises OrthancError: BAD_FILE_FORMAT if it is no number of frames
    """
    text = attributes.text(0x00280008).split("\\")[0].strip()
    digits = text.removeprefix("+")
    if not text:
        return 1
    if not (digits.isascii() and digits.isdigit()) or not 0 <= int(digits[:12]) <= _MAX_FRAMES:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Invalid number of frames")
    return max(1, int(digits[:12]))


def _spread_422(flat: Samples, described: PixelFormat) -> Samples:
    """Y Y Cb Cr of two pixels each to one Y Cb Cr a pixel (PS3.3 C.7.6.3.1.2)."""
    import numpy

    if described.columns % 2 or described.bits_allocated != 8:
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, "YBR_FULL_422 of an odd width or not of 8 bits"
        )
    pairs = flat.reshape(described.rows, described.columns // 2, 4)
    spread = numpy.empty((described.rows, described.columns, 3), flat.dtype)
    spread[:, 0::2, 0] = pairs[:, :, 0]
    spread[:, 1::2, 0] = pairs[:, :, 1]
    spread[:, 0::2, 1:] = pairs[:, :, 2:]
    spread[:, 1::2, 1:] = pairs[:, :, 2:]
    return spread


def _format(attributes: Attributes, float_bits: int | None) -> PixelFormat:
    """The Image Pixel module, with the defaults that readers assume."""
    samples = attributes.integer(0x00280002, "SamplesPerPixel", 1)
    allocated = float_bits or attributes.integer(0x00280100, "BitsAllocated")
    return PixelFormat(
        rows=attributes.integer(0x00280010, "Rows"),
        columns=attributes.integer(0x00280011, "Columns"),
        samples_per_pixel=samples,
        bits_allocated=allocated,
        bits_stored=float_bits or attributes.integer(0x00280101, "BitsStored", allocated),
        pixel_representation=attributes.integer(0x00280103, "PixelRepresentation", 0),
        photometric_interpretation=attributes.text(0x00280004) or "MONOCHROME2",
        planar_configuration=(
            attributes.integer(0x00280006, "PlanarConfiguration", 0) if samples > 1 else 0
        ),
    )
