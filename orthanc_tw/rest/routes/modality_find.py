"""Asking a modality: echo, query, worklist, and the older ``find`` routes.

Source: topics 01, 40 and 41 of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from twisted.web.server import Request

from orthanc_tw.dicom.attributes import Attribute, Attributes, parse_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.identifier import attribute_of, identifier_json, parse_query
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.query.client import QueryClient
from orthanc_tw.net.query.levels import (
    ACCESSION_NUMBER,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    TEMPLATES,
)
from orthanc_tw.net.query.store import QueryStore, StoredQuery
from orthanc_tw.net.registry import ModalityRegistry
from orthanc_tw.net.values import Dataset
from orthanc_tw.rest import spec_dicom
from orthanc_tw.rest.dicom_request import as_called, json_object, query_field, timeout_field
from orthanc_tw.rest.errors import BareError
from orthanc_tw.rest.fields import known_tags
from orthanc_tw.rest.find_request import level_of
from orthanc_tw.rest.http import Handler, Route, empty_json, json_body, json_request, read_body
from orthanc_tw.rest.routes.queries import stored_query
from orthanc_tw.rest.spec import Spec
from orthanc_tw.rest.submission import boolean_field

_NO_OBJECT = "Must provide a JSON object"
# Keys without which the older routes would ask for the whole archive: any of the first, all others
_NEEDED = {
    ResourceType.PATIENT: (),
    ResourceType.STUDY: ((ACCESSION_NUMBER, PATIENT_ID),),
    ResourceType.SERIES: ((ACCESSION_NUMBER, PATIENT_ID), (STUDY_INSTANCE_UID,)),
    ResourceType.INSTANCE: (
        (ACCESSION_NUMBER, PATIENT_ID),
        (STUDY_INSTANCE_UID,),
        (SERIES_INSTANCE_UID,),
    ),
}
# Shorter ones are taken for wildcards.
_SHORTEST_KEY = 3


class ModalityFindRoutes:
    """Queries of all sorts.

    :param encoding: ``DefaultEncoding`` of now
    """

    def __init__(
        self,
        modalities: ModalityRegistry,
        client: QueryClient,
        queries: QueryStore,
        encoding: Callable[[], Encoding],
    ) -> None:
        self._modalities = modalities
        self._client = client
        self._queries = queries
        self._encoding = encoding

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        one = "/modalities/<name>"

        def post(path: str, handler: Handler, summary: str, spec: Spec) -> Route:
            return Route("POST", path, handler, summary, changes_state=False, spec=spec)

        yield post(f"{one}/echo", self.post_echo, "Trigger C-ECHO SCU", spec_dicom.ECHO)
        yield post(
            "/tools/dicom-echo", self.post_tool_echo, "Trigger C-ECHO SCU", spec_dicom.TOOL_ECHO
        )
        yield post(f"{one}/query", self.post_query, "Trigger C-FIND SCU", spec_dicom.QUERY)
        yield post(
            f"{one}/find-worklist",
            self.post_worklist,
            "C-FIND SCU for worklist",
            spec_dicom.WORKLIST,
        )
        yield post(f"{one}/find", self.post_find, "Hierarchical C-FIND SCU", spec_dicom.FIND)
        for level in ResourceType:
            name = f"find-{level.label.lower()}"
            yield post(
                f"{one}/{name}", partial(self.post_find_level, level), "C-FIND SCU", spec_dicom.FIND
            )

    async def post_echo(self, request: Request, name: str) -> bytes:
        """C-ECHO to a modality."""
        body = _optional_json(request)
        await self._echo(as_called(self._modalities.require(name), body), body)
        return empty_json(request)

    async def post_tool_echo(self, request: Request) -> bytes:
        """C-ECHO to a modality that the body describes."""
        body = json_object(request, "Cannot parse the JSON body")
        await self._echo(RemoteModality.from_json(body), body)
        return empty_json(request)

    async def _echo(self, modality: RemoteModality, body: JsonValue) -> None:
        timeout_s = timeout_field(body)
        check_find = None
        if isinstance(body, dict) and "CheckFind" in body:
            check_find = boolean_field(body, "CheckFind", False)
        await self._client.echo(modality, timeout_s, check_find)

    async def post_query(self, request: Request, name: str) -> bytes:
        """C-FIND whose answers are kept for ``/queries``."""
        body = json_object(request, _NO_OBJECT)
        label = body.get("Level")
        if not isinstance(label, str):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The JSON body must contain field Level")
        level = level_of(label)
        query = query_field(body)
        normalize = boolean_field(body, "Normalize", True)
        timeout_s = timeout_field(body)
        modality = as_called(self._modalities.require(name), body)
        answers = await self._client.find(
            modality, level, query, normalize=normalize, timeout_s=timeout_s
        )
        stored = StoredQuery(name, modality, level, query, answers, timeout_s)
        return stored_query(request, self._queries.add(stored))

    async def post_worklist(self, request: Request, name: str) -> bytes:
        """C-FIND of the modality worklist; ``Query`` of the body, or the body itself."""
        body = json_object(request, _NO_OBJECT)
        modality = as_called(self._modalities.require(name), body)
        tag_format = TagFormat.SIMPLIFY
        if boolean_field(body, "Full", False):
            tag_format = TagFormat.FULL
        elif boolean_field(body, "Short", False):
            tag_format = TagFormat.SHORT
        timeout_s = timeout_field(body)
        asked = body["Query"] if "Query" in body else _without_options(body)
        query = known_tags(lambda: parse_query(asked))
        answers = await self._client.worklist(modality, query, timeout_s)
        return json_body(request, [self._shown(answer, tag_format) for answer in answers])

    async def post_find_level(self, level: ResourceType, request: Request, name: str) -> bytes:
        """C-FIND at one level, with the usual attributes of it."""
        asked = _asked(request)
        for keys in _NEEDED[level]:
            if all(len(_text(asked, key)) < _SHORTEST_KEY for key in keys):
                raise BareError(400)
        modality = self._modalities.require(name)
        answers = await self._client.find(modality, level, _with_template(level, asked))
        return json_body(request, [self._shown(a, TagFormat.SIMPLIFY) for a in answers])

    async def post_find(self, request: Request, name: str) -> bytes:
        """Patients, their studies, and the series of these, nested."""
        asked = _asked(request)
        modality = self._modalities.require(name)
        return json_body(request, list(await self._tree(modality, ResourceType.PATIENT, asked, {})))

    async def _tree(
        self,
        modality: RemoteModality,
        level: ResourceType,
        asked: Attributes,
        keys: Attributes,
    ) -> list[JsonValue]:
        template = TEMPLATES[level]
        query = _with_template(level, {t: v for t, v in asked.items() if t in template})
        found: list[JsonValue] = []
        for answer in await self._client.find(modality, level, {**query, **keys}):
            shown = self._shown(answer, TagFormat.SIMPLIFY)
            child = level.child
            if level is not ResourceType.SERIES and child is not None:
                values = parse_attributes(answer.content, answer.transfer_syntax, self._encoding())
                below = {
                    key: values[key] for key in (PATIENT_ID, STUDY_INSTANCE_UID) if key in values
                }
                label = level.children_label
                assert label is not None
                shown[label] = await self._tree(modality, child, asked, {**keys, **below})
            found.append(shown)
        return found

    def _shown(self, answer: Dataset, tag_format: TagFormat) -> JsonObject:
        return identifier_json(answer.content, answer.transfer_syntax, tag_format, self._encoding())


def _with_template(level: ResourceType, asked: Attributes) -> Attributes:
    return {**{tag: attribute_of(tag, "") for tag in TEMPLATES[level]}, **asked}


def _text(query: Attributes, tag: int) -> str:
    return query.get(tag, Attribute("LO")).text


def _asked(request: Request) -> Attributes:
    """The tags of a body.

    :raises OrthancError: BAD_FILE_FORMAT, UNKNOWN_DICOM_TAG (400)
    """
    body = json_object(request, _NO_OBJECT)
    return known_tags(lambda: parse_query(body))


def _optional_json(request: Request) -> JsonValue:
    """The body as JSON, None if there is none.

    :raises OrthancError: BAD_FILE_FORMAT
    """
    if not read_body(request):
        return None
    try:
        return json_request(request)
    except OrthancError as error:
        raise OrthancError(error.code, "Cannot parse the JSON body") from None


def _without_options(body: JsonObject) -> JsonObject:
    options = ("Full", "Short", "Timeout", "LocalAet")
    return {name: value for name, value in body.items() if name not in options}
