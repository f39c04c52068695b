"""Storage commitment (PS3.4 J): what was asked of others, and what others ask of this server.

Kept in memory, as in Orthanc: a report is a few hundred bytes, and who asked asks again after a
restart.
"""

from __future__ import annotations

import enum
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orthanc_tw.index.gateway import Attachment, ReadTransaction
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType, MetadataType
from orthanc_tw.storage.interface import Storage

_SOP_INSTANCE_UID = "0008,0018"
_CHUNK_BYTES = 1024 * 1024


class FailureReason(enum.IntEnum):
    """Failure Reason (0008,1197). Source: PS3.3 C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    REFERENCED_SOP_CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION_UID = 0x0131
    RESOURCE_LIMITATION = 0x0213


_DESCRIPTIONS = {
    FailureReason.PROCESSING_FAILURE: (
        "A general failure in processing the operation was encountered"
    ),
    FailureReason.NO_SUCH_OBJECT_INSTANCE: (
        "One or more of the elements in the Referenced SOP Instance Sequence was not available"
    ),
    FailureReason.CLASS_INSTANCE_CONFLICT: (
        "The SOP Class of an element in the Referenced SOP Instance Sequence did not correspond "
        "to the SOP class registered for this SOP Instance at the SCP"
    ),
    FailureReason.REFERENCED_SOP_CLASS_NOT_SUPPORTED: (
        "Storage Commitment has been requested for a SOP Instance with a SOP Class that is not "
        "supported by the SCP"
    ),
    FailureReason.DUPLICATE_TRANSACTION_UID: (
        "The Transaction UID of the Storage Commitment Request is already in use"
    ),
    FailureReason.RESOURCE_LIMITATION: (
        "The SCP does not currently have enough resources to store the requested SOP Instance(s)"
    ),
}


class Reference(NamedTuple):
    """An instance that storage is to be committed for."""

    sop_class_uid: str
    sop_instance_uid: str


class FailedReference(NamedTuple):
    """An instance that is not committed; ``reason`` is a `FailureReason` or another number."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int


@dataclass(slots=True)
class StorageCommitmentReport:
    """A transaction that this server started.

    :ivar is_complete: whether the other side has reported
    """

    remote_aet: str
    is_complete: bool = False
    success: Sequence[Reference] = ()
    failures: Sequence[FailedReference] = ()

    @property
    def status(self) -> str:
        """``Pending``, ``Success`` or ``Failure``."""
        if not self.is_complete:
            return "Pending"
        return "Failure" if self.failures else "Success"

    def to_json(self) -> JsonObject:
        """The answer of ``/storage-commitment/{id}``."""
        answer: JsonObject = {"RemoteAET": self.remote_aet, "Status": self.status}
        if self.is_complete:
            failures: list[JsonValue] = [
                {
                    "SOPClassUID": failed.sop_class_uid,
                    "SOPInstanceUID": failed.sop_instance_uid,
                    "FailureReason": failed.reason,
                    "Description": describe_reason(failed.reason),
                }
                for failed in self.failures
            ]
            answer["Failures"] = failures
            answer["Success"] = [
                {"SOPClassUID": done.sop_class_uid, "SOPInstanceUID": done.sop_instance_uid}
                for done in self.success
            ]
        return answer


class StorageCommitmentReports:
    """The transactions that this server started, the last ones (reactor thread).

    :param size: how many are kept (``StorageCommitmentReportsSize``)
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._reports: OrderedDict[str, StorageCommitmentReport] = OrderedDict()

    def expect(self, transaction_uid: str, remote_aet: str) -> StorageCommitmentReport:
        """A transaction that is about to be asked for: to be called before N-ACTION is sent."""
        report = self._reports[transaction_uid] = StorageCommitmentReport(remote_aet)
        self._reports.move_to_end(transaction_uid)
        while len(self._reports) > self._size:
            self._reports.popitem(last=False)
        return report

    def forget(self, transaction_uid: str) -> None:
        """A transaction that could not be asked for."""
        self._reports.pop(transaction_uid, None)

    def get(self, transaction_uid: str) -> StorageCommitmentReport | None:
        """A transaction, None if it is unknown or was forgotten; now the last one to be so."""
        report = self._reports.get(transaction_uid)
        if report is not None:
            self._reports.move_to_end(transaction_uid)
        return report

    def complete(
        self,
        transaction_uid: str,
        remote_aet: str,
        success: Sequence[Reference],
        failures: Sequence[FailedReference],
    ) -> bool:
        """The other side has reported; False if nobody asked that side for it."""
        report = self._reports.get(transaction_uid)
        if report is None or report.remote_aet.upper() != remote_aet.upper():
            return False
        report.success, report.failures, report.is_complete = success, failures, True
        return True


def describe_reason(reason: int) -> str:
    """Text of a failure reason, as ``/storage-commitment/{id}`` has it."""
    try:
        return _DESCRIPTIONS[FailureReason(reason)]
    except ValueError:
        return f"Unknown failure reason: 0x{reason:04x}"


def verify(
    reference: Reference,
    read: Callable[[Callable[[ReadTransaction], object]], object],
    storage: Storage,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> FailureReason | None:
    """Whether an instance is stored, and its bytes are those that came. In a thread: blocks.

    :param read: runs a function on the index in this thread (`Index.read_in_thread`)
    :param is_cancelled: looked at between chunks; then the answer means nothing
    """
    found: list[tuple[str, Attachment | None]] = []
    read(lambda tx: found.extend(_candidates(tx, reference.sop_instance_uid)))
    if not found:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    files = [file for sop_class, file in found if sop_class == reference.sop_class_uid]
    if not files:
        return FailureReason.CLASS_INSTANCE_CONFLICT
    for file in files:
        if file is None or not _is_intact(file, storage, is_cancelled):
            return FailureReason.PROCESSING_FAILURE
    return None


def _candidates(tx: ReadTransaction, sop_instance_uid: str) -> list[tuple[str, Attachment | None]]:
    found = []
    for row in tx.lookup_identifier(_SOP_INSTANCE_UID, sop_instance_uid):
        if row.level is ResourceType.INSTANCE:
            sop_class = tx.metadata(row.internal_id).get(MetadataType.SOP_CLASS_UID)
            file = tx.attachment(row.internal_id, ContentType.DICOM)
            found.append(("" if sop_class is None else sop_class.value, file))
    return found


def _is_intact(file: Attachment, storage: Storage, is_cancelled: Callable[[], bool]) -> bool:
    digest = hashlib.md5(usedforsecurity=False)
    size_bytes = 0
    try:
        with storage.open(file.uuid, file.compression) as content:
            while chunk := content.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
                if is_cancelled():
                    return False
    except (OSError, OrthancError):
        return False
    # Without StoreMD5ForAttachments there is nothing but the size to compare with.
    return size_bytes == file.size_bytes and (not file.md5 or digest.hexdigest() == file.md5)
