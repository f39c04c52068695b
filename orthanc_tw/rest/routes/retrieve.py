"""Retrieving from a modality: ``/modalities/{id}/move`` and ``get``, ``/queries/{id}/retrieve``.

Each submits one job. Source: topic 41 of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.web.server import Request

from orthanc_tw.dicom.attributes import parse_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.dicom.tags import parse_tag
from orthanc_tw.jobs.interface import JobResult, JobsEngine
from orthanc_tw.jobs.kinds.retrieve import GET, MOVE, retrieve_parameters
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.modalities import RemoteModality, RetrieveMethod
from orthanc_tw.net.query.levels import LEVEL_VALUES, QUERY_RETRIEVE_LEVEL, retrieval_of
from orthanc_tw.net.query.store import QueryStore, StoredQuery
from orthanc_tw.net.registry import ModalityRegistry
from orthanc_tw.net.values import Dataset
from orthanc_tw.rest import spec_dicom
from orthanc_tw.rest.dicom_request import as_called, checked_aet, text_field, timeout_field
from orthanc_tw.rest.fields import known_tags
from orthanc_tw.rest.find_request import level_of
from orthanc_tw.rest.http import Route, json_request, read_body
from orthanc_tw.rest.routes.queries import answer_number
from orthanc_tw.rest.submission import boolean_field, parse_submission, submit_job

_NEEDED = "Must provide a JSON body containing fields Resources and Level"


@dataclass(frozen=True, slots=True)
class RetrieveSettings:
    """Options of the configuration.

    :ivar local_aet: ``DicomAet``
    :ivar default_method: ``DicomDefaultRetrieveMethod``
    """

    local_aet: str
    default_method: RetrieveMethod = RetrieveMethod.C_MOVE


class RetrieveRoutes:
    """Submits retrievals.

    :param encoding: ``DefaultEncoding`` of now
    """

    def __init__(
        self,
        modalities: ModalityRegistry,
        queries: QueryStore,
        engine: JobsEngine,
        encoding: Callable[[], Encoding],
        settings: RetrieveSettings,
    ) -> None:
        self._modalities = modalities
        self._queries = queries
        self._engine = engine
        self._encoding = encoding
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        for kind, name, summary in ((MOVE, "move", "C-MOVE SCU"), (GET, "get", "C-GET SCU")):
            path = f"/modalities/<name>/{name}"
            handler = partial(self.post_modality, kind)
            yield Route(
                "POST",
                path,
                handler,
                f"Trigger {summary}",
                changes_state=False,
                spec=spec_dicom.RETRIEVE,
            )
        for path, summary in (
            ("/queries/<query_id>/retrieve", "Retrieve all answers"),
            ("/queries/<query_id>/answers/<index>/retrieve", "Retrieve one answer"),
        ):
            yield Route(
                "POST",
                path,
                self.post_query,
                summary,
                changes_state=False,
                spec=spec_dicom.RETRIEVE_ANSWERS,
            )

    async def post_modality(self, kind: str, request: Request, name: str) -> bytes:
        """Retrieve resources that the body names by their keys."""
        body = _json(request)
        if not isinstance(body, dict) or "Resources" not in body or "Level" not in body:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, _NEEDED)
        label = body["Level"]
        if not isinstance(label, str):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "String value expected in field: Level")
        level = level_of(label)
        queries = [_query(item, level) for item in _list(body["Resources"])]
        modality = as_called(self._modalities.require(name), body)
        return await self._submit(
            request, kind, modality, level, queries, body, timeout_field(body)
        )

    async def post_query(self, request: Request, query_id: str, index: str | None = None) -> bytes:
        """Retrieve what a query has found; the body may be the title to send it to."""
        number = None if index is None else answer_number(index)
        query = self._queries.get(query_id)
        answers = query.answers if number is None else [query.answer(number)]
        body = _json(request)
        if body is None:
            text = read_body(request).decode("utf-8", "replace").strip()
            body = {"TargetAet": text} if text else {}
        method = self._method(body, query.modality)
        timeout_s = timeout_field(body)
        return await self._submit(
            request,
            GET if method is RetrieveMethod.C_GET else MOVE,
            query.modality,
            query.level,
            [self._found(query, answer) for answer in answers],
            body,
            query.timeout_s if timeout_s is None else timeout_s,
        )

    async def _submit(
        self,
        request: Request,
        kind: str,
        modality: RemoteModality,
        level: ResourceType,
        queries: Sequence[Mapping[int, str]],
        body: JsonValue,
        timeout_s: int | None,
    ) -> bytes:
        options = parse_submission(body, synchronous_by_default=True)
        local_aet = modality.local_aet or self._settings.local_aet
        parameters = retrieve_parameters(
            modality,
            level,
            queries,
            local_aet=local_aet,
            target_aet=checked_aet(text_field(body, "TargetAet") or local_aet),
            query_format=_format(body),
            permissive=options.permissive,
            timeout_s=timeout_s,
        )
        job = options.request(kind, parameters)
        return await submit_job(self._engine, request, job, options, _payload)

    def _method(self, body: JsonValue, modality: RemoteModality) -> RetrieveMethod:
        text = text_field(body, "RetrieveMethod")
        method = modality.retrieve_method if text is None else retrieve_method(text)
        return self._settings.default_method if method is RetrieveMethod.SYSTEM_DEFAULT else method

    def _found(self, query: StoredQuery, answer: Dataset) -> dict[int, str]:
        attributes = parse_attributes(answer.content, answer.transfer_syntax, self._encoding())
        texts = {tag: attribute.text for tag, attribute in attributes.items()}
        return retrieval_of(query.level, texts)


def retrieve_method(text: str) -> RetrieveMethod:
    """The method of that name.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE (400)
    """
    try:
        return RetrieveMethod(text)
    except ValueError:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f'RetrieveMethod can be "C-MOVE", "C-GET" or "SystemDefault": {text}',
        ) from None


def _payload(result: JobResult) -> JsonObject:
    return {"Type": "RetrieveJob", "Content": result.content.get("Details", [])}


def _json(request: Request) -> JsonValue:
    try:
        return json_request(request)
    except OrthancError as error:
        if error.code is not ErrorCode.BAD_FILE_FORMAT:
            raise
        return None


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, _NEEDED)
    return value


def _query(item: JsonValue, level: ResourceType) -> dict[int, str]:
    if not isinstance(item, dict):
        raise OrthancError(
            ErrorCode.BAD_FILE_FORMAT, "Resources in the JSON body must be JSON objects"
        )
    query = {QUERY_RETRIEVE_LEVEL: LEVEL_VALUES[level]}
    tags: dict[str, str] = {}
    for name, text in item.items():
        if not isinstance(text, str):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"String value expected in field: {name}")
        tags[name] = text
    return query | known_tags(lambda: {parse_tag(name): text for name, text in tags.items()})


def _format(body: JsonValue) -> TagFormat:
    if boolean_field(body, "Full", False):
        return TagFormat.FULL
    return TagFormat.SIMPLIFY if boolean_field(body, "Simplify", False) else TagFormat.SHORT
