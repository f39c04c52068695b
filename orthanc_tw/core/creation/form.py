"""``multipart/form-data`` in place of JSON: files as they are, a third smaller than as base64.

A field for each member of the JSON body: ``Tags`` is JSON, flags are ``true`` or ``false``. Each
``Content`` is a file; several make a series.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from orthanc_tw.core.archive_reader import ArchiveLimits, FormPart, form_parts
from orthanc_tw.core.creation.data_uris import DataUri
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_reading import read_json
from orthanc_tw.storage.interface import Spool

_FLAGS = ("Force", "InterpretBinaryTags", "Encapsulate")
_TEXTS = ("Parent", "PrivateCreator")
_FIELD_BYTES = 16 * 1024 * 1024
_OCTET_STREAM = "application/octet-stream"
_BY_EXTENSION = {
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".mtl": "model/mtl",
    ".obj": "model/obj",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".stl": "model/stl",
}


def form_reader(
    content_type: str, limits: ArchiveLimits
) -> Callable[[Spool, Callable[[], Spool]], Any]:
    """A ``read`` for `Creator.create`.

    :param content_type: header of the request
    """
    return partial(_read, content_type, limits)


def _read(
    content_type: str, limits: ArchiveLimits, body: Spool, new_spool: Callable[[], Spool]
) -> Any:
    value: dict[str, Any] = {"Tags": {}}
    contents: list[DataUri] = []
    for part in form_parts(body, content_type, new_spool, limits):
        if part.name == "Content":
            contents.append(DataUri(f"data:{_mime(part)};base64,", part.spool))
        elif part.name == "Tags":
            value["Tags"] = _json(part)
        elif part.name in _FLAGS:
            text = _text(part).strip().lower()
            value[part.name] = {"true": True, "false": False}.get(text, text)
        elif part.name in _TEXTS:
            value[part.name] = _text(part)
        else:
            raise OrthancError(
                ErrorCode.BAD_REQUEST, f'Unknown field of the form: "{part.name[:64]}"'
            )
    if contents:
        value["Content"] = contents[0] if len(contents) == 1 else contents
    return value


def _mime(part: FormPart) -> str:
    declared = part.content_type.partition(";")[0].strip().lower()
    if declared and declared != _OCTET_STREAM:
        return declared
    extension = os.path.splitext(part.filename)[1].lower()
    return _BY_EXTENSION.get(extension, _OCTET_STREAM)


def _text(part: FormPart) -> str:
    if part.spool.size_bytes > _FIELD_BYTES:
        raise OrthancError(
            ErrorCode.BAD_REQUEST, f'Field "{part.name}" is too large', http_status=413
        )
    with part.spool.reader() as file:
        try:
            return file.read().decode("utf-8")
        except UnicodeDecodeError:
            raise OrthancError(ErrorCode.BAD_REQUEST, f'Field "{part.name}" is not UTF-8') from None


def _json(part: FormPart) -> Any:
    try:
        return read_json(_text(part))
    except (ValueError, RecursionError):
        raise OrthancError(ErrorCode.BAD_REQUEST, f'Field "{part.name}" is not JSON') from None
