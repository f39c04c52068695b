"""The header of an instance, kept apart where its file is compressed and has no ranges."""

from __future__ import annotations

from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.registries import ContentType
from orthanc_tw.storage.interface import Spool, Storage, StoredFile

_CHUNK_BYTES = 256 * 1024


def commit_header(storage: Storage, source: Spool, size_bytes: int) -> StoredFile:
    """Make the beginning of a spool durable as a file of its own. In a thread.

    :param size_bytes: of what is before the pixel data
    :raises OrthancError: FULL_STORAGE, FILE_STORAGE_CANNOT_WRITE
    """
    spool = storage.new_spool()
    try:
        with source.reader() as file:
            while size_bytes > 0:
                data = file.read(min(size_bytes, _CHUNK_BYTES))
                if not data:
                    break
                spool.write(data)
                size_bytes -= len(data)
        return storage.commit(spool, compress=True)
    finally:
        spool.discard()


def attachment_of(file: StoredFile, content_type: ContentType) -> Attachment:
    """The row of a durable file."""
    return Attachment(
        uuid=file.uuid,
        content_type=content_type,
        size_bytes=file.size_bytes,
        md5=file.md5,
        stored_size_bytes=file.stored_size_bytes,
        stored_md5=file.stored_md5,
        compression=file.compression,
    )
