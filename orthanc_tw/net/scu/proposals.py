"""What is proposed for instances that are to be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orthanc_tw.dicom.uids import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from orthanc_tw.net.associations import Proposal
from orthanc_tw.net.scu.requestor import MOST_CONTEXTS

_UID = re.compile(r"[0-9.]{1,64}")


def storage_proposals(
    kinds: Iterable[tuple[str, str]], *, preferred: str = "", transcoding: bool = False
) -> tuple[Proposal, ...]:
    """One presentation context for each SOP class in each transfer syntax that is to be sent.

    With one syntax a context, the peer says of each whether it takes it (PS3.8 annex B).

    :param kinds: SOP class UID and transfer syntax UID of the instances, any number of times;
        what is no UID is left out, since it would spoil the association for the rest
    :param preferred: ``DicomScuPreferredTransferSyntax``, first of those to transcode to
    :param transcoding: whether instances can be sent in other syntaxes than their own: adds a
        context with the uncompressed ones for each SOP class
    :raises ValueError: if there are more than `MOST_CONTEXTS`
    """
    found = dict.fromkeys(kind for kind in kinds if all(map(_UID.fullmatch, kind)))
    proposals = [Proposal(sop_class, (syntax,)) for sop_class, syntax in found]
    if transcoding:
        for sop_class in dict.fromkeys(sop_class for sop_class, _ in found):
            syntaxes = [
                syntax
                for syntax in dict.fromkeys(
                    (preferred, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
                )
                if syntax and (sop_class, syntax) not in found
            ]
            proposals += [Proposal(sop_class, (syntax,)) for syntax in syntaxes]
    if len(proposals) > MOST_CONTEXTS:
        raise ValueError(f"{len(proposals)} presentation contexts: more than {MOST_CONTEXTS}")
    return tuple(proposals)
