"""Numbers and texts of the header of an image."""

from __future__ import annotations

import math

from orthanc_tw.dicom.charset import Encoding, charsets_of
from orthanc_tw.dicom.document import Document, Element
from orthanc_tw.dicom.values import text_of
from orthanc_tw.model.errors import ErrorCode, OrthancError

_ASCII = charsets_of(None, Encoding.ASCII)
_MAX_BYTES = 4096


class Attributes:
    """Reads elements of the data set of a document. Blocks on its file."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def element(self, tag: int) -> Element | None:
        """The element, None if it is absent."""
        return self._document.dataset.elements.get(tag)

    @property
    def is_little_endian(self) -> bool:
        """Whether the numbers of `raw` are."""
        return self._document.dataset.little_endian

    def raw(self, tag: int, limit_bytes: int) -> bytes:
        """The bytes of a value, or its first ones; none if it is absent."""
        element = self.element(tag)
        if element is None or element.items is not None:
            return b""
        return self._document.read(element, limit_bytes)

    def text(self, tag: int) -> str:
        """Value as text, without padding; '' if it is absent."""
        element = self.element(tag)
        if element is None:
            return ""
        raw = self.raw(tag, _MAX_BYTES)
        text = text_of(tag, element.vr, raw, _ASCII, is_little_endian=self.is_little_endian)
        return (text or "").strip(" \0")

    def integer(self, tag: int, keyword: str, default: int | None = None) -> int:
        """First value as an integer.

        :raises OrthancError: BAD_FILE_FORMAT naming the attribute if it is no number, or absent
            without ``default``
        """
        text = self.text(tag).split("\\")[0].strip()
        if not text and default is not None:
            return default
        try:
            return int(text)
        except ValueError:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, f"Image without a valid {keyword}: {text!r}"
            ) from None

    def number(self, tag: int) -> float | None:
        """First value as a finite number, None if there is none."""
        try:
            value = float(self.text(tag).split("\\")[0])
        except ValueError:
            return None
        return value if math.isfinite(value) else None
