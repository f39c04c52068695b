"""Colour spaces: what the samples mean, made into RGB (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.dicom.images.attributes import Attributes
from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

_DESCRIPTORS = (0x00281101, 0x00281102, 0x00281103)
_TABLES = (0x00281201, 0x00281202, 0x00281203)
_MAX_TABLE_BYTES = 2 * 65536
#: Y Cb Cr to R G B, as JFIF and PS3.3 C.7.6.3.1.2 give it.
_FROM_YBR = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def to_rgb(samples: Samples, described: PixelFormat) -> Samples:
    """Colour samples as RGB, of the type they have.

    :param samples: shape (rows, columns, 3)
    :raises OrthancError: BAD_FILE_FORMAT if the colour space is not one of RGB, YBR_FULL,
        YBR_FULL_422, YBR_RCT, YBR_ICT
    """
    import numpy

    space = described.photometric_interpretation
    if described.samples_per_pixel != 3:
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, f"Image of {described.samples_per_pixel} samples per pixel"
        )
    # The decoders of JPEG 2000 take the transformation back themselves.
    if space in ("RGB", "YBR_RCT", "YBR_ICT"):
        return samples
    if not space.startswith("YBR_FULL"):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Colour image in {space}")
    half = 1 << (described.bits_stored - 1)
    values = samples.astype("f4")
    values[..., 1:] -= half
    mixed = values @ numpy.array(_FROM_YBR, "f4").T
    rgb: Samples = numpy.clip(numpy.rint(mixed), 0, 2 * half - 1).astype(samples.dtype)
    return rgb


def apply_palette(samples: Samples, described: PixelFormat, attributes: Attributes) -> Samples:
    """Indices made into colours by the palette of the image (PS3.3 C.7.9).

    :returns: shape (rows, columns, 3) of 8 bits
    :raises OrthancError: BAD_FILE_FORMAT if the palette is missing or too short
    """
    import numpy

    planes = []
    for descriptor, table in zip(_DESCRIPTORS, _TABLES, strict=True):
        planes.append(_lookup(samples, *_palette(attributes, descriptor, table)))
    return numpy.stack(planes, -1)


def _palette(attributes: Attributes, descriptor: int, table: int) -> tuple[int, Samples]:
    """First index of a table, and its entries in 8 bits."""
    import numpy

    little = attributes.is_little_endian
    raw = attributes.raw(descriptor, 6)
    if len(raw) != 6:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Palette image without a palette")
    count, first, bits = struct.unpack("<HhH" if little else ">HhH", raw)
    count = count or 65536
    data = attributes.raw(table, _MAX_TABLE_BYTES)
    if bits == 8 and len(data) < 2 * count:
        entries = numpy.frombuffer(data, "u1")
    else:
        words = numpy.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")
        entries = (words if bits == 8 else words >> 8).astype("u1")
    if len(entries) < count:
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, f"Palette of {len(entries)} entries instead of {count}"
        )
    return first, entries[:count]


def _lookup(samples: Samples, first: int, entries: Samples) -> Samples:
    import numpy

    indices = numpy.clip(samples.astype("i4") - first, 0, len(entries) - 1)
    looked_up: Samples = entries[indices]
    return looked_up
