"""How a frame is shown: as 8-bit or 16-bit picture (REST pages "preview" and its siblings)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.dicom.images.attributes import Attributes
from orthanc_tw.dicom.images.colour import apply_palette, to_rgb
from orthanc_tw.dicom.images.image_file import ImageFile
from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    import numpy

    Samples = numpy.ndarray[Any, Any]

_CENTER, _WIDTH, _INTERCEPT, _SLOPE = 0x00281050, 0x00281051, 0x00281052, 0x00281053


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame, ready to be shown.

    :ivar samples: (rows, columns), or (rows, columns, 3) in RGB
    :ivar bits_stored: of the image, before a palette or the spreading of single bits
    """

    samples: Samples
    described: PixelFormat
    bits_stored: int

    @property
    def is_colour(self) -> bool:
        """Whether the samples are RGB."""
        return self.samples.ndim == 3


def read_frame(image: ImageFile, index: int) -> Frame:
    """Decode a frame; colours become RGB, bits become 0 and 255.

    :raises OrthancError: as `ImageFile.samples`, and for colour spaces that are not known
    """
    samples, described = image.samples(index)
    if described.photometric_interpretation == "PALETTE COLOR":
        colours = apply_palette(samples, described, image.attributes)
        return Frame(colours, _eight_bits(described, "RGB"), described.bits_stored)
    if samples.ndim == 3:
        colours = to_rgb(samples, described)
        described = replace(described, photometric_interpretation="RGB")
        return Frame(colours, described, described.bits_stored)
    if described.bits_allocated == 1:
        spread = _eight_bits(described, described.photometric_interpretation)
        return Frame(samples * 255, spread, 1)
    return Frame(samples, described, described.bits_stored)


def _eight_bits(described: PixelFormat, space: str) -> PixelFormat:
    return replace(
        described,
        bits_allocated=8,
        bits_stored=8,
        pixel_representation=0,
        photometric_interpretation=space,
    )


def rescale(attributes: Attributes) -> tuple[float, float]:
    """Slope and intercept of the modality transformation (PS3.3 C.11.1.1.2)."""
    slope, intercept = attributes.number(_SLOPE), attributes.number(_INTERCEPT)
    if slope is None or intercept is None:
        return 1.0, 0.0
    return slope, intercept


def preview(frame: Frame) -> Samples:
    """8 bits: grey levels stretched from the lowest to the highest, colours as they are.

    The lowest grey level of MONOCHROME1 is white.
    """
    import numpy

    if frame.is_colour:
        return _colours(frame)
    low, high = float(frame.samples.min()), float(frame.samples.max())
    if high <= low:
        stretched = numpy.zeros(frame.samples.shape, "u1")
    else:
        raised = (frame.samples.astype("f8") - low) * 255.0
        stretched = (raised / (high - low) + 0.5).astype("u1")
    return _inverted(frame, stretched)


def rendered(
    frame: Frame, attributes: Attributes, center: float | None, width: float | None
) -> Samples:
    """8 bits through a window on the rescaled values; colours as they are.

    The window is that of the request, else of the file, else all that BitsStored can hold.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE if the window has no positive width
    """
    import numpy

    if frame.is_colour:
        return _colours(frame)
    slope, intercept = rescale(attributes)
    full = float(1 << frame.bits_stored)
    own_center, own_width = attributes.number(_CENTER), attributes.number(_WIDTH)
    if own_center is None or own_width is None:
        own_center, own_width = full / 2, full
    center = own_center if center is None else center
    width = own_width if width is None else width
    if not width > 0:
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, f"Window of width {width}")
    low = center - width / 2
    values = frame.samples.astype("f8") * slope + intercept
    shown = numpy.clip((values - low) * (255.0 / width), 0, 255).astype("u1")
    return _inverted(frame, shown)


def truncated(frame: Frame, kind: str) -> Samples:
    """The samples in a type of integers, those beyond its range at its ends.

    :param kind: ``u1``, ``u2`` or ``i2``
    :raises OrthancError: NOT_IMPLEMENTED for colours
    """
    import numpy

    if frame.is_colour:
        raise OrthancError(ErrorCode.NOT_IMPLEMENTED, "Not for colour images")
    limits = numpy.iinfo(kind)
    return numpy.clip(frame.samples, limits.min, limits.max).astype(kind)


def _colours(frame: Frame) -> Samples:
    if frame.samples.dtype.itemsize == 1:
        return frame.samples
    shift = max(0, frame.described.bits_allocated - 8)
    return (frame.samples >> shift).astype("u1")


def _inverted(frame: Frame, shown: Samples) -> Samples:
    return 255 - shown if frame.described.photometric_interpretation == "MONOCHROME1" else shown
