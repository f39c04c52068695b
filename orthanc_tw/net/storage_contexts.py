"""What a C-GET offers to take: an association has room for 128 presentation contexts.

An acceptor takes one transfer syntax of a context (PS3.8 9.3.3), and many send an instance only in
the one that it is stored in. So the first association offers each SOP class once, in all syntaxes;
what could not be sent over it is asked for again with a context for each compressed syntax.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.uids import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from orthanc_tw.net.associations import MOST_CONTEXTS, Proposal

# Two are taken by the query/retrieve models.
MAXIMUM_CONTEXTS = MOST_CONTEXTS - 2
#: Associations for one retrieval, should the peer not tell which SOP classes it has.
MAXIMUM_ROUNDS = 8
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
# What images are usually compressed with: lossless JPEG, baseline, JPEG 2000, JPEG-LS, RLE.
_USUAL = tuple(
    "1.2.840.10008.1.2." + number
    for number in ("4.70", "4.50", "4.90", "4.91", "4.80", "4.81", "4.51", "4.57", "5")
)


def storage_rounds(
    runtime: RuntimeOptions, sop_classes: Sequence[str] = ()
) -> Iterator[Sequence[Proposal]]:
    """What one association after another offers, until all has come. Each as SCP.

    :param sop_classes: of what is to come, as far as that is known; those that are not accepted
        are left out
    """
    classes = sorted(runtime.accepted_sop_classes, key=_rank)
    if known := [uid for uid in classes if uid in sop_classes]:
        classes = known
    accepted = runtime.accepted_transfer_syntaxes
    # explicit VR first: it is what acceptors choose that take the first one
    syntaxes = tuple(
        sorted(accepted, key=lambda uid: (uid != EXPLICIT_LITTLE_ENDIAN, accepted.index(uid)))
    )
    rounds = 0
    for start in range(0, len(classes), MAXIMUM_CONTEXTS):
        chunk = classes[start : start + MAXIMUM_CONTEXTS]
        yield [Proposal(uid, syntaxes, scp_role=True) for uid in chunk]
        rounds += 1
    usual = tuple(uid for uid in _USUAL if uid in accepted)
    plain = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
    rare = tuple(uid for uid in accepted if uid not in usual and uid not in plain)
    if EXPLICIT_BIG_ENDIAN in rare:
        rare = (EXPLICIT_BIG_ENDIAN, *(uid for uid in rare if uid != EXPLICIT_BIG_ENDIAN))
    single = [
        Proposal(uid, (syntax,), scp_role=True)
        for group in (usual, rare)
        for uid in classes
        for syntax in group
    ]
    for start in range(0, len(single), MAXIMUM_CONTEXTS):
        if rounds >= MAXIMUM_ROUNDS:
            return
        yield single[start : start + MAXIMUM_CONTEXTS]
        rounds += 1


def _rank(uid: str) -> tuple[int, str]:
    for number, prefix in enumerate(_COMMON):
        if uid == prefix or uid.startswith(prefix + "."):
            return number, uid
    return len(_COMMON), uid
