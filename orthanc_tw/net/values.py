"""What goes over an association, in either role: commands, statuses, data sets, responses.

Data sets are bytes in a transfer syntax, as they are on the wire. Sources: PS3.7 (DIMSE), PS3.4
(service classes).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from orthanc_tw.index.gateway import Attachment
from orthanc_tw.net.modalities import RemoteModality


class Command(enum.IntEnum):
    """Command Field (0000,0100) of the requests (PS3.7 E.1); a response adds 0x8000."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


class Status(enum.IntEnum):
    """The statuses that this server sends (PS3.7 C, PS3.4)."""

    SUCCESS = 0x0000
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_WARNING = 0xFF01
    WARNING_SUB_OPERATIONS = 0xB000
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_INSTANCE = 0x0111
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    NO_SUCH_SOP_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    REFUSED_SOP_CLASS_NOT_SUPPORTED = 0x0122
    REFUSED_NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    OUT_OF_RESOURCES_MATCHES = 0xA701
    OUT_OF_RESOURCES_SUB_OPERATIONS = 0xA702
    MOVE_DESTINATION_UNKNOWN = 0xA801
    DATASET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set as it is encoded on the wire: no preamble, no meta header.

    `orthanc_tw.net.datasets` makes one of a pydicom data set, and reads it.

    :ivar transfer_syntax: UID
    """

    transfer_syntax: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AssociationInfo:
    """Who is at the other end.

    :ivar calling_aet: title of the one who opened the association, without spaces around
    :ivar called_aet: title that it was opened to
    :ivar remote_ip: address of the other end
    :ivar modality_name: symbolic name of the modality with that AE title, '' if it is unknown
    :ivar modality: that modality, None if it is unknown
    :ivar id: number of an association that this server opened, else 0
    """

    calling_aet: str
    called_aet: str
    remote_ip: str
    modality_name: str = ""
    modality: RemoteModality | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A DIMSE response.

    :ivar status: Status (0000,0900)
    :ivar comment: Error Comment (0000,0902)
    :ivar dataset: what came with it
    :ivar remaining: Number of Remaining Sub-operations (0000,1020), None if there is none; so
        are the next ones: completed (0000,1021), failed (1022), warning (1023)
    """

    status: int
    comment: str = ""
    dataset: Dataset | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None

    @property
    def is_pending(self) -> bool:
        """Whether more responses follow."""
        return self.status in (Status.PENDING, Status.PENDING_WARNING)

    @property
    def is_success(self) -> bool:
        """Success, or a warning (PS3.7 C.2: 0x0001, 0x0107, 0x0116, 0xBxxx)."""
        return self.status in (0, 1, 0x0107, 0x0116) or self.status >> 12 == 0xB


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """A DICOM file (PS3.10) to be sent with C-STORE.

    :ivar open: opens it; called in a thread, and closed by whoever sends it
    :ivar transfer_syntax: UID, as the file has it
    :ivar attachment: the same file in the storage area, if it is stored
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    open: Callable[[], BinaryIO]
    attachment: Attachment | None = None


@dataclass(frozen=True, slots=True)
class MoveOriginator:
    """The C-MOVE on whose behalf a C-STORE is sent: (0000,1030) and (0000,1031)."""

    aet: str
    message_id: int
