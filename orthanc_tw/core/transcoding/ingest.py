"""``IngestTranscoding``: what is received is stored in another transfer syntax."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.transcoding.transcoder import FileTranscoder, TranscodedFile
from orthanc_tw.dicom.modification.encoding import NATIVE_SYNTAXES
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.dicom.transcoding.transcode import Transcoding
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.registries import Compression
from orthanc_tw.storage.interface import Spool, Storage


@dataclass(frozen=True, slots=True)
class IngestTranscodingSettings:
    """Options.

    :ivar syntax: ``IngestTranscoding``, UID
    :ivar of_uncompressed: ``IngestTranscodingOfUncompressed``
    :ivar of_compressed: ``IngestTranscodingOfCompressed``
    """

    syntax: str
    of_uncompressed: bool = True
    of_compressed: bool = True


class IngestTranscoder:
    """Transcodes spools before they are stored (reactor thread).

    :param in_thread: runs a blocking function in a thread, Deferred of its result
    """

    _log = Logger()

    def __init__(
        self,
        files: FileTranscoder,
        storage: Storage,
        in_thread: Callable[..., Deferred[Any]],
        settings: IngestTranscodingSettings,
    ) -> None:
        self._files = files
        self._storage = storage
        self._in_thread = in_thread
        self._settings = settings

    def wants(self, summary: InstanceSummary) -> bool:
        """Whether an instance is to be transcoded; as recorded, not without pixels."""
        settings = self._settings
        if summary.pixel_data_offset is None or summary.transfer_syntax == settings.syntax:
            return False
        is_native = summary.transfer_syntax in NATIVE_SYNTAXES
        return settings.of_uncompressed if is_native else settings.of_compressed

    async def transcoded(self, spool: Spool, *, keep_uid: bool = False) -> Spool | None:
        """The spool of the transcoded instance; the other one stays its owner's.

        None if it cannot be transcoded, which is logged: it is then stored as it came.

        :param keep_uid: whether it keeps its SOPInstanceUID even if information is lost
        """
        try:
            path = await self._in_thread(lambda: spool.path)
            made = await self._files.path(path, Compression.NONE, self._order(keep_uid))
        except OrthancError as error:
            self._log.warn("An instance is stored as it was received: {error}", error=error)
            return None
        return None if made is None else self.adopted(made)

    async def file(self, uuid: str, compression: Compression) -> TranscodedFile | None:
        """A stored file in the wanted syntax, its SOPInstanceUID kept; None as `transcoded`."""
        try:
            return await self._files.file(uuid, compression, self._order(True, lossy=False))
        except OrthancError as error:
            self._log.warn("The file {uuid} stays as it is: {error}", uuid=uuid, error=error)
            return None

    def adopted(self, made: TranscodedFile) -> Spool:
        """The spool of a transcoded file."""
        return self._storage.adopt(made.path, made.size_bytes, made.md5)

    def _order(self, keep_uid: bool, *, lossy: bool = True) -> Transcoding:
        return Transcoding(
            (self._settings.syntax,), self._files.quality, new_uid=not keep_uid, lossy=lossy
        )
