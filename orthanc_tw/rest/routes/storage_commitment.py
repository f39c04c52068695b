"""Storage commitment by modalities: asking for it, its reports, and what may be removed then.

Source: topic 43 of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.web.server import Request

from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.retrieve import transfer_instances
from orthanc_tw.core.storage_commitment import StorageCommitmentReport, StorageCommitmentReports
from orthanc_tw.index.gateway import Index, ReadTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.query.commitment import CommitmentClient
from orthanc_tw.net.registry import ModalityRegistry
from orthanc_tw.rest import spec_dicom
from orthanc_tw.rest.dicom_request import as_called, json_object, timeout_field
from orthanc_tw.rest.http import Route, empty_json, json_body

_EMPTY = (
    "Empty storage commitment request, one of these fields is mandatory: "
    '"Resources" or "DicomInstances"'
)
_SOP_INSTANCE_UID = "0008,0018"


class StorageCommitmentRoutes:
    """Asks for commitment; shows and uses the reports."""

    def __init__(
        self,
        modalities: ModalityRegistry,
        client: CommitmentClient,
        reports: StorageCommitmentReports,
        index: Index,
        deleter: ResourceDeleter,
    ) -> None:
        self._modalities = modalities
        self._client = client
        self._reports = reports
        self._index = index
        self._deleter = deleter

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        yield Route(
            "POST",
            "/modalities/<name>/storage-commitment",
            self.post_request,
            "Trigger storage commitment request",
            spec=spec_dicom.COMMITMENT,
        )
        one = "/storage-commitment/<transaction_uid>"
        yield Route(
            "GET", one, self.get_report, "Get storage commitment report", spec=spec_dicom.REPORT
        )
        yield Route(
            "POST",
            f"{one}/remove",
            self.post_remove,
            "Remove after storage commitment",
            spec=spec_dicom.REMOVE,
        )

    async def post_request(self, request: Request, name: str) -> bytes:
        """Ask a modality to commit to the storage of resources, or of instances by their UIDs."""
        body = json_object(request, "Must provide a JSON object with a list of resources")
        if "Resources" not in body and "DicomInstances" not in body:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, _EMPTY)
        instances = [_instance(item) for item in _instances(body.get("DicomInstances", []))]
        identifiers = _resources(body.get("Resources", []))
        timeout_s = timeout_field(body)
        modality = as_called(self._modalities.require(name), body)
        if identifiers:
            instances += await self._index.read(lambda tx: _references(tx, identifiers))
        uid = await self._client.request(modality, list(dict.fromkeys(instances)), timeout_s)
        return json_body(request, {"ID": uid, "Path": f"/storage-commitment/{uid}"})

    def get_report(self, request: Request, transaction_uid: str) -> bytes:
        """What has been reported."""
        return json_body(request, self._require(transaction_uid).to_json())

    async def post_remove(self, request: Request, transaction_uid: str) -> bytes:
        """Remove the instances that the modality has committed to, all of the transaction."""
        report = self._require(transaction_uid)
        if report.status != "Success":
            raise OrthancError(
                ErrorCode.BAD_SEQUENCE_OF_CALLS,
                "Cannot remove DICOM instances after failure in storage commitment transaction: "
                f"{transaction_uid}",
            )
        uids = [reference.sop_instance_uid for reference in report.success]
        for public_id in await self._index.read(lambda tx: _stored(tx, uids)):
            await self._deleter.delete(public_id, ResourceType.INSTANCE)
        return empty_json(request)

    def _require(self, transaction_uid: str) -> StorageCommitmentReport:
        report = self._reports.get(transaction_uid)
        if report is None:
            raise OrthancError(
                ErrorCode.INEXISTENT_ITEM,
                f"No storage commitment transaction with UID: {transaction_uid}",
            )
        return report


def _resources(value: JsonValue) -> list[str]:
    strings = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    if not isinstance(value, list) or len(strings) != len(value):
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT,
            'The "Resources" field must provide an array of Orthanc resources',
        )
    return strings


def _instances(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT,
            'The "DicomInstances" field must provide an array of DICOM instances',
        )
    return value


def _instance(item: JsonValue) -> tuple[str, str]:
    """Of ``[class, instance]`` or of an object with ``SOPClassUID`` and ``SOPInstanceUID``."""
    pair: list[JsonValue] = []
    if isinstance(item, list):
        pair = item
    elif isinstance(item, dict):
        pair = [item.get("SOPClassUID"), item.get("SOPInstanceUID")]
    if len(pair) == 2:
        sop_class, sop_instance = pair
        if isinstance(sop_class, str) and isinstance(sop_instance, str):
            return sop_class, sop_instance
    raise OrthancError(
        ErrorCode.BAD_FILE_FORMAT,
        "An instance entry must provide an array with 2 strings: "
        "SOP Class UID and SOP Instance UID",
    )


def _references(tx: ReadTransaction, identifiers: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for identifier in identifiers:
        row = tx.lookup(identifier)
        if row is None:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        found += [
            (instance.sop_class_uid, instance.sop_instance_uid)
            for instance in transfer_instances(tx, row)
        ]
    return found


def _stored(tx: ReadTransaction, uids: list[str]) -> list[str]:
    return [
        row.public_id
        for uid in uids
        for row in tx.lookup_identifier(_SOP_INSTANCE_UID, uid)
        if row.level is ResourceType.INSTANCE
    ]
