"""Objects that are likely to hold text burned into their pixels, or documents."""

from __future__ import annotations

from orthanc_tw.dicom.document import Document

_SOP_CLASS_UID, _IMAGE_TYPE, _MODALITY = 0x00080016, 0x00080008, 0x00080060
_CONVERSION_TYPE, _BURNED_IN_ANNOTATION = 0x00080064, 0x00280301
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_ENCAPSULATED = f"{_STORAGE}104."
_SECONDARY_CAPTURES = (f"{_STORAGE}7",)
_ULTRASOUND = frozenset(f"{_STORAGE}{suffix}" for suffix in ("3", "3.1", "6", "6.1", "6.2"))
_SCREEN = ("SCREEN", "SECONDARY CAPTURE", "CAPTURED")


def burned_in_reason(document: Document) -> str | None:
    """Why an object is likely to hold burned-in text, in words; None if it is not.

    An image whose BurnedInAnnotation is ``NO`` is trusted, a document is not.
    """
    sop_class = _text(document, _SOP_CLASS_UID)
    if sop_class.startswith(_ENCAPSULATED):
        return "Encapsulated document"
    annotation = _text(document, _BURNED_IN_ANNOTATION)
    if annotation == "YES":
        return "BurnedInAnnotation is YES"
    if annotation == "NO":
        return None
    if any(sop_class == uid or sop_class.startswith(f"{uid}.") for uid in _SECONDARY_CAPTURES):
        return "Secondary capture"
    if sop_class in _ULTRASOUND or _text(document, _MODALITY) == "US":
        return "Ultrasound image that does not say BurnedInAnnotation NO"
    if _text(document, _CONVERSION_TYPE):
        return "Converted from another medium (ConversionType)"
    if any(word in _text(document, _IMAGE_TYPE) for word in _SCREEN):
        return "ImageType is that of a screen shot"
    return None


def _text(document: Document, tag: int) -> str:
    element = document.dataset.elements.get(tag)
    if element is None or not element.inline:
        return ""
    return element.inline.decode("ascii", "replace").strip(" \0").upper()
