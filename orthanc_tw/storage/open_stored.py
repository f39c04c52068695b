"""Opening a stored file by its path: what the storage area and worker processes share."""

from __future__ import annotations

import tempfile
from typing import BinaryIO, cast

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.compressed import inflate
from orthanc_tw.storage.spool import storage_error


def open_stored(path: str, compression: Compression, scratch_folder: str) -> BinaryIO:
    """Seekable reader of the uncompressed content of a stored file. Blocks.

    :param scratch_folder: where what is compressed is inflated to, in a file without a name
    :raises OrthancError: INEXISTENT_FILE, CORRUPTED_FILE, FULL_STORAGE
    """
    try:
        file: BinaryIO = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise OrthancError(ErrorCode.INEXISTENT_FILE) from None
    if compression is not Compression.ZLIB_WITH_SIZE:
        return file
    with file:
        target = tempfile.TemporaryFile(dir=scratch_folder)  # noqa: SIM115
        try:
            inflate(file, cast(BinaryIO, target))
        except BaseException as error:
            target.close()
            if isinstance(error, OSError):
                raise storage_error(error) from error
            raise
        target.seek(0)
        return cast(BinaryIO, target)
