"""Encoding of one frame: who encodes what, and how lossy it is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, slots=True)
class Encoding:
    """What an encoder can take, and what it makes.

    :ivar method: Lossy Image Compression Method (0028,2114), '' if it is lossless
    :ivar bits_allocated: of the samples that it takes
    :ivar bits_stored: at most so many
    :ivar colour: whether it takes three samples a pixel
    :ivar signed: whether it keeps negative samples
    """

    encoder: str
    method: str = ""
    bits_allocated: tuple[int, ...] = (8, 16)
    bits_stored: int = 16
    colour: bool = True
    signed: bool = True

    @property
    def is_lossy(self) -> bool:
        """Whether what is decoded later differs from what is encoded."""
        return bool(self.method)

    def takes(self, found: PixelFormat) -> bool:
        """Whether frames of that format can be encoded."""
        is_palette = found.photometric_interpretation == "PALETTE COLOR"
        return (
            found.bits_allocated in self.bits_allocated
            and found.bits_stored <= self.bits_stored
            and (self.colour or not found.is_colour)
            and (self.signed or not found.pixel_representation)
            and not (self.is_lossy and is_palette)
            and (not found.is_colour or (found.samples_per_pixel, found.bits_allocated) == (3, 8))
        )


#: transfer syntax: what encodes it. Chosen by measuring a CT slice of 512 x 512 x 16 bit.
ENCODINGS: Final[dict[str, Encoding]] = {
    "1.2.840.10008.1.2.5": Encoding("gdcm"),
    "1.2.840.10008.1.2.4.50": Encoding(
        "pillow", "ISO_10918_1", bits_allocated=(8,), bits_stored=8, signed=False
    ),
    "1.2.840.10008.1.2.4.51": Encoding(
        "gdcm", "ISO_10918_1", bits_allocated=(16,), bits_stored=12, colour=False, signed=False
    ),
    "1.2.840.10008.1.2.4.57": Encoding("gdcm"),
    "1.2.840.10008.1.2.4.70": Encoding("gdcm"),
    "1.2.840.10008.1.2.4.80": Encoding("pyjpegls"),
    "1.2.840.10008.1.2.4.81": Encoding("pyjpegls", "ISO_14495_1", signed=False),
    "1.2.840.10008.1.2.4.90": Encoding("pylibjpeg"),
    "1.2.840.10008.1.2.4.91": Encoding("pylibjpeg", "ISO_15444_1"),
}


_BASELINE: Final = "1.2.840.10008.1.2.4.50"
_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
_FIVE_LEVELS: Final = 32


def encoding_of(syntax: str, pixel_format: PixelFormat) -> Encoding | None:
    """What writes frames of that format in that syntax, None if nothing here can."""
    if syntax == _EXTENDED and pixel_format.bits_allocated == 8:
        # A baseline stream is one of the extended process too (PS3.5 8.2.1)
        syntax = _BASELINE
    encoding = ENCODINGS.get(syntax)
    if encoding is None or not encoding.takes(pixel_format):
        return None
    is_small = min(pixel_format.rows, pixel_format.columns) < _FIVE_LEVELS
    if encoding.encoder == "pylibjpeg" and is_small:
        # It always asks OpenJPEG for five levels of wavelets, GDCM for as many as there can be
        return None if encoding.is_lossy else replace(encoding, encoder="gdcm")
    return encoding


def encode_frame(
    samples: numpy.ndarray[Any, Any], syntax: str, pixel_format: PixelFormat, quality: int
) -> tuple[bytes, PixelFormat]:
    """Encode a frame.

    :param samples: shape (rows, columns) or (rows, columns, 3), colour by pixel
    :param quality: of lossy syntaxes, 1 to 100
    :returns: the code stream, of any length, and how it is to be described
    :raises OrthancError: NOT_IMPLEMENTED if that cannot be written in this syntax,
        INTERNAL_ERROR if the encoder fails
    """
    encoding = encoding_of(syntax, pixel_format)
    if encoding is None:
        raise OrthancError(
            ErrorCode.NOT_IMPLEMENTED,
            f"Cannot write such an image in the transfer syntax: {syntax}",
        )
    try:
        if encoding.encoder == "gdcm":
            from orthanc_tw.dicom.codecs.with_gdcm import encode_with_gdcm

            return encode_with_gdcm(samples.tobytes(), syntax, pixel_format, quality)
        if encoding.encoder == "pillow":
            return _encode_baseline(samples, pixel_format, quality)
        return _encode_with_pydicom(samples, syntax, pixel_format, quality, encoding)
    except OrthancError:
        raise
    except Exception as error:
        raise OrthancError(
            ErrorCode.INTERNAL_ERROR, f"{encoding.encoder} cannot encode the frame: {error}"
        ) from error


def _encode_baseline(
    samples: numpy.ndarray[Any, Any], pixel_format: PixelFormat, quality: int
) -> tuple[bytes, PixelFormat]:
    """JPEG baseline; colour is sub-sampled, which PS3.5 8.2.1 calls YBR_FULL_422."""
    import io

    from PIL import Image

    target = io.BytesIO()
    if not pixel_format.is_colour:
        Image.fromarray(samples).save(target, "JPEG", quality=quality)
        return target.getvalue(), pixel_format
    space = "YCbCr" if pixel_format.photometric_interpretation.startswith("YBR") else "RGB"
    image = Image.frombytes(space, (pixel_format.columns, pixel_format.rows), samples.tobytes())
    image.save(target, "JPEG", quality=quality, subsampling="4:2:2")
    return target.getvalue(), replace(
        pixel_format, photometric_interpretation="YBR_FULL_422", planar_configuration=0
    )


def _encode_with_pydicom(
    samples: numpy.ndarray[Any, Any],
    syntax: str,
    pixel_format: PixelFormat,
    quality: int,
    encoding: Encoding,
) -> tuple[bytes, PixelFormat]:
    """JPEG-LS and JPEG 2000."""
    from pydicom.pixels.encoders.base import get_encoder
    from pydicom.uid import UID

    options: dict[str, Any] = {}
    described = pixel_format
    if encoding.encoder == "pyjpegls" and encoding.is_lossy:
        options["jls_error"] = near_lossless_error(quality)
    if encoding.encoder == "pylibjpeg":
        if encoding.is_lossy:
            options["j2k_cr"] = [compression_ratio(quality)]
        if pixel_format.photometric_interpretation == "RGB":
            # The encoder transforms the colours itself, the decoder takes that back.
            transformed = "YBR_ICT" if encoding.is_lossy else "YBR_RCT"
            described = replace(pixel_format, photometric_interpretation=transformed)
    coded = get_encoder(UID(syntax)).encode(
        samples,
        index=None,
        encoding_plugin=encoding.encoder,
        **asdict(
            replace(
                pixel_format,
                photometric_interpretation=described.photometric_interpretation,
                planar_configuration=0,
            )
        ),
        number_of_frames=1,
        **options,
    )
    return coded, replace(described, planar_configuration=0)


def near_lossless_error(quality: int) -> int:
    """The greatest difference of a sample that JPEG-LS may make, from 0 (100) to 10 (1)."""
    return max(1, round((100 - quality) / 10))


def compression_ratio(quality: int) -> int:
    """The compression ratio asked of JPEG 2000: 3 at quality 100 up to about 50 at 1."""
    return 3 + round(50 * math.pow(1 - quality / 100, 1.5))
