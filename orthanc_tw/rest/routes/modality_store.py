"""Sending to a modality: ``/modalities/{id}/store`` and ``store-straight``.

Source: topics 18, 21, 40, 41 and 43 of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from twisted.web.server import Request

from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.jobs.kinds.modality_store import MODALITY_STORE, store_parameters
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.net.associations import AssociationPool
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.registry import ModalityRegistry
from orthanc_tw.net.store_session import StoreSession, StoreSettings, Transcoder
from orthanc_tw.net.straight import straight_instance
from orthanc_tw.net.values import MoveOriginator
from orthanc_tw.rest import spec_dicom
from orthanc_tw.rest.dicom_request import as_called, checked_aet, text_field, timeout_field
from orthanc_tw.rest.http import Route, json_body
from orthanc_tw.rest.store_request import (
    ExportLogger,
    resolve,
    store_body,
    store_identifiers,
)
from orthanc_tw.rest.submission import (
    boolean_field,
    integer_field,
    parse_submission,
    submit_job,
)

_MESSAGE_IDS = range(1 << 16)


@dataclass(frozen=True, slots=True)
class StoreServices:
    """What `ModalityStoreRoutes` uses beside index and jobs; see `StoreSession`.

    :ivar exports: None: nothing is logged
    :ivar local_aet: ``DicomAet``
    """

    pool: AssociationPool
    settings: StoreSettings
    transcoder: Transcoder
    exports: ExportLogger | None
    local_aet: str


class ModalityStoreRoutes:
    """Submits jobs that send resources; sends a file that is not stored here."""

    def __init__(
        self,
        modalities: ModalityRegistry,
        index: Index,
        engine: JobsEngine,
        services: StoreServices,
    ) -> None:
        self._modalities = modalities
        self._index = index
        self._engine = engine
        self._services = services

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        one = "/modalities/<name>"
        yield Route(
            "POST",
            f"{one}/store",
            self.post_store,
            "Trigger C-STORE SCU",
            changes_state=False,
            spec=spec_dicom.STORE,
        )
        yield Route(
            "POST",
            f"{one}/store-straight",
            self.post_straight,
            "Straight C-STORE SCU",
            spec=spec_dicom.STORE_STRAIGHT,
        )

    async def post_store(self, request: Request, name: str) -> bytes:
        """Send resources: an identifier, a list of them, or an object with ``Resources``."""
        body = store_body(request)
        identifiers = store_identifiers(body)
        options = parse_submission(body, synchronous_by_default=True)
        modality = _overridden(as_called(self._modalities.require(name), body), body)
        originator = move_originator(body)
        timeout_s = timeout_field(body)
        commitment = boolean_field(body, "StorageCommitment", False)
        resources, instances = await self._index.read(lambda tx: resolve(tx, identifiers))
        if self._services.exports is not None:
            for resource in resources:
                await self._services.exports.record(resource.public_id, name)
        parameters = store_parameters(
            modality,
            resources,
            instances,
            local_aet=modality.local_aet or self._services.local_aet,
            permissive=options.permissive,
            timeout_s=timeout_s,
            originator=originator,
            storage_commitment=commitment,
        )
        job = options.request(MODALITY_STORE, parameters)
        return await submit_job(self._engine, request, job, options)

    async def post_straight(self, request: Request, name: str) -> bytes:
        """Send the body, a DICOM file, without storing it."""
        modality = self._modalities.require(name)
        content = request.content
        assert content is not None
        instance = straight_instance(content)
        services = self._services
        session = StoreSession(services.pool, modality, services.settings, services.transcoder)
        try:
            await session.send(instance)
        finally:
            session.give_back()
        return json_body(
            request,
            {"SOPClassUID": instance.sop_class_uid, "SOPInstanceUID": instance.sop_instance_uid},
        )


def _overridden(modality: RemoteModality, body: JsonValue) -> RemoteModality:
    called = text_field(body, "CalledAet")
    if called is not None:
        modality = replace(modality, aet=checked_aet(called))
    host = text_field(body, "Host")
    if host is not None:
        modality = replace(modality, host=host)
    port = integer_field(body, "Port", modality.port)
    if not 1 <= port <= 65535:
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, f"Bad TCP port in field: Port: {port}")
    return replace(modality, port=port)


def move_originator(body: JsonValue) -> MoveOriginator | None:
    """Whose C-MOVE the client stands in for; None without ``MoveOriginatorAet``.

    :raises OrthancError: BAD_FILE_FORMAT, PARAMETER_OUT_OF_RANGE naming the field
    """
    aet = text_field(body, "MoveOriginatorAet")
    message_id = integer_field(body, "MoveOriginatorID", 0)
    if message_id not in _MESSAGE_IDS:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, "MoveOriginatorID must be in range [0..65535]"
        )
    return None if aet is None else MoveOriginator(checked_aet(aet), message_id)
