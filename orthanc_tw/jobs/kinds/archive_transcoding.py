"""The members of an archive in another transfer syntax, made ahead of their being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from orthanc_tw.core.archives.plan import Member
from orthanc_tw.core.archives.writer import OpenFile
from orthanc_tw.core.transcoding.transcoder import FileTranscoder, TranscodedFile
from orthanc_tw.dicom.transcoding.transcode import Transcoding
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression

_log = Logger()
_LEFT_OUT = (ErrorCode.NOT_IMPLEMENTED, ErrorCode.BAD_FILE_FORMAT)


class MemberTranscoder:
    """Of one run of a job.

    :param open_original: opens the stored files
    :param failed: told of what is left out: public identifier to reason
    """

    def __init__(
        self,
        files: FileTranscoder,
        order: Transcoding,
        open_original: OpenFile,
        failed: dict[str, str],
    ) -> None:
        self._files = files
        self._order = order
        self._open_original = open_original
        self._failed = failed
        self._made: dict[str, TranscodedFile] = {}

    async def prepare(self, members: Sequence[Member]) -> list[Member]:
        """Transcode what is written next; what was made before is removed. Reactor thread.

        :returns: the members as they are now. As recorded, one that cannot be transcoded is left
            out; one whose file is not there is returned as it was, and fails when it is opened
        :raises OrthancError: what the pool of workers raises
        """
        self.release()
        semaphore = DeferredSemaphore(self._files.at_once)
        running = [semaphore.run(self._start, member) for member in members]
        try:
            found = await gatherResults(running, consumeErrors=True)
        except BaseException:
            for one in running:
                one.cancel()
            raise
        return [member for member in found if member is not None]

    def open_file(self, uuid: str, compression: Compression) -> BinaryIO:
        """See `OpenFile`."""
        made = self._made.get(uuid)
        return self._open_original(uuid, compression) if made is None else open(made.path, "rb")

    def release(self) -> None:
        """Remove the files that were made."""
        made, self._made = self._made, {}
        for file in made.values():
            file.remove()

    def _start(self, member: Member) -> Deferred[Member | None]:
        return Deferred.fromCoroutine(self._transcode(member))

    async def _transcode(self, member: Member) -> Member | None:
        try:
            made = await self._files.file(member.uuid, member.compression, self._order)
        except OrthancError as error:
            if error.code is ErrorCode.INEXISTENT_FILE:
                return member
            if error.code not in _LEFT_OUT:
                raise
            _log.warn(
                "Instance {public_id} is left out of an archive: {error}",
                public_id=member.public_id,
                error=error,
            )
            self._failed[member.public_id] = error.details or error.code.description
            return None
        if made is None:
            return member
        self._made[member.uuid] = made
        return replace(
            member,
            compression=Compression.NONE,
            size_bytes=made.size_bytes,
            transfer_syntax=made.syntax,
        )
