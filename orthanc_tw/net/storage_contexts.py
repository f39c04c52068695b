"""What a C-GET offers to take: an association has room for 128 presentation contexts."""

from __future__ import annotations

from collections.abc import Sequence

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from orthanc_tw.net.interface import Proposal

# Two are taken by the query/retrieve models.
MAXIMUM_CLASSES = 126
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# Those of everyday modalities first, should there be no room for all: the beginnings of UIDs.
_COMMON = tuple(
    _STORAGE + number
    for number in (
        *("2", "2.1", "4", "4.1", "1", "1.1", "1.2", "1.3", "7", "7.1", "7.2", "7.3", "7.4"),
        *("128", "130", "20", "6.1", "3.1", "6.2", "12.1", "12.2", "88", "104", "481", "66"),
        *("11", "13.1", "77.1", "9", "67", "68"),
    )
)


def storage_proposals(runtime: RuntimeOptions) -> Sequence[Proposal]:
    """The accepted SOP classes, the most usual ones if they are too many, each as SCP.

    An acceptor chooses the transfer syntax of a context (PS3.8 9.3.3): explicit VR comes first.
    """
    classes = sorted(runtime.accepted_sop_classes, key=_rank)[:MAXIMUM_CLASSES]
    accepted = runtime.accepted_transfer_syntaxes
    syntaxes = tuple(
        sorted(accepted, key=lambda uid: (uid != EXPLICIT_LITTLE_ENDIAN, accepted.index(uid)))
    )
    return [Proposal(uid, syntaxes, scp_role=True) for uid in classes]


def _rank(uid: str) -> tuple[int, str]:
    for number, prefix in enumerate(_COMMON):
        if uid == prefix or uid.startswith(prefix + "."):
            return number, uid
    return len(_COMMON), uid
