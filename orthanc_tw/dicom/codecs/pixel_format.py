"""What one frame of an image looks like (PS3.3 C.7.6.3, the Image Pixel module)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_BITS_ALLOCATED = (1, 8, 16, 32, 64)
_FLOAT_KEYWORDS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the samples of a frame are laid out.

    :ivar planar_configuration: 0 colour by pixel, 1 colour by plane
    :ivar pixel_representation: 0 unsigned, 1 signed
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int = 0

    @property
    def frame_bits(self) -> int:
        """Size of an uncompressed frame, in bits: frames of 1 bit a sample are not padded.

        PS3.3 C.7.6.3.1.2: of YBR_FULL_422 in native pixel data, two pixels share their Cb
        and Cr.
        """
        samples = self.samples_per_pixel
        if self.photometric_interpretation == "YBR_FULL_422":
            samples = 2
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def decoded_bytes(self) -> int:
        """Size of a frame once it is decoded, one sample in whole bytes."""
        return self.rows * self.columns * self.samples_per_pixel * max(1, self.bits_allocated // 8)

    @property
    def is_colour(self) -> bool:
        """Whether a pixel is more than one sample."""
        return self.samples_per_pixel > 1


def _integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value: Any = dataset.get(keyword)
    if value is None and default is not None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, f"Image without a valid {keyword}: {value!r}"
        ) from None


def read_pixel_format(dataset: Dataset, *, maximum_frame_bytes: int) -> PixelFormat:
    """The format of the frames of an image, from its header, checked before memory is spent.

    :param maximum_frame_bytes: limit of one decoded frame
    :raises OrthancError: BAD_FILE_FORMAT naming the attribute that is missing or impossible;
        NOT_ENOUGH_MEMORY if a frame is above the limit
    """
    is_float = next((bits for word, bits in _FLOAT_KEYWORDS.items() if word in dataset), 0)
    samples = _integer(dataset, "SamplesPerPixel", 1)
    allocated = is_float or _integer(dataset, "BitsAllocated")
    stored = is_float or _integer(dataset, "BitsStored", allocated)
    found = PixelFormat(
        rows=_integer(dataset, "Rows"),
        columns=_integer(dataset, "Columns"),
        samples_per_pixel=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        pixel_representation=1 if is_float else _integer(dataset, "PixelRepresentation", 0),
        photometric_interpretation=str(dataset.get("PhotometricInterpretation") or "MONOCHROME2"),
        planar_configuration=_integer(dataset, "PlanarConfiguration", 0) if samples > 1 else 0,
    )
    _check(found, maximum_frame_bytes)
    return found


def _check(found: PixelFormat, maximum_frame_bytes: int) -> None:
    for keyword, value, allowed in (
        ("Rows", found.rows, range(1, 65536)),
        ("Columns", found.columns, range(1, 65536)),
        ("SamplesPerPixel", found.samples_per_pixel, (1, 3, 4)),
        ("BitsAllocated", found.bits_allocated, _BITS_ALLOCATED),
        ("BitsStored", found.bits_stored, range(1, found.bits_allocated + 1)),
        ("PixelRepresentation", found.pixel_representation, (0, 1)),
        ("PlanarConfiguration", found.planar_configuration, (0, 1)),
    ):
        if value not in allowed:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, f"Image with an impossible {keyword}: {value}"
            )
    if found.decoded_bytes > maximum_frame_bytes:
        raise OrthancError(
            ErrorCode.NOT_ENOUGH_MEMORY,
            f"A frame of {found.decoded_bytes} bytes is above the limit of {maximum_frame_bytes}",
        )


def number_of_frames(dataset: Dataset) -> int:
    """NumberOfFrames (0028,0008), 1 if it is absent or empty (it is often wrong by that).

    :raises OrthancError: BAD_FILE_FORMAT if it is not a positive number
    """
    if dataset.get("NumberOfFrames") in (None, ""):
        return 1
    count = _integer(dataset, "NumberOfFrames")
    if count < 1:
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, f"Image with an impossible NumberOfFrames: {count}"
        )
    return count
