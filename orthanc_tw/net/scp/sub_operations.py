"""Counters of the C-STORE sub-operations of a C-MOVE or C-GET (PS3.4 C.4.2.1.4, C.4.3.1.4)."""

from __future__ import annotations

from orthanc_tw.dicom.attributes import Attribute
from orthanc_tw.dicom.attributes_writer import encode_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.net.values import Dataset, Reply, Status

_FAILED_SOP_INSTANCE_UID_LIST = 0x00080058
# What the length of a UI element can say in explicit VR
_MAX_LIST_BYTES = 60_000


class SubOperations:
    """Counts, and makes the responses that tell.

    :param total: number of instances
    :param transfer_syntax: of the data set with the instances that failed
    """

    def __init__(self, total: int, transfer_syntax: str) -> None:
        self._transfer_syntax = transfer_syntax
        self.remaining = total
        self.completed = self.failed = self.warning = 0
        self._failed_uids: list[str] = []
        self._list_bytes = 0

    def count(self, sop_instance_uid: str, reply: Reply | None) -> None:
        """One sub-operation has ended; None: without a response."""
        self.remaining -= 1
        if reply is not None and reply.status == Status.SUCCESS:
            self.completed += 1
        elif reply is not None and reply.is_success:
            self.warning += 1
        else:
            self.failed += 1
            self._list_bytes += len(sop_instance_uid) + 1
            if self._list_bytes <= _MAX_LIST_BYTES:
                self._failed_uids.append(sop_instance_uid)

    def pending(self) -> Reply:
        """A response on the way."""
        return Reply(
            Status.PENDING,
            remaining=self.remaining,
            completed=self.completed,
            failed=self.failed,
            warning=self.warning,
        )

    def final(self, *, cancelled: bool = False) -> Reply:
        """The last response.

        0xFE00 if it was cancelled, 0xB000 if some instances failed or were stored with a warning,
        0xA702 if all failed. It names those that failed, as far as the list has room.
        """
        status = Status.SUCCESS
        if cancelled:
            status = Status.CANCEL
        elif self.failed and not self.completed and not self.warning:
            status = Status.OUT_OF_RESOURCES_SUB_OPERATIONS
        elif self.failed or self.warning:
            status = Status.WARNING_SUB_OPERATIONS
        return Reply(
            status,
            dataset=self._failed_instances() if status is not Status.SUCCESS else None,
            remaining=self.remaining if cancelled else None,
            completed=self.completed,
            failed=self.failed,
            warning=self.warning,
        )

    def _failed_instances(self) -> Dataset | None:
        if not self._failed_uids:
            return None
        uids = Attribute("UI", "\\".join(self._failed_uids))
        content = encode_attributes(
            {_FAILED_SOP_INSTANCE_UID_LIST: uids}, self._transfer_syntax, Encoding.ASCII
        )
        return Dataset(self._transfer_syntax, content)
