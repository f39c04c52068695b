"""What kind of file do these first bytes begin? Pure functions for the doors of ingest."""

from __future__ import annotations

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def looks_like_zip(head: bytes) -> bool:
    """Say whether the file begins as a ZIP archive does, an empty or spanned one too."""
    return head[:4] in _ZIP


def has_dicom_prefix(head: bytes) -> bool:
    """Say whether there is a preamble and ``DICM`` (PS3.10 7.1); needs 132 bytes."""
    return head[128:132] == b"DICM"
