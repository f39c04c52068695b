"""Revisions of user metadata and attachments, and the check before one is replaced."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from orthanc_tw.core.metadata_text import bytes_of
from orthanc_tw.model.errors import ErrorCode, OrthancError


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision number and the MD5 of what it stands for (hexadecimal, '' if unknown)."""

    number: int
    md5: str

    @classmethod
    def of_text(cls, number: int, value: str) -> Revision:
        """Revision of a metadata value, as the index keeps it."""
        digest = hashlib.md5(bytes_of(value), usedforsecurity=False)
        return cls(number, digest.hexdigest())


def next_revision(
    current: Revision | None, expected: Revision | None, *, check_revisions: bool
) -> int:
    """Number of the revision that may take the place of ``current``.

    :param expected: what the client believes is there (``If-Match``), or None
    :param check_revisions: option ``CheckRevisions``: an existing value is replaced only by
        a client that names its revision
    :raises OrthancError: REVISION if somebody else wrote in between
    """
    if current is None:
        return 0
    if expected is None:
        if check_revisions:
            raise OrthancError(ErrorCode.REVISION)
    elif expected != current:
        raise OrthancError(ErrorCode.REVISION)
    return current.number + 1
