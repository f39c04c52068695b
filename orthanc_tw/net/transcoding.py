"""Transcoding of what is sent with C-STORE to what the peer accepts, without loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred

from orthanc_tw.core.transcoding.transcoder import FileTranscoder, TranscodedFile
from orthanc_tw.dicom.codecs.encoding import ENCODINGS
from orthanc_tw.dicom.transcoding.transcode import Transcoding
from orthanc_tw.dicom.uids import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.net.values import InstanceFile
from orthanc_tw.storage.interface import Spool

#: Transfer syntaxes that keep every pixel, in the order in which they are taken.
TARGETS = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    *(syntax for syntax, encoding in ENCODINGS.items() if not encoding.is_lossy),
)
_BUFFER_BYTES = 1024 * 1024


class WorkerTranscoder:
    """A `orthanc_tw.net.store_session.Transcoder` over worker processes.

    The SOPInstanceUID of what is sent has to stay, so nothing may be lost.

    :param in_thread: runs a blocking function in a thread, Deferred of its result
    :param new_spool: `Storage.new_spool`
    :param preferred: UID of the transfer syntax to take if the peer accepts it
    """

    def __init__(
        self,
        files: FileTranscoder,
        in_thread: Callable[..., Deferred[Any]],
        new_spool: Callable[[], Spool],
        preferred: str = EXPLICIT_LITTLE_ENDIAN,
    ) -> None:
        self._files = files
        self._in_thread = in_thread
        self._new_spool = new_spool
        self._targets = (preferred, *TARGETS) if preferred in TARGETS else TARGETS

    async def transcode(
        self, instance: InstanceFile, syntaxes: Sequence[str]
    ) -> InstanceFile | None:
        """See `Transcoder`: None if no syntax that keeps the pixels can hold them."""
        targets = tuple(uid for uid in self._targets if uid in syntaxes)
        if not targets:
            return None
        order = Transcoding(targets, new_uid=False, lossy=False)
        try:
            made = await self._made(instance, order)
        except OrthancError as error:
            if error.code is ErrorCode.NOT_IMPLEMENTED:
                return None
            raise
        if made is None:
            return None
        file = await self._in_thread(_opened, made)
        return replace(instance, transfer_syntax=made.syntax, open=lambda: file, attachment=None)

    async def _made(self, instance: InstanceFile, order: Transcoding) -> TranscodedFile | None:
        if instance.attachment is not None:
            return await self._files.attachment(instance.attachment, order)
        spool = self._new_spool()
        try:
            path = await self._in_thread(_copied, instance, spool)
            return await self._files.path(path, Compression.NONE, order)
        finally:
            spool.discard()


def _copied(instance: InstanceFile, spool: Spool) -> str:
    """The path of a copy that a worker can open. In a thread."""
    with instance.open() as source:
        while data := source.read(_BUFFER_BYTES):
            spool.write(data)
    return spool.path


def _opened(made: TranscodedFile) -> BinaryIO:
    """The file, which nobody else needs the name of. In a thread."""
    try:
        return open(made.path, "rb")
    finally:
        made.remove()
