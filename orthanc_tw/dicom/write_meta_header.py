"""Writes preamble and file meta information (PS3.10 section 7.1) in front of a data set."""

from __future__ import annotations

import struct

from orthanc_tw.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_SHORT = struct.Struct("<HH2sH")
_PREFIX = bytes(128) + b"DICM"
# Group length, to be filled in; then (0002,0001) OB, whose length takes four bytes.
_VERSION = struct.pack("<HH2sxxL", 2, 1, b"OB", 2) + b"\x00\x01"


def meta_header(
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax: str,
    *,
    version_name: str = IMPLEMENTATION_VERSION_NAME,
) -> bytes:
    """Preamble, prefix and group 0002, explicit VR little endian.

    :param version_name: (0002,0013)
    """
    body = b"".join(
        (
            _VERSION,
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_instance_uid),
            _element(0x0010, b"UI", transfer_syntax),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", version_name[:16]),
        )
    )
    return _PREFIX + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(body)) + body


def _element(element: int, vr: bytes, value: str) -> bytes:
    encoded = value.encode("ascii", "replace")
    if len(encoded) & 1:
        encoded += b"\0" if vr == b"UI" else b" "
    return _SHORT.pack(2, element, vr, len(encoded)) + encoded
