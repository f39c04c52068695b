"""C-STORE of a stored file over an association: as SCU, and as a sub-operation of a C-GET."""

from __future__ import annotations

from os import SEEK_END
from typing import BinaryIO, cast

from twisted.internet.defer import Deferred

from orthanc_tw.dicom.meta_header import read_meta_header
from orthanc_tw.dicom.source import Malformed as BadFile
from orthanc_tw.dicom.uids import transfer_syntax
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net import dimse
from orthanc_tw.net.dimse import CommandSet
from orthanc_tw.net.errors import AssociationAborted, AssociationError, NoPresentationContext
from orthanc_tw.net.responses import reply_of
from orthanc_tw.net.session import Context, Session
from orthanc_tw.net.values import Command, Dataset, InstanceFile, MoveOriginator, Reply

# A meta header is some hundred bytes; of (0002,0102) more may come.
_HEAD_BYTES = 64 * 1024


class StoreUser:
    """Sends instances over the association of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def context(self, sop_class_uid: str, transfer_syntax: str) -> Context | None:
        """The presentation context for an instance."""
        for context in self._session.contexts.values():
            if (
                context.we_request
                and context.abstract_syntax == sop_class_uid
                and context.transfer_syntax == transfer_syntax
            ):
                return context
        return None

    def store(
        self, instance: InstanceFile, originator: MoveOriginator | None = None
    ) -> Deferred[Reply]:
        """Send it; fires with the response."""
        return Deferred.fromCoroutine(self._store(instance, originator))

    async def _store(self, instance: InstanceFile, originator: MoveOriginator | None) -> Reply:
        context = self.context(instance.sop_class_uid, instance.transfer_syntax)
        if context is None:
            raise NoPresentationContext(
                f"{instance.sop_class_uid} in the transfer syntax {instance.transfer_syntax} "
                "was not accepted"
            )
        waiting = SingleReply()
        message_id = self._session.open_operation(waiting)
        try:
            await self._session.stream(
                context.id,
                _command(instance, message_id, originator),
                lambda: _open_dataset(instance),
            )
            return await waiting.done
        except BaseException:
            if self._session.sender.is_streaming:
                # A message that has begun cannot be taken back.
                self._session.abort(AssociationAborted("an instance could not be sent whole"))
            raise
        finally:
            self._session.close_operation(message_id)
            # It may have failed while the data set was being sent, with nobody waiting.
            waiting.done.addErrback(lambda failure: None)


class SingleReply:
    """`ReplyReceiver` of what is answered once.

    :ivar done: fires with the `Reply`
    """

    def __init__(self) -> None:
        self.done: Deferred[Reply] = Deferred()

    def replied(self, command: CommandSet, dataset: Dataset | None) -> None:
        """The response."""
        if not self.done.called:
            self.done.callback(reply_of(command, dataset))

    def failed(self, error: AssociationError) -> None:
        """None will come."""
        if not self.done.called:
            self.done.errback(error)


def _command(
    instance: InstanceFile, message_id: int, originator: MoveOriginator | None
) -> dict[int, int | str]:
    command: dict[int, int | str] = {
        dimse.AFFECTED_SOP_CLASS_UID: instance.sop_class_uid,
        dimse.COMMAND_FIELD: Command.C_STORE,
        dimse.MESSAGE_ID: message_id,
        dimse.PRIORITY: 0,
        dimse.DATA_SET_TYPE: dimse.HAS_DATA_SET,
        dimse.AFFECTED_SOP_INSTANCE_UID: instance.sop_instance_uid,
    }
    if originator is not None:
        command[dimse.MOVE_ORIGINATOR_AET] = originator.aet
        command[dimse.MOVE_ORIGINATOR_MESSAGE_ID] = originator.message_id
    return command


class PaddedFile:
    """A file with a NUL after its end: a deflated data set has an even length on the wire.

    Source: PS3.5 A.5. Peers abort when a fragment is odd.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._is_padded = False

    def read(self, size_bytes: int) -> bytes:
        """The next bytes, fewer than asked for at the end only."""
        data = self._file.read(size_bytes)
        if len(data) < size_bytes and not self._is_padded:
            self._is_padded = True
            data += b"\0"
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open_dataset(instance: InstanceFile) -> BinaryIO:
    """The file, where its data set begins. In a thread.

    :raises OrthancError: BAD_FILE_FORMAT if its transfer syntax is not the one that is named
    """
    file = instance.open()
    try:
        meta = read_meta_header(file.read(_HEAD_BYTES))
        if meta.has_meta_header and meta.transfer_syntax != instance.transfer_syntax:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, f"a file in the transfer syntax {meta.transfer_syntax}"
            )
        length = file.seek(0, SEEK_END) - meta.dataset_offset
        file.seek(meta.dataset_offset)
        known = transfer_syntax(instance.transfer_syntax)
        if length % 2 and known is not None and known.is_deflated:
            return cast(BinaryIO, PaddedFile(file))
    except BadFile as error:
        file.close()
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, str(error)) from None
    except BaseException:
        file.close()
        raise
    return file
