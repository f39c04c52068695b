"""``/studies/ID/split`` and ``/studies/ID/merge`` (topic 24 of the corpus)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.web.server import Request

from orthanc_tw.core.instances import Instances
from orthanc_tw.core.modification.plan import count_instances
from orthanc_tw.core.modification.studies import (
    members_of,
    merge_into,
    others_than,
    refuse_tags_of_split,
    split_into,
)
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.request import parse_modify
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions
from orthanc_tw.index.gateway import ExpandParts, Index, ReadTransaction
from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.jobs.kinds.modification_parameters import (
    MERGE_STUDY,
    SPLIT_STUDY,
    ModificationParameters,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import hash_identifier
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource
from orthanc_tw.rest.http import Body, Route, json_request
from orthanc_tw.rest.routes.upload import http_origin
from orthanc_tw.rest.spec_modification import MERGE, SPLIT
from orthanc_tw.rest.submission import (
    boolean_field,
    parse_submission,
    strings_field,
    submit_job,
)

_PATIENT_ID, _STUDY_UID = "0010,0020", "0020,000d"
_TAGS_ONLY = ExpandParts(children=False, metadata=False, attachments=False, labels=False)
_FIELDS = ("Replace", "Remove", "Keep", "KeepLabels", "PrivateCreator")


class SplitMergeRoutes:
    """See `RouteProvider`.

    :param settings: of this moment, what every modification shares
    :param tag_options: of this moment, how text is made
    :param new_seed: makes `Modification.seed`
    """

    def __init__(
        self,
        index: Index,
        engine: JobsEngine,
        instances: Instances,
        settings: Callable[[], ModificationSettings],
        tag_options: Callable[[], TagOptions],
        new_seed: Callable[[], str],
    ) -> None:
        self._index = index
        self._engine = engine
        self._instances = instances
        self._settings = settings
        self._tag_options = tag_options
        self._new_seed = new_seed

    def routes(self) -> Iterable[Route]:
        """Both."""
        yield Route(
            "POST",
            "/studies/<public_id>/split",
            self._split,
            "Split a study",
            changes_state=False,
            spec=SPLIT,
        )
        yield Route(
            "POST",
            "/studies/<public_id>/merge",
            self._merge,
            "Merge into a study",
            changes_state=False,
            spec=MERGE,
        )

    async def _split(self, request: Request, public_id: str) -> Body:
        body = json_request(request)
        options = parse_submission(body, synchronous_by_default=True)

        def read(tx: ReadTransaction) -> tuple[Mapping[str, str], Mapping[str, str]]:
            row = tx.lookup(public_id, ResourceType.STUDY)
            if row is None:
                details = f"Cannot split unknown study {public_id}"
                raise OrthancError(ErrorCode.UNKNOWN_RESOURCE, details)
            study, patient = tx.expand([row, tx.ancestors(row)[0]], _TAGS_ONLY)
            return study.tags, patient.tags

        study_tags, patient_tags = await self._index.read(read)
        series = strings_field(body, "Series", optional=True)
        instances = strings_field(body, "Instances", optional=True)
        if not series and not instances:
            raise OrthancError(
                ErrorCode.BAD_REQUEST,
                'Both the "Series" and the "Instances" fields are missing',
            )
        modification = self._parse(body)
        refuse_tags_of_split(modification)
        modification, new_uid = split_into(modification, study_tags.get(_STUDY_UID, ""))
        patient_id = modification.replacement(0x00100020)
        if patient_id is None:
            patient_id = patient_tags.get(_PATIENT_ID, "")
        resources, count = await self._index.read(
            lambda tx: _counted(tx, members_of(tx, public_id, series, instances))
        )
        parameters = ModificationParameters(
            modification,
            resources,
            count,
            http_origin(request),
            permissive=options.permissive,
            target_study=hash_identifier(str(patient_id), new_uid),
            target_study_uid=new_uid,
        )
        job = options.request(SPLIT_STUDY, parameters.to_json())
        return await submit_job(self._engine, request, job, options)

    async def _merge(self, request: Request, public_id: str) -> Body:
        body = json_request(request)
        options = parse_submission(body, synchronous_by_default=True)
        names = strings_field(body, "Resources")

        def read(tx: ReadTransaction) -> tuple[list[Resource], int]:
            if tx.lookup(public_id, ResourceType.STUDY) is None:
                details = f"Cannot merge into an unknown study: {public_id}"
                raise OrthancError(ErrorCode.UNKNOWN_RESOURCE, details)
            return _counted(tx, others_than(tx, public_id, names))

        resources, count = await self._index.read(read)
        target: dict[str, JsonValue] = {}
        for module in (ResourceType.PATIENT, ResourceType.STUDY):
            target |= await self._instances.module(
                ResourceType.STUDY, public_id, module, TagFormat.SHORT, self._tag_options()
            )
        parameters = ModificationParameters(
            merge_into(self._parse(body, fields=("Keep", "KeepLabels")), target),
            resources,
            count,
            http_origin(request),
            permissive=options.permissive,
            target_study=public_id,
        )
        job = options.request(MERGE_STUDY, parameters.to_json())
        return await submit_job(self._engine, request, job, options)

    def _parse(self, body: JsonValue, fields: Sequence[str] = _FIELDS) -> Modification:
        """The modification of the fields that are read here; sources go unless they are kept."""
        assert isinstance(body, dict)  # or there are no lists in it
        taken = {name: body[name] for name in fields if name in body}
        taken["KeepSource"] = boolean_field(body, "KeepSource", False)
        taken["Force"] = True
        return parse_modify(taken, ResourceType.SERIES, self._settings(), seed=self._new_seed())


def _counted(tx: ReadTransaction, resources: list[Resource]) -> tuple[list[Resource], int]:
    return resources, count_instances(tx, resources)
