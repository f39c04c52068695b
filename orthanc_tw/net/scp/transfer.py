"""Files of instances for C-STORE sub-operations, in a transfer syntax that the peer takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.dicom.uids import IMPLICIT_LITTLE_ENDIAN
from orthanc_tw.net.errors import NoPresentationContext
from orthanc_tw.net.interface import InstanceFile
from orthanc_tw.storage.interface import Storage

Accepts = Callable[[str, str], bool]


class Transcode(Protocol):
    """Makes another transfer syntax of a file, when the peer does not take it as it is."""

    def targets(self, instance: InstanceFile) -> Sequence[str]:
        """Transfer syntaxes that it can be transcoded to, the best first."""
        ...

    def to(self, instance: InstanceFile, transfer_syntax: str) -> InstanceFile:
        """The same instance in one of them; the work is done when the file is opened."""
        ...


class InstanceFiles:
    """Opens what is stored.

    :param transcode: None if ``TranscodeDicomProtocol`` is off
    """

    def __init__(self, storage: Storage, transcode: Transcode | None = None) -> None:
        self._storage = storage
        self._transcode = transcode

    def stored(self, instance: TransferInstance) -> InstanceFile:
        """The file as it is stored."""
        file = instance.file
        return InstanceFile(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            # a file without meta information is in the default transfer syntax (PS3.5 10.1)
            instance.transfer_syntax or IMPLICIT_LITTLE_ENDIAN,
            lambda: self._storage.open(file.uuid, file.compression),
        )

    def syntaxes(self, instance: TransferInstance) -> list[str]:
        """Transfer syntaxes in which it can be sent, the stored one first."""
        stored = self.stored(instance)
        others = self._transcode.targets(stored) if self._transcode is not None else ()
        return [stored.transfer_syntax, *others]

    def for_peer(self, instance: TransferInstance, accepts: Accepts) -> InstanceFile:
        """The file in the first of its transfer syntaxes that the peer accepts.

        :raises NoPresentationContext: it accepts none
        """
        stored = self.stored(instance)
        if accepts(stored.sop_class_uid, stored.transfer_syntax):
            return stored
        if self._transcode is not None:
            for syntax in self._transcode.targets(stored):
                if accepts(stored.sop_class_uid, syntax):
                    return self._transcode.to(stored, syntax)
        raise NoPresentationContext(
            f"the peer does not accept {stored.sop_class_uid} in {stored.transfer_syntax}"
        )
