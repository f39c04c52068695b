"""Files of instances in other transfer syntaxes: temporary ones, made by worker processes."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from orthanc_tw.core.run_in_worker import RunInWorker
from orthanc_tw.core.transcoding.task import TRANSCODE_FILE
from orthanc_tw.dicom.transcoding.transcode import Transcoding
from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.interface import Storage


@dataclass(frozen=True, slots=True)
class TranscodedFile:
    """A file that whoever asked for it has to remove, or to adopt as a spool.

    :ivar path: in the spool folder of the storage area
    :ivar syntax: UID of its transfer syntax
    :ivar md5: hexadecimal, '' if it is not wanted
    """

    path: str
    syntax: str
    sop_class_uid: str
    sop_instance_uid: str
    size_bytes: int
    md5: str

    def remove(self) -> None:
        """Delete the file; harmless if it is gone."""
        with suppress(OSError):
            os.unlink(self.path)


class FileTranscoder:
    """Makes such files (reactor thread).

    :param quality: ``DicomLossyTranscodingQuality``
    :param with_md5: ``StoreMD5ForAttachments``
    :ivar at_once: ``TranscoderThreadsCount``: how many files of a job are worth asking for at once
    """

    def __init__(
        self,
        storage: Storage,
        run: RunInWorker,
        *,
        quality: int = 90,
        with_md5: bool = True,
        at_once: int = 4,
    ) -> None:
        self._storage = storage
        self._run = run
        self._with_md5 = with_md5
        self.quality = quality
        self.at_once = at_once

    async def attachment(self, file: Attachment, transcoding: Transcoding) -> TranscodedFile | None:
        """A stored file in another transfer syntax, None if it is in the wanted one.

        Cancelling stops the worker.

        :raises OrthancError: see `transcode_file`, and what the pool raises
        """
        return await self.file(file.uuid, file.compression, transcoding)

    async def file(
        self, uuid: str, compression: Compression, transcoding: Transcoding
    ) -> TranscodedFile | None:
        """The same by the UUID of the file."""
        return await self.path(self._storage.path(uuid), compression, transcoding)

    async def path(
        self, path: str, compression: Compression, transcoding: Transcoding
    ) -> TranscodedFile | None:
        """The same for any file.

        :param compression: of the file
        """
        target = self._storage.new_path()
        order = [
            list(transcoding.syntaxes), transcoding.quality, transcoding.new_uid, transcoding.lossy
        ]  # fmt: skip
        arguments = [
            order, path, int(compression), target, os.path.dirname(target), self._with_md5
        ]  # fmt: skip
        try:
            done = await self._run(TRANSCODE_FILE, arguments)
        except BaseException:
            with suppress(OSError):  # a worker that was killed may have left some of it
                os.unlink(target)
            raise
        if done["Unchanged"]:
            return None
        return TranscodedFile(
            target, done["Syntax"], done["SopClass"], done["SopInstance"], done["Size"], done["MD5"]
        )

    def to(self, syntax: str, quality: int | None = None) -> Transcoding:
        """The order for one transfer syntax, of the default quality unless one is given."""
        return Transcoding((syntax,), self.quality if quality is None else quality)
