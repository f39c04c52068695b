"""``/modify`` and ``/anonymize`` of series, studies and patients, and of lists of resources.

Topics 22, 23 and 26 of the corpus. The work is that of a job ``ResourceModification``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.modification.dry_run import DryRun
from orthanc_tw.core.modification.names import next_anonymized_name
from orthanc_tw.core.modification.plan import count_instances, find_resources
from orthanc_tw.core.modification.refusals import (
    refuse_in_place,
    refuse_other_patient,
    refuse_transcoding,
)
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.request import parse_anonymize, parse_modify
from orthanc_tw.index.gateway import Index, ReadTransaction
from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.jobs.kinds.modification_parameters import (
    RESOURCE_MODIFICATION,
    ModificationParameters,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource
from orthanc_tw.rest.http import Body, Route, json_body, json_request
from orthanc_tw.rest.routes.modify_instance import is_dry_run
from orthanc_tw.rest.routes.upload import http_origin
from orthanc_tw.rest.spec_modification import resource_spec
from orthanc_tw.rest.submission import parse_submission, strings_field, submit_job


class ModificationJobRoutes:
    """See `RouteProvider`.

    :param settings: of this moment, what every modification shares
    :param new_seed: makes `Modification.seed`
    :param has_pseudonym_key: then patients get names that follow from it, not from a counter
    :param overwrites: whether results may take the place of their sources
    :param levels: those that have routes
    """

    def __init__(
        self,
        index: Index,
        engine: JobsEngine,
        settings: Callable[[], ModificationSettings],
        new_seed: Callable[[], str],
        dry_run: DryRun,
        *,
        has_pseudonym_key: bool,
        overwrites: bool,
        levels: Sequence[ResourceType],
    ) -> None:
        self._index = index
        self._engine = engine
        self._settings = settings
        self._new_seed = new_seed
        self._dry_run = dry_run
        self._has_key = has_pseudonym_key
        self._overwrites = overwrites
        self._levels = levels

    def routes(self) -> Iterable[Route]:
        """The routes of patients, studies, series and tools."""
        for anonymize, name in ((False, "modify"), (True, "anonymize")):
            verb = name.capitalize()
            for level in self._levels:
                if level is not ResourceType.INSTANCE:
                    handler = partial(self._resource, anonymize, level)
                    path = f"/{level.plural}/<public_id>/{name}"
                    yield Route(
                        "POST",
                        path,
                        handler,
                        f"{verb} the resource",
                        changes_state=False,
                        spec=resource_spec(anonymize=anonymize, bulk=False),
                    )
            bulk = partial(self._bulk, anonymize)
            yield Route(
                "POST",
                f"/tools/bulk-{name}",
                bulk,
                f"{verb} resources",
                changes_state=False,
                spec=resource_spec(anonymize=anonymize, bulk=True),
            )

    async def _resource(
        self, anonymize: bool, level: ResourceType, request: Request, public_id: str
    ) -> Body:
        body = json_request(request)
        return await self._submit(request, body, anonymize, level, [public_id], is_single=True)

    async def _bulk(self, anonymize: bool, request: Request) -> Body:
        body = json_request(request)
        resources = strings_field(body, "Resources")
        level = ResourceType.PATIENT if anonymize else _level(body)
        return await self._submit(request, body, anonymize, level, resources, is_single=False)

    async def _submit(
        self,
        request: Request,
        body: JsonValue,
        anonymize: bool,
        level: ResourceType,
        public_ids: Sequence[str],
        *,
        is_single: bool,
    ) -> Body:
        options = parse_submission(body, synchronous_by_default=True)
        parse = parse_anonymize if anonymize else parse_modify
        modification = parse(body, level, self._settings(), seed=self._new_seed())
        dry_run = is_dry_run(request, body)
        if not dry_run:
            # As recorded, a name is used up even if the request is refused below.
            modification = await self._named(modification)
        refuse_transcoding(modification)
        if not self._overwrites:
            refuse_in_place(modification, level)

        def read(tx: ReadTransaction) -> tuple[list[Resource], int]:
            found = find_resources(tx, public_ids, level if is_single else None)
            for resource in found:
                if not anonymize and level is ResourceType.STUDY:
                    refuse_other_patient(tx, modification, resource)
            return found, count_instances(tx, found)

        resources, instances = await self._index.read(read)
        if dry_run:
            named = [(resource.level, resource.public_id) for resource in resources]
            return json_body(request, await self._dry_run.of(modification, named))
        parameters = ModificationParameters(
            modification,
            resources,
            instances,
            http_origin(request),
            permissive=options.permissive,
            is_single=is_single,
        )
        job = options.request(RESOURCE_MODIFICATION, parameters.to_json())
        return await submit_job(self._engine, request, job, options)

    async def _named(self, modification: Modification) -> Modification:
        if self._has_key or not modification.wants_patient_name:
            return modification
        return modification.named(await next_anonymized_name(self._index))


def _level(body: JsonValue) -> ResourceType:
    """``Level`` of ``/tools/bulk-modify``: identifiers above it stay."""
    value = body.get("Level", "Instance") if isinstance(body, dict) else None
    try:
        return ResourceType.from_label(value) if isinstance(value, str) else _refuse(value)
    except ValueError:
        return _refuse(value)


def _refuse(value: object) -> ResourceType:
    raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, f"Invalid resource type '{value}'")
