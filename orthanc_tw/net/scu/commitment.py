"""Tells a modality what is committed: N-EVENT-REPORT over an association of its own.

Source: PS3.4 J.3.3.
"""

from __future__ import annotations

from dataclasses import replace

from orthanc_tw.dicom.uids import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.associations import AssociationPool, Modalities, Proposal
from orthanc_tw.net.scp.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from orthanc_tw.net.storage_commitment import CommitmentResult, report_information

# The provider of the service opens this association: it proposes that the peer be the user
_PROPOSALS = (
    Proposal(STORAGE_COMMITMENT, (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN), scp_role=True),
)


class CommitmentReporter:
    """Sends reports. Called in the reactor thread."""

    def __init__(self, modalities: Modalities, pool: AssociationPool) -> None:
        self._modalities = modalities
        self._pool = pool

    async def report(self, modality_name: str, local_aet: str, result: CommitmentResult) -> None:
        """Send one.

        :param local_aet: the title that the request was sent to
        :raises OrthancError: INEXISTENT_ITEM if the modality is not known any more;
            NETWORK_PROTOCOL if it refuses the report
        :raises AssociationError: no association
        """
        modality = self._modalities().get(modality_name)
        if modality is None:
            raise OrthancError(
                ErrorCode.INEXISTENT_ITEM, f"No modality with symbolic name: {modality_name}"
            )
        association = await self._pool.acquire(replace(modality, local_aet=local_aet), _PROPOSALS)
        try:
            reply = await association.event_report(
                STORAGE_COMMITMENT,
                STORAGE_COMMITMENT_INSTANCE,
                result.event_type_id,
                report_information(result),
            )
        finally:
            self._pool.give_back(association)
        if not reply.is_success:
            raise OrthancError(
                ErrorCode.NETWORK_PROTOCOL,
                f"{modality.aet} refuses a storage commitment report: status 0x{reply.status:04x}",
            )
