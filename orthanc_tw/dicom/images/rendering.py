"""How a frame is shown: as 8-bit or 16-bit picture (REST pages "preview" and its siblings)."""

from __future__ import annotations

from collections.abc import Callable
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

#: What Orthanc says of images that it can do nothing with.
NOT_FOR_IT = "ErrorCode_NotImplemented"
TOO_MANY_BITS = "No support for BitsAllocated > 32 or BitsStored >= 32"
#: Of red, green and blue, in ten thousandths: those that the recordings 30-images-3 and 4 show.
_LUMINANCE = (2126, 7152, 466)
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
    _check_supported(image)
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


def _check_supported(image: ImageFile) -> None:
    """What no picture is made of, as in Orthanc: recordings 30-images-*.

    :raises OrthancError: NOT_IMPLEMENTED
    """
    described = image.pixel_format
    if image.is_float:
        return
    if described.bits_allocated > 16:
        details = NOT_FOR_IT if described.is_colour else TOO_MANY_BITS
        raise OrthancError(ErrorCode.NOT_IMPLEMENTED, details)
    if described.photometric_interpretation == "YBR_FULL_422" and not image.is_encapsulated:
        raise OrthancError(ErrorCode.NOT_IMPLEMENTED, NOT_FOR_IT)


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
    low, high = _range(frame.samples)
    if high <= low:
        return _inverted(frame, numpy.zeros(frame.samples.shape, "u1"))

    def stretched(values: Samples) -> Samples:
        return (values - low) * 255.0 / (high - low) + 0.5

    return _inverted(frame, _mapped(frame.samples, stretched))


def rendered(
    frame: Frame, attributes: Attributes, center: float | None, width: float | None
) -> Samples:
    """8 bits through a window on the rescaled values; colours as they are.

    The window is that of the request, else of the file, else all that BitsStored can hold; it is
    one grey level wide at least.
    """
    if frame.is_colour:
        return _colours(frame)
    slope, intercept = rescale(attributes)
    full = float(1 << min(frame.bits_stored, 62))
    own_center, own_width = attributes.number(_CENTER), attributes.number(_WIDTH)
    if own_center is None or own_width is None:
        own_center, own_width = full / 2, full
    center = own_center if center is None else center
    width = max(1.0, own_width if width is None else width)
    low = center - width / 2

    def shown(values: Samples) -> Samples:
        return (values * slope + intercept - low) * 255.0 / width

    return _inverted(frame, _mapped(frame.samples, shown))


def _range(samples: Samples) -> tuple[float, float]:
    """Lowest and highest finite sample."""
    import numpy

    if samples.dtype.kind == "f":
        samples = samples[numpy.isfinite(samples)]
        if not samples.size:
            return 0.0, 0.0
    return float(samples.min()), float(samples.max())


def _mapped(samples: Samples, function: Callable[[Samples], Samples]) -> Samples:
    """A function of numbers applied to each sample, its results cut to 8 bits.

    By a table if the samples are integers: there are fewer values than samples, mostly.
    """
    import numpy

    def bytes_of(values: Samples) -> Samples:
        with numpy.errstate(over="ignore", invalid="ignore"):
            results = numpy.nan_to_num(function(values.astype("f8")), posinf=255.0, neginf=0.0)
        cut: Samples = numpy.clip(results, 0, 255).astype("u1")
        return cut

    if samples.dtype.kind == "f" or samples.dtype.itemsize > 2:
        mapped = numpy.empty(samples.shape, "u1")
        for row in range(samples.shape[0]):
            mapped[row] = bytes_of(samples[row])
        return mapped
    low, high = int(samples.min()), int(samples.max())
    table = bytes_of(numpy.arange(low, high + 1))
    if not low:
        return table[samples]
    return table[numpy.subtract(samples, low, dtype="i4")]


def truncated(frame: Frame, kind: str) -> Samples:
    """The samples in a type of integers, those beyond its range at its ends.

    :param kind: ``u1``, ``u2`` or ``i2``
    :raises OrthancError: NOT_IMPLEMENTED for colours, but of colours of 16 bits the luminance
    """
    import numpy

    samples = frame.samples
    if frame.is_colour:
        if samples.dtype.itemsize != 2 or kind == "i2":
            raise OrthancError(ErrorCode.NOT_IMPLEMENTED, "Not for colour images")
        samples = samples.astype("i8") @ numpy.array(_LUMINANCE) // 10000
    limits = numpy.iinfo(kind)
    return numpy.clip(samples, limits.min, limits.max).astype(kind)


def _colours(frame: Frame) -> Samples:
    if frame.samples.dtype.itemsize == 1:
        return frame.samples
    shift = max(0, frame.described.bits_allocated - 8)
    return (frame.samples >> shift).astype("u1")


def _inverted(frame: Frame, shown: Samples) -> Samples:
    return 255 - shown if frame.described.photometric_interpretation == "MONOCHROME1" else shown
