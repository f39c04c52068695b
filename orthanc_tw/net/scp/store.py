"""C-STORE: a data set goes into a spool of the storage area while it comes, then into the store.

Success is answered when file and row are durable: `InstanceStore.store`, as for every door.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.store import InstanceStore, StoreResult
from orthanc_tw.dicom.write_meta_header import meta_header
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import RequestOrigin
from orthanc_tw.net import dimse
from orthanc_tw.net.dimse import CommandSet
from orthanc_tw.net.session import Context
from orthanc_tw.net.user_items import Malformed, uid_text
from orthanc_tw.net.values import AssociationInfo, Reply, Status
from orthanc_tw.storage.interface import Spool

INVALID_OBJECT_INSTANCE = 0x0117

_STATUS = {
    ErrorCode.FULL_STORAGE: Status.OUT_OF_RESOURCES,
    ErrorCode.BAD_FILE_FORMAT: Status.CANNOT_UNDERSTAND,
    ErrorCode.INEXISTENT_TAG: Status.CANNOT_UNDERSTAND,
}


class InstanceSink:
    """`DatasetSink` of one C-STORE. What fails early is answered when the data set is over.

    :param finished: gets a function that stores it (or tells at once why not)
    """

    _log = Logger()

    def __init__(
        self,
        store: InstanceStore,
        info: AssociationInfo,
        context: Context,
        command: CommandSet,
        finished: Callable[[Callable[[], Deferred[Reply]]], None],
    ) -> None:
        self._store = store
        self._info = info
        self._originator = dimse.text(command, dimse.MOVE_ORIGINATOR_AET)
        self._finished = finished
        self._refusal: Reply | None = None
        self._spool: Spool | None = None
        try:
            header = meta_header(
                _uid(command, dimse.AFFECTED_SOP_CLASS_UID),
                _uid(command, dimse.AFFECTED_SOP_INSTANCE_UID),
                context.transfer_syntax,
            )
            self._spool = store.new_spool()
            self.write(header)
        except Malformed as error:
            self._refusal = Reply(INVALID_OBJECT_INSTANCE, str(error))
        except OrthancError as error:
            self._refuse(error)

    def write(self, fragment: bytes) -> None:
        """Spool it; nothing more once it cannot be stored."""
        if self._spool is not None:
            try:
                self._spool.write(fragment)
            except OrthancError as error:
                self._refuse(error)

    def end(self) -> None:
        """The data set is whole."""
        self._finished(self._run)

    def discard(self) -> None:
        """It will not be."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.discard()

    def _run(self) -> Deferred[Reply]:
        spool, self._spool = self._spool, None
        if spool is None:
            assert self._refusal is not None
            return succeed(self._refusal)
        info = self._info
        origin = StoreOrigin(
            RequestOrigin.DICOM_PROTOCOL,
            info.remote_ip,
            info.calling_aet,
            info.called_aet,
            move_originator_aet=self._originator,
            association_id=info.id,
        )
        storing: Deferred[StoreResult] = self._store.store(spool, origin)
        return storing.addCallbacks(lambda _: Reply(Status.SUCCESS), self._failed)

    def _refuse(self, error: OrthancError) -> None:
        self._refusal = self._reply(error)
        self.discard()

    def _failed(self, failure: Failure) -> Failure | Reply:
        if failure.check(CancelledError):
            return failure  # the association ended; what is being stored is stored all the same
        if isinstance(failure.value, OrthancError):
            return self._reply(failure.value)
        self._log.failure("Storing an instance", failure)
        return Reply(Status.PROCESSING_FAILURE)

    def _reply(self, error: OrthancError) -> Reply:
        self._log.warn("C-STORE of {aet}: {error}", aet=self._info.calling_aet, error=str(error))
        return Reply(_STATUS.get(error.code, Status.PROCESSING_FAILURE), str(error))


class Swallow:
    """`DatasetSink` of a C-STORE that is refused whatever it brings."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def write(self, fragment: bytes) -> None:
        """Forget it."""

    def end(self) -> None:
        """Answer."""
        self._ended()

    def discard(self) -> None:
        """Nothing to do."""


def _uid(command: CommandSet, element: int) -> str:
    return uid_text(dimse.text(command, element).encode("latin-1", "replace"))
