"""Metadata hold any bytes, the index holds text: how one is kept in the other.

What is UTF-8 is kept as it is. A byte that is not becomes a code point of a private use area,
U+10FF80 to U+10FFFF; text that has such code points itself is kept byte by byte. Source: REST
API, ``PUT /{level}/{id}/metadata/{name}``, whose body Orthanc stores as it comes.
"""

from __future__ import annotations

import re

_BYTES = range(0x80, 0x100)
_KEPT = {0xDC00 + byte: 0x10FF00 + byte for byte in _BYTES}
_GIVEN = {0x10FF00 + byte: 0xDC00 + byte for byte in _BYTES}
_SHOWN = {0x10FF00 + byte: 0xFFFD for byte in _BYTES}
_PRIVATE = re.compile("[\U0010ff80-\U0010ffff]")


def text_of(value: bytes) -> str:
    """What the index keeps of a value."""
    text = value.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    text = _PRIVATE.sub(lambda found: found[0].encode().decode("ascii", "surrogateescape"), text)
    return text.translate(_KEPT)


def bytes_of(text: str) -> bytes:
    """The value that `text_of` made the text of."""
    if not text.isascii():
        text = text.translate(_GIVEN)
    return text.encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """The value in JSON: U+FFFD for what is no text."""
    return text if text.isascii() else text.translate(_SHOWN)
