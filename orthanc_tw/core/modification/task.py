"""What a worker process does: read a stored file, write the modified one. No Twisted here."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, BinaryIO, cast

from orthanc_tw.core.modification.members import read_members
from orthanc_tw.core.target_file import TargetFile
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.modification.encoding import NATIVE_SYNTAXES
from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.rewrite import (
    Identifiers,
    ModifiedInstance,
    modify_instance,
)
from orthanc_tw.dicom.tags import DictionaryEntry, UserDictionary
from orthanc_tw.dicom.transcoding.transcode import Transcoding, transcode_instance
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.open_stored import open_stored
from orthanc_tw.storage.spool import storage_error

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
        "Quality": settings.lossy_quality,
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
    settings = ModificationSettings(
        value["Software"],
        Encoding(value["Encoding"]),
        dictionary,
        lossy_quality=value["Quality"],
    )
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
        raw = TargetFile(target, with_md5)
        try:
            with io.BufferedWriter(raw, _BUFFER_BYTES) as writer:
                done = _modify(
                    modification,
                    identity,
                    file,
                    cast(BinaryIO, writer),
                    settings,
                    scratch,
                    None if members is None else read_members(members),
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


def _modify(
    modification: Modification,
    identity: Identity,
    source: BinaryIO,
    target: BinaryIO,
    settings: ModificationSettings,
    scratch: str,
    members: Mapping[str, int] | None,
) -> ModifiedInstance:
    """Modify, and transcode what needs a codec. The new identifiers are those of the modification.

    So references between the results of a job stay right, whatever is lost of the pixels.
    """

    def change(what: Modification, into: BinaryIO) -> ModifiedInstance:
        return modify_instance(what, identity, source, into, settings, members=members)

    wanted = modification.transcode
    if wanted is None:
        return change(modification, target)
    if wanted in NATIVE_SYNTAXES:
        try:
            return change(modification, target)
        except OrthancError as error:
            if error.code is not ErrorCode.NOT_IMPLEMENTED:
                raise
            source.seek(0)  # its pixels are compressed; nothing was written yet
    with tempfile.TemporaryFile(dir=scratch) as between:
        file = cast(BinaryIO, between)
        plain = replace(modification, transcode=None)
        done = change(plain, file)
        if done.dropped is not None:
            return done
        file.seek(0)
        quality = modification.lossy_quality or settings.lossy_quality
        order = Transcoding((wanted,), quality, new_uid=False)
        if transcode_instance(file, target, order, scratch).is_unchanged:
            file.seek(0)
            shutil.copyfileobj(file, target, _BUFFER_BYTES)
    return done


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
