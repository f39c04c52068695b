"""Sends instances to one peer: as they are stored, transcoded, gzipped. Reactor thread.

Source: ``POST /instances`` of the REST API; ``Compress`` is ``Content-Encoding: gzip``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.gzip_reader import gzip_into
from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.core.transcoding.transcoder import FileTranscoder, TranscodedFile
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.scp.transfer import instance_file
from orthanc_tw.net.straight import SharedFile
from orthanc_tw.peers.body import FileBody
from orthanc_tw.peers.client import PeerAnswer, PeerClient
from orthanc_tw.peers.errors import PeerAnswerError
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.storage.interface import Storage

_SMALL_BYTES = 64 * 1024
_LEFT_AS_IT_IS = (ErrorCode.NOT_IMPLEMENTED, ErrorCode.BAD_FILE_FORMAT)
_log = Logger()


@dataclass(frozen=True, slots=True)
class PeerSender:
    """Sends what is stored here.

    :ivar transcoder: makes other transfer syntaxes of instances
    """

    client: PeerClient
    storage: Storage
    transcoder: FileTranscoder
    in_thread: Callable[..., Deferred[Any]]

    async def send(
        self,
        peer: OrthancPeer,
        instance: TransferInstance,
        counted: Callable[[int], object],
        *,
        transcode: str = "",
        compress: bool,
    ) -> None:
        """Send one.

        :param counted: told how many bytes are going to be sent, whether or not the peer is there
        :param transcode: UID of the transfer syntax to send it in if it can be, '' for none
        :raises PeerError: it is not there
        :raises OrthancError: what reading it raises
        """
        file = instance_file(self.storage, instance)
        if transcode and file.transfer_syntax != transcode:
            made = await self._transcoded(instance, transcode)
            if made is not None:
                try:
                    body = FileBody(partial(_opened, made.path), made.size_bytes)
                    await self._sent(peer, body, counted, compress)
                    return
                finally:
                    self.in_thread(made.remove).addErrback(lambda _: None)
        body = FileBody(file.open, instance.file.size_bytes)
        await self._sent(peer, body, counted, compress)

    async def _sent(
        self,
        peer: OrthancPeer,
        body: FileBody,
        counted: Callable[[int], object],
        compress: bool,
    ) -> None:
        if not compress:
            counted(body.size_bytes)
            await upload(self.client, peer, body)
            return
        spool = self.storage.new_spool()
        try:
            is_small = body.size_bytes <= _SMALL_BYTES
            await self.in_thread(gzip_into, spool, body.open, is_small=is_small)
            zipped = FileBody(spool.reader, spool.size_bytes)
            counted(zipped.size_bytes)
            await upload(self.client, peer, zipped, {"Content-Encoding": "gzip"})
        finally:
            self.in_thread(spool.discard).addErrback(lambda _: None)

    async def _transcoded(self, instance: TransferInstance, syntax: str) -> TranscodedFile | None:
        """None if it is to be sent as it is: as recorded, also if it cannot be transcoded."""
        try:
            return await self.transcoder.attachment(instance.file, self.transcoder.to(syntax))
        except OrthancError as error:
            if error.code not in _LEFT_AS_IT_IS:
                raise
            _log.warn("Instance {id} is sent as it is: {error}", id=instance.public_id, error=error)
            return None


async def upload(
    client: PeerClient,
    peer: OrthancPeer,
    body: FileBody,
    headers: dict[str, str] | None = None,
) -> PeerAnswer:
    """``POST /instances`` of a DICOM file.

    :raises PeerError: it is not there
    """
    answer = await client.request(
        peer,
        "POST",
        "instances",
        body=body,
        headers={"Content-Type": "application/dicom", **(headers or {})},
        # What is there already is stored no second time.
        is_idempotent=True,
    )
    _check(peer, answer)
    return answer


def _check(peer: OrthancPeer, answer: PeerAnswer) -> None:
    """A web server that is no Orthanc may answer 200 to anything.

    :raises PeerAnswerError: the answer is not that of an Orthanc that has stored something
    """
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    status = value.get("Status") if isinstance(value, dict) else None
    if not isinstance(status, str):
        raise PeerAnswerError(peer.name, "it does not answer as an Orthanc does")
    if status == "Failure":
        raise PeerAnswerError(peer.name, "it could not store the instance")


def shared_body(file: BinaryIO, size_bytes: int) -> FileBody:
    """A body that may be sent twice, of a file that is not closed by that."""

    def open_file() -> BinaryIO:
        file.seek(0)
        return cast(BinaryIO, SharedFile(file))

    return FileBody(open_file, size_bytes)


def _opened(path: str) -> BinaryIO:
    return open(path, "rb")
