"""GDCM: what pydicom does not ask of it: encoding of JPEG and RLE, decoding of 12-bit JPEG."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.model.errors import ErrorCode, OrthancError


def encode_with_gdcm(
    frame: bytes, syntax: str, pixel_format: PixelFormat, quality: int
) -> tuple[bytes, PixelFormat]:
    """Encode a native frame, colour by pixel.

    :raises OrthancError: INTERNAL_ERROR if GDCM refuses it
    """
    import gdcm

    change = gdcm.ImageChangeTransferSyntax()
    image = _image(gdcm, frame, pixel_format)
    # The filter keeps the image by a count of its own, and deletes it: Python must not.
    image.thisown = False
    change.SetInput(image)
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    codec = gdcm.JPEGCodec()
    if syntax.endswith(".4.51"):
        codec.SetLossless(False)
        codec.SetQuality(quality)
        change.SetUserCodec(codec)
    if not change.Change():
        raise OrthancError(ErrorCode.INTERNAL_ERROR, "GDCM cannot encode the frame")
    # Each of these points into the one before, which therefore has to stay alive.
    output = change.GetOutput()
    element = output.GetDataElement()
    fragments = element.GetSequenceOfFragments()
    coded = b"".join(
        fragments.GetFragment(index).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
        for index in range(fragments.GetNumberOfFragments())
    )
    return coded, replace(
        pixel_format,
        photometric_interpretation=output.GetPhotometricInterpretation().GetString().strip(),
        planar_configuration=output.GetPlanarConfiguration(),
    )


def _image(gdcm: Any, frame: bytes, pixel_format: PixelFormat) -> Any:
    native = gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian)
    image = _empty_image(gdcm, pixel_format, native)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(frame)
    image.SetDataElement(element)
    return image


def _empty_image(gdcm: Any, pixel_format: PixelFormat, syntax: Any) -> Any:
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimension(0, pixel_format.columns)
    image.SetDimension(1, pixel_format.rows)
    image.SetPixelFormat(
        gdcm.PixelFormat(
            pixel_format.samples_per_pixel,
            pixel_format.bits_allocated,
            pixel_format.bits_stored,
            pixel_format.bits_stored - 1,
            pixel_format.pixel_representation,
        )
    )
    kind = gdcm.PhotometricInterpretation.GetPIType(pixel_format.photometric_interpretation)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(syntax)
    return image


def decode_with_gdcm(data: bytes, syntax: str, pixel_format: PixelFormat) -> bytes:
    """Decode a frame of one sample a pixel to native bytes, little endian.

    :raises ValueError: if GDCM makes nothing of it
    """
    import gdcm

    coded = gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax))
    image = _empty_image(gdcm, pixel_format, coded)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image.SetDataElement(element)
    native: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    if len(native) != pixel_format.decoded_bytes:
        raise ValueError(f"{len(native)} bytes instead of {pixel_format.decoded_bytes}")
    return native
