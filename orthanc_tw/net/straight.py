"""A DICOM file that is to be sent although it is not stored here."""

from __future__ import annotations

import os
from typing import IO, BinaryIO, cast

from orthanc_tw.dicom.document import Item
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.values import InstanceFile

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018


class SharedFile:
    """Leaves the file open that it stands for: that is its owner's to close."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell

    def close(self) -> None:
        """Nothing."""

    def __enter__(self) -> SharedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def straight_instance(file: IO[bytes]) -> InstanceFile:
    """The instance in a file. Only its elements are read, no large values.

    :raises OrthancError: BAD_FILE_FORMAT if it is none
    """
    size = file.seek(0, os.SEEK_END)
    bad = OrthancError(
        ErrorCode.BAD_FILE_FORMAT, f"Cannot parse an invalid DICOM file (size: {size} bytes)"
    )
    try:
        document = read_document(cast(BinaryIO, file), stop_at_pixels=True)
    except OrthancError:
        raise bad from None
    document.close()
    sop_class = _uid(document.dataset, _SOP_CLASS_UID)
    sop_instance = _uid(document.dataset, _SOP_INSTANCE_UID)
    if not sop_class or not sop_instance:
        raise bad

    def open_file() -> BinaryIO:
        file.seek(0)
        return cast(BinaryIO, SharedFile(file))

    return InstanceFile(sop_class, sop_instance, document.transfer_syntax, open_file)


def _uid(item: Item, tag: int) -> str:
    element = item.elements.get(tag)
    return (element.inline or b"").decode("ascii", "replace").strip(" \0") if element else ""
