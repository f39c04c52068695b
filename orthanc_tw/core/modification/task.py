"""What a worker process does: read a stored file, write the modified one. No Twisted here."""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import suppress
from functools import lru_cache
from typing import Any, BinaryIO, cast

from orthanc_tw.core.modification.members import read_members
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.rewrite import Identifiers, modify_instance
from orthanc_tw.dicom.tags import DictionaryEntry, UserDictionary
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.open_stored import open_stored
from orthanc_tw.storage.spool import storage_error, write_all

#: The function for `WorkerPool.run`.
MODIFY_FILE = "orthanc_tw.core.modification.task:modify_file"
_BUFFER_BYTES = 1024 * 1024


def pack_order(
    modification: Modification, settings: ModificationSettings, pseudonym_key: bytes | None
) -> bytes:
    """What all instances of a job have in common, as `modify_file` wants it."""
    order = {
        "Modification": modification.to_json(),
        "Key": None if pseudonym_key is None else pseudonym_key.hex(),
        "Software": settings.software,
        "Encoding": settings.default_encoding.value,
        "Dictionary": [
            [entry.tag, entry.vr, entry.name, entry.creator]
            for entry in settings.dictionary.entries
        ],
    }
    return json.dumps(order).encode()


@lru_cache(maxsize=16)
def unpack_order(order: bytes) -> tuple[Modification, Identity, ModificationSettings]:
    """What `pack_order` was given, with the identity that follows from it."""
    value = json.loads(order)
    modification = Modification.from_json(value["Modification"])
    key = None if value["Key"] is None else bytes.fromhex(value["Key"])
    dictionary = UserDictionary(tuple(DictionaryEntry(*entry) for entry in value["Dictionary"]))
    settings = ModificationSettings(value["Software"], Encoding(value["Encoding"]), dictionary)
    return modification, Identity(bytes.fromhex(modification.seed), key), settings


def modify_file(
    order: bytes,
    source: str,
    compression: int,
    target: str,
    scratch: str,
    with_md5: bool,
    members: str | None = None,
) -> dict[str, Any]:
    """Write the modified form of a stored file.

    :param order: of `pack_order`
    :param source: path of the stored file, compressed as ``compression`` says
    :param target: path of the file to write; not there if this raises or drops the instance
    :param scratch: folder for a temporary file
    :param members: path of a file of `write_members`
    :returns: ``Source`` and ``Result`` (the four identifiers), ``Dropped`` (why nothing was
        written, or None), ``Size`` in bytes, ``MD5`` in hexadecimal, '' if it is not wanted
    :raises OrthancError: as `modify_instance` and `open_stored`; FULL_STORAGE
    """
    modification, identity, settings = unpack_order(order)
    with open_stored(source, Compression(compression), scratch) as file:
        raw = _TargetFile(target, with_md5)
        try:
            with io.BufferedWriter(raw, _BUFFER_BYTES) as writer:
                done = modify_instance(
                    modification,
                    identity,
                    file,
                    cast(BinaryIO, writer),
                    settings,
                    members=None if members is None else read_members(members),
                )
        except BaseException as error:
            raw.close()
            _remove(target)
            if isinstance(error, OSError):
                raise storage_error(error) from error
            raise
    if done.dropped is not None:
        _remove(target)
    return {
        "Source": _four(done.source),
        "Result": _four(done.result),
        "Dropped": done.dropped,
        "Size": raw.size_bytes,
        "MD5": raw.md5(),
    }


class _TargetFile(io.RawIOBase):
    """A new file that is hashed while it is written."""

    def __init__(self, path: str, with_md5: bool) -> None:
        super().__init__()
        self._hash = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self.size_bytes = 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise storage_error(error) from error

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Append."""
        if self._hash is not None:
            self._hash.update(data)
        size = len(data)
        write_all(self._fd, data)
        self.size_bytes += size
        return size

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._fd)
        super().close()

    def md5(self) -> str:
        """Of all that was written, '' if it is not wanted."""
        return "" if self._hash is None else self._hash.hexdigest()


def _four(identifiers: Identifiers) -> list[str]:
    return [
        identifiers.patient_id,
        identifiers.study_instance_uid,
        identifiers.series_instance_uid,
        identifiers.sop_instance_uid,
    ]


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
