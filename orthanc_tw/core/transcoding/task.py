"""What a worker process does: read a file, write it in another transfer syntax. No Twisted here."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO, cast

from orthanc_tw.core.target_file import TargetFile
from orthanc_tw.dicom.transcoding.transcode import Transcoding, transcode_instance
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.open_stored import open_stored
from orthanc_tw.storage.spool import storage_error

#: The function for `WorkerPool.run`.
TRANSCODE_FILE = "orthanc_tw.core.transcoding.task:transcode_file"
_BUFFER_BYTES = 1024 * 1024


def transcode_file(
    order: Sequence[Any], source: str, compression: int, target: str, scratch: str, with_md5: bool
) -> dict[str, Any]:
    """Write a file in another transfer syntax.

    :param order: fields of a `Transcoding`
    :param source: path of the file, compressed as ``compression`` says
    :param target: path of the file to write; not there if this raises, or nothing changes
    :param scratch: folder for temporary files
    :returns: ``Syntax``, ``SopClass``, ``SopInstance`` (UIDs), ``Unchanged``, ``Size`` in bytes,
        ``MD5`` in hexadecimal, '' if it is not wanted
    :raises OrthancError: as `transcode_instance` and `open_stored`; FULL_STORAGE
    """
    syntaxes, quality, new_uid, lossy = order
    transcoding = Transcoding(tuple(syntaxes), quality, new_uid, lossy)
    with open_stored(source, Compression(compression), scratch) as file:
        raw = TargetFile(target, with_md5)
        try:
            with io.BufferedWriter(raw, _BUFFER_BYTES) as writer:
                done = transcode_instance(file, cast(BinaryIO, writer), transcoding, scratch)
        except BaseException as error:
            raw.close()
            os.unlink(target)
            if isinstance(error, OSError):
                raise storage_error(error) from error
            raise
    if done.is_unchanged:
        with suppress(FileNotFoundError):
            os.unlink(target)
    return {
        "Syntax": done.syntax,
        "SopClass": done.sop_class_uid,
        "SopInstance": done.sop_instance_uid,
        "Unchanged": done.is_unchanged,
        "Size": raw.size_bytes,
        "MD5": raw.md5(),
    }
