"""Asking a modality for storage commitment (PS3.4 annex J). Reactor thread.

Its report comes later, by an association of its own: see `StorageCommitmentReports`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orthanc_tw.core.storage_commitment import Reference, StorageCommitmentReports
from orthanc_tw.dicom.uids import EXPLICIT_LITTLE_ENDIAN
from orthanc_tw.net.associations import AssociationPool, Proposal
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.query.client import dimse_error, uncompressed_syntaxes
from orthanc_tw.net.scp.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from orthanc_tw.net.storage_commitment import REQUEST_STORAGE_COMMITMENT, request_information


class CommitmentClient:
    """Starts transactions.

    :param new_uid: makes transaction UIDs
    """

    def __init__(
        self,
        pool: AssociationPool,
        reports: StorageCommitmentReports,
        new_uid: Callable[[], str],
        preferred_syntax: str = EXPLICIT_LITTLE_ENDIAN,
    ) -> None:
        self._pool = pool
        self._reports = reports
        self._new_uid = new_uid
        self._proposals = [Proposal(STORAGE_COMMITMENT, uncompressed_syntaxes(preferred_syntax))]

    async def request(
        self,
        modality: RemoteModality,
        instances: Sequence[tuple[str, str]],
        timeout_s: int | None = None,
    ) -> str:
        """N-ACTION for instances (SOP class and SOP instance UID); returns the transaction UID.

        :raises OrthancError: NETWORK_PROTOCOL, NO_PRESENTATION_CONTEXT
        """
        uid = self._new_uid()
        information = request_information(uid, [Reference(*instance) for instance in instances])
        # The report may come before the response to the request.
        self._reports.expect(uid, modality.aet)
        try:
            association = await self._pool.acquire(modality, self._proposals, timeout_s=timeout_s)
            try:
                reply = await association.action(
                    STORAGE_COMMITMENT,
                    STORAGE_COMMITMENT_INSTANCE,
                    REQUEST_STORAGE_COMMITMENT,
                    information,
                )
            finally:
                self._pool.give_back(association)
            if not reply.is_success:
                raise dimse_error("N-ACTION", modality.aet, reply)
        except BaseException:
            self._reports.forget(uid)
            raise
        return uid
