"""Sends the content of attachments, compressed or not in the storage area."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.registries import Compression
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.storage.interface import Storage

InThread = Callable[..., Deferred[Any]]
READ_BYTES = "orthanc_storage_read_bytes"


class FileAnswers:
    """Answers that are files of the storage area.

    :param in_thread: runs a blocking function in a thread
    :param count: ``count(metric, bytes)``
    """

    def __init__(
        self,
        storage: Storage,
        streamer: Streamer,
        in_thread: InThread,
        count: Callable[[str, float], None] = lambda name, amount: None,
    ) -> None:
        self._storage = storage
        self._streamer = streamer
        self._in_thread = in_thread
        self._count = count

    def send(
        self,
        request: Request,
        attachment: Attachment,
        content_type: str,
        filename: str,
        *,
        ranges: bool = False,
    ) -> Deferred[None]:
        """Send the uncompressed content.

        :param ranges: whether ``Range`` is honoured
        :raises OrthancError: INEXISTENT_FILE, BAD_RANGE
        """
        if attachment.compression is Compression.NONE:
            return self._send_stored(request, attachment, content_type, filename, ranges)
        return Deferred.fromCoroutine(
            self._send_inflated(request, attachment, content_type, filename, ranges)
        )

    def send_temporary(
        self, request: Request, path: str, content_type: str, filename: str
    ) -> Deferred[None]:
        """Send a file that was made for this request, and remove it."""
        try:
            return self._streamer.send_path(
                request, path, content_type=content_type.encode("ascii"), filename=filename
            )
        finally:
            os.unlink(path)  # it is open; nobody else needs its name

    async def _send_inflated(
        self,
        request: Request,
        attachment: Attachment,
        content_type: str,
        filename: str,
        ranges: bool,
    ) -> None:
        file = await self._in_thread(self._storage.open, attachment.uuid, attachment.compression)
        self._count(READ_BYTES, attachment.stored_size_bytes)
        await self._streamer.send_file(
            request,
            file,
            attachment.size_bytes,
            content_type=content_type.encode("ascii"),
            filename=filename,
            ranges=ranges,
        )

    def send_stored(
        self, request: Request, attachment: Attachment, content_type: str, filename: str | None
    ) -> Deferred[None]:
        """Send the content as it is stored, or a range of that.

        :raises OrthancError: INEXISTENT_FILE, BAD_RANGE
        """
        return self._send_stored(request, attachment, content_type, filename, True)

    def _send_stored(
        self,
        request: Request,
        attachment: Attachment,
        content_type: str,
        filename: str | None,
        ranges: bool,
    ) -> Deferred[None]:
        self._count(READ_BYTES, attachment.stored_size_bytes)
        return self._streamer.send_path(
            request,
            self._storage.path(attachment.uuid),
            content_type=content_type.encode("ascii"),
            filename=filename,
            ranges=ranges,
        )
