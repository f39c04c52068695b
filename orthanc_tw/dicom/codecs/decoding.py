"""Decoding of one compressed frame, by pydicom's decoders and the packages behind them.

Which package decodes what was chosen by measuring a CT slice of 512 x 512 x 16 bit; the
others that pydicom knows take over where the first one refuses a frame. GDCM does not for JPEG-LS
and JPEG 2000: it is built on the same libraries, and a broken stream ends its process.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.model.errors import ErrorCode, OrthancError

if TYPE_CHECKING:
    import numpy

#: GDCM asked without pydicom, which keeps 12-bit JPEG from it.
TWELVE_BITS: Final = "gdcm, 12 bits"

#: transfer syntax: the plugins of pydicom that decode it, the fastest first.
DECODERS: Final[dict[str, tuple[str, ...]]] = {
    "1.2.840.10008.1.2.5": ("pydicom",),
    "1.2.840.10008.1.2.4.50": ("gdcm", "pillow"),
    "1.2.840.10008.1.2.4.51": ("gdcm", TWELVE_BITS, "pillow"),
    "1.2.840.10008.1.2.4.57": ("gdcm",),
    "1.2.840.10008.1.2.4.70": ("gdcm",),
    "1.2.840.10008.1.2.4.80": ("pyjpegls",),
    "1.2.840.10008.1.2.4.81": ("pyjpegls",),
    "1.2.840.10008.1.2.4.90": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.91": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.202": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),
}


def decode_frame(
    data: bytes, syntax: str, pixel_format: PixelFormat
) -> tuple[numpy.ndarray[Any, Any], PixelFormat]:
    """Decode a frame.

    :param data: the fragments of the frame, joined
    :param syntax: UID of its transfer syntax
    :param pixel_format: what the header says of it
    :returns: the samples, shape (rows, columns) or (rows, columns, samples), of the type that
        BitsAllocated and PixelRepresentation say; and how they are to be read: colour by
        pixel, and the colour space that the decoder has left them in
    :raises OrthancError: NOT_IMPLEMENTED if nothing here decodes the syntax; BAD_FILE_FORMAT
        if no decoder can make sense of the frame
    """
    plugins = DECODERS.get(syntax)
    if plugins is None:
        raise OrthancError(
            ErrorCode.NOT_IMPLEMENTED, f"No decoder for the transfer syntax: {syntax}"
        )
    reasons = []
    for plugin in plugins:
        try:
            if plugin == TWELVE_BITS:
                return _decode_twelve_bits(data, syntax, pixel_format)
            return _decode_with_pydicom(data, syntax, pixel_format, plugin)
        # Whatever a codec raises on hostile bytes.
        except Exception as error:  # noqa: PERF203
            reasons.append(f"{plugin}: {error}")
    raise OrthancError(
        ErrorCode.BAD_FILE_FORMAT, "Cannot decode the frame: " + "; ".join(reasons)[:500]
    )


def _decode_twelve_bits(
    data: bytes, syntax: str, pixel_format: PixelFormat
) -> tuple[numpy.ndarray[Any, Any], PixelFormat]:
    """JPEG of 12 bits a sample: GDCM can, though pydicom does not ask it to."""
    import numpy

    from orthanc_tw.dicom.codecs.with_gdcm import decode_with_gdcm

    if pixel_format.bits_allocated != 16 or pixel_format.is_colour:
        raise ValueError("not an image of 12 bits a sample")
    native = decode_with_gdcm(data, syntax, pixel_format)
    kind = "<i2" if pixel_format.pixel_representation else "<u2"
    samples = numpy.frombuffer(native, kind).reshape(pixel_format.rows, pixel_format.columns)
    return samples, pixel_format


def _decode_with_pydicom(
    data: bytes, syntax: str, pixel_format: PixelFormat, plugin: str
) -> tuple[numpy.ndarray[Any, Any], PixelFormat]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    decode: Any = get_decoder(UID(syntax)).as_array
    samples, found = decode(
        encapsulate([data]),
        index=0,
        raw=True,
        decoding_plugin=plugin,
        **asdict(pixel_format),
        number_of_frames=1,
        pixel_keyword="PixelData",
    )
    return samples, replace(
        pixel_format,
        bits_allocated=int(found["bits_allocated"]),
        bits_stored=int(found["bits_stored"]),
        pixel_representation=int(found["pixel_representation"]),
        photometric_interpretation=str(found["photometric_interpretation"]),
        planar_configuration=0,
    )
