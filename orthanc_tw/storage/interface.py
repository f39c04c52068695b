"""The storage area as a Protocol: named spool files in, durable immutable files out.

Every method blocks on the disk: `Spool.write` is cheap enough for the reactor thread
(buffered write and hash), all others are for a thread unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from orthanc_tw.model.registries import Compression


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A durable file. Sizes in bytes; MD5 in hexadecimal, '' if not wanted."""

    uuid: str
    size_bytes: int
    md5: str
    stored_size_bytes: int
    stored_md5: str
    compression: Compression


class Spool(Protocol):
    """A temporary file inside the storage area, hashed while it is written once, front to back."""

    @property
    def path(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    def write(self, data: bytes) -> None:
        """Append. Raises `OrthancError` FULL_STORAGE if the disk is full."""
        ...

    def md5(self) -> str:
        """Hexadecimal MD5 of all that was written."""
        ...

    def reader(self) -> BinaryIO:
        """A new independent file object over what was written, at offset 0 (flushes first)."""
        ...

    def discard(self) -> None:
        """Remove the file; harmless if it was committed or discarded already."""
        ...


class Storage(Protocol):
    """The storage area."""

    def new_spool(self) -> Spool:
        """A new empty spool file (reactor thread allowed)."""
        ...

    def new_path(self) -> str:
        """A path for a spool that another process writes (reactor thread allowed)."""
        ...

    def adopt(self, path: str, size_bytes: int, md5: str) -> Spool:
        """The spool of a file at a path of `new_path`, now that it is written.

        :param md5: of the file, hexadecimal
        """
        ...

    def commit(self, spool: Spool, *, compress: bool = False) -> StoredFile:
        """Make the spool durable under a new UUID: write, fsync, rename, fsync of the folder."""
        ...

    def path(self, uuid: str) -> str:
        """Path of the stored bytes (reactor thread allowed). The file may not exist."""
        ...

    def open(self, uuid: str, compression: Compression) -> BinaryIO:
        """Seekable reader of the *uncompressed* content (zlib ones are inflated to a spool)."""
        ...

    def delete(self, uuids: Iterable[str]) -> None:
        """Remove files; one that is not there is no error."""
        ...

    def uuids(self) -> Iterator[str]:
        """All UUIDs on disk, in ascending order, for the sweep at start."""
        ...

    def clear_spool(self) -> None:
        """Remove what a killed server left in the spool folder (before anything is received)."""
        ...
