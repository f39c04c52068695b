"""What a transcoded file says of itself: its pixels, and what was lost on the way.

Sources: PS3.3 C.7.6.1.1.5 (lossy image compression), C.7.6.1.1.3 (derivation), C.12.4; the wording
of DerivationDescription is that of Orthanc's answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from orthanc_tw.dicom.codecs.pixel_format import PixelFormat
from orthanc_tw.dicom.transcoding.pixels import NewPixels
from orthanc_tw.model.json_types import JsonObject, JsonValue

_SOP_CLASS, _SOP_INSTANCE, _IMAGE_TYPE = 0x00080016, 0x00080018, 0x00080008
_DERIVATION, _SOURCE_IMAGE, _DERIVATION_CODE = 0x00082111, 0x00082112, 0x00089215
_LOSSY, _RATIO, _METHOD = 0x00282110, 0x00282112, 0x00282114
_MAX_ST = 1024
_NAMES = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended sequential",
    "1.2.840.10008.1.2.4.57": "JPEG",
    "1.2.840.10008.1.2.4.70": "JPEG",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}


@dataclass(frozen=True, slots=True)
class Described:
    """What the header of the source says, as text; '' for what is absent."""

    sop_class_uid: str
    sop_instance_uid: str
    image_type: str
    derivation: str
    ratio: str
    method: str


def image_values(old: PixelFormat, new: PixelFormat) -> dict[int, JsonValue]:
    """New values of the Image Pixel module, as far as they change."""
    values: dict[int, JsonValue] = {}
    if old.photometric_interpretation != new.photometric_interpretation:
        values[0x00280004] = new.photometric_interpretation
    for tag, before, after in (
        (0x00280002, old.samples_per_pixel, new.samples_per_pixel),
        (0x00280100, old.bits_allocated, new.bits_allocated),
        (0x00280101, old.bits_stored, new.bits_stored),
        (0x00280102, old.bits_stored - 1, new.bits_stored - 1),
        (0x00280103, old.pixel_representation, new.pixel_representation),
    ):
        if before != after:
            values[tag] = str(after)
    if new.is_colour and (
        not old.is_colour or old.planar_configuration != new.planar_configuration
    ):
        values[0x00280006] = str(new.planar_configuration)
    return values


def compression_values(
    described: Described, pixels: NewPixels, syntax: str, quality: int
) -> dict[int, JsonValue]:
    """What is to be said of compressed pixels; more of them if something was lost."""
    encoding = pixels.encoding
    if encoding is None:
        return {}
    ratio = f"{pixels.native_bytes / pixels.coded_bytes:.5g}"
    name = _NAMES[syntax]
    if not encoding.is_lossy:
        text = f"Lossless {name} compression, compression ratio {ratio}"
        return {_DERIVATION: _derivation(text, described)}
    text = f"Lossy compression with {name}, quality {quality}, compression ratio {ratio}"
    kinds = described.image_type.split("\\")
    image_type = "\\".join(["DERIVED", *kinds[1:]]) if kinds[0] else "DERIVED\\SECONDARY"
    source: JsonObject = {
        "ReferencedSOPClassUID": described.sop_class_uid,
        "ReferencedSOPInstanceUID": described.sop_instance_uid,
        "PurposeOfReferenceCodeSequence": [_code("121320", "Uncompressed predecessor")],
    }
    ratios = [described.ratio] if described.ratio else []
    methods = [described.method] if described.method or ratios else []
    return {
        _IMAGE_TYPE: image_type,
        _DERIVATION: _derivation(text, described),
        _SOURCE_IMAGE: [source],
        _DERIVATION_CODE: [_code("113040", "Lossy Compression")],
        _LOSSY: "01",
        _RATIO: "\\".join([*ratios, ratio]),
        _METHOD: "\\".join([*methods, encoding.method]),
    }


def _derivation(text: str, described: Described) -> str:
    before = f" [{described.derivation}]" if described.derivation else ""
    return text + before if len(text + before) <= _MAX_ST else text


def _code(value: str, meaning: str) -> JsonObject:
    return {"CodeValue": value, "CodingSchemeDesignator": "DCM", "CodeMeaning": meaning}
