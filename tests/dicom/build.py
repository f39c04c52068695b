"""Small DICOM files, byte by byte, for tests of the reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping

UNDEFINED = 0xFFFFFFFF
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"

_LONG = frozenset(vr.decode() for vr in b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_BASE: dict[int, tuple[str, bytes]] = {
    0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.2"),
    0x00080018: ("UI", b"1.2.3.4.5"),
    0x00080060: ("CS", b"CT"),
    0x00100010: ("PN", b"Doe^J"),
    0x00100020: ("LO", b"PID"),
    0x0020000D: ("UI", b"1.2.3"),
    0x0020000E: ("UI", b"1.2.3.4"),
}


def element(
    tag: int,
    vr: str,
    value: bytes,
    *,
    explicit: bool = True,
    order: str = "<",
    length: int | None = None,
) -> bytes:
    """One element; ``length`` lies about the length."""
    if length is None:
        if len(value) % 2:
            value += b"\0" if vr in ("UI", "OB", "UN") else b" "
        length = len(value)
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack(order + "L", length) + value
    if vr in _LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "L", length) + value
    return head + vr.encode() + struct.pack(order + "H", length & 0xFFFF) + value


def item(content: bytes, length: int | None = None) -> bytes:
    """One item of a sequence, or a fragment; ``length`` lies, or is `UNDEFINED`."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def meta(transfer_syntax: str | None = EXPLICIT) -> bytes:
    """Preamble and meta header."""
    content = element(0x00020001, "OB", b"\0\1") + element(0x00020003, "UI", b"1.2.3.4.5")
    if transfer_syntax is not None:
        content += element(0x00020010, "UI", transfer_syntax.encode())
    length = element(0x00020000, "UL", struct.pack("<L", len(content)))
    return bytes(128) + b"DICM" + length + content


def dataset(
    changes: Mapping[int, tuple[str, bytes] | None] | None = None,
    *,
    explicit: bool = True,
    order: str = "<",
) -> bytes:
    """A data set with all identifiers; None in ``changes`` takes an element away."""
    elements = {**_BASE, **(changes or {})}
    return b"".join(
        element(tag, *content, explicit=explicit, order=order)
        for tag, content in sorted(elements.items())
        if content is not None
    )
