"""Files of instances for C-STORE sub-operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.dicom.uids import IMPLICIT_LITTLE_ENDIAN
from orthanc_tw.net.values import InstanceFile, MoveOriginator, Reply
from orthanc_tw.storage.interface import Storage


class StoreSender(Protocol):
    """Sends instances to one modality, over as few associations as that takes."""

    async def send(
        self,
        instance: InstanceFile,
        upcoming: Sequence[tuple[str, str]] = (),
        originator: MoveOriginator | None = None,
    ) -> Reply:
        """C-STORE one instance, transcoded if need be.

        :param upcoming: SOP classes and transfer syntaxes of what comes next
        :raises OrthancError: if it is not stored there
        """
        ...

    def give_back(self) -> None:
        """Nothing more is sent."""
        ...


def instance_file(storage: Storage, instance: TransferInstance) -> InstanceFile:
    """The file of an instance, as it is stored."""
    file = instance.file
    return InstanceFile(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        # a file without meta information is in the default transfer syntax (PS3.5 10.1)
        instance.transfer_syntax or IMPLICIT_LITTLE_ENDIAN,
        lambda: storage.open(file.uuid, file.compression),
        file,
    )
