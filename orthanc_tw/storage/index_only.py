"""A storage area that forgets the DICOM files given to it: the index alone remains.

Orthanc's index-only mode (``StoreDicom``): attachments that users add are no DICOM files, and
go to the storage area itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.interface import Spool, Storage, StoredFile


class IndexOnlyStorage:
    """`storage.interface.Storage` whose `commit` keeps nothing; the rest is another's.

    :param storage: what has the spools
    :param uuid_source: makes random UUIDs in lower case
    """

    def __init__(self, storage: Storage, uuid_source: Callable[[], str]) -> None:
        self._storage = storage
        self._uuid_source = uuid_source

    def commit(self, spool: Spool, *, compress: bool = False) -> StoredFile:
        """What the file would have been, uncompressed; the spool is over. In a thread."""
        size, md5 = spool.size_bytes, spool.md5()
        spool.discard()
        return StoredFile(self._uuid_source(), size, md5, size, md5, Compression.NONE)

    def new_spool(self) -> Spool:
        """A new empty spool."""
        return self._storage.new_spool()

    def new_path(self) -> str:
        """A path for a spool that another process writes."""
        return self._storage.new_path()

    def adopt(self, path: str, size_bytes: int, md5: str) -> Spool:
        """The spool of a file at a path of `new_path`."""
        return self._storage.adopt(path, size_bytes, md5)

    def path(self, uuid: str) -> str:
        """Where a file would be."""
        return self._storage.path(uuid)

    def open(self, uuid: str, compression: Compression) -> BinaryIO:
        """Reader of what another kept. Raises `OrthancError` INEXISTENT_FILE for DICOM files."""
        return self._storage.open(uuid, compression)

    def delete(self, uuids: Iterable[str]) -> None:
        """Remove files; those that were not kept are no error."""
        self._storage.delete(uuids)

    def uuids(self) -> Iterator[str]:
        """All UUIDs on disk, ascending."""
        return self._storage.uuids()

    def clear_spool(self) -> None:
        """Remove what a killed server left."""
        self._storage.clear_spool()
