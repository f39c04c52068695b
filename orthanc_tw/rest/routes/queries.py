"""``/queries``: what remote modalities answered, and queries for what is below an answer.

Source: topic 41 of the corpus. Retrieving is done by `orthanc_tw.rest.routes.retrieve`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial

from twisted.web.server import Request

from orthanc_tw.dicom.attributes import parse_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.identifier import attributes_of, identifier_json, query_json
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.query.client import QueryClient
from orthanc_tw.net.query.levels import children_query
from orthanc_tw.net.query.store import QueryStore, StoredQuery
from orthanc_tw.net.values import Dataset
from orthanc_tw.rest import spec_dicom
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.dicom_request import json_object, query_field, timeout_field
from orthanc_tw.rest.http import Body, Route, json_body, text_body
from orthanc_tw.rest.json_list import SendChunks, json_list
from orthanc_tw.rest.views import format_of, is_set

CHILDREN = ("answers", "level", "modality", "query", "retrieve")
_NESTED = {
    "query-studies": ResourceType.STUDY,
    "query-series": ResourceType.SERIES,
    "query-instances": ResourceType.INSTANCE,
}
# Names that Orthanc lists; that of the route is ``query-studies``.
_LISTED = {ResourceType.STUDY: "query-study", ResourceType.SERIES: "query-series"}
_ANSWERS_A_PAGE = 25


class QueryRoutes:
    """Lists queries, shows and forgets them.

    :param encoding: ``DefaultEncoding`` of now
    """

    def __init__(
        self,
        queries: QueryStore,
        client: QueryClient,
        encoding: Callable[[], Encoding],
        send_chunks: SendChunks,
    ) -> None:
        self._queries = queries
        self._client = client
        self._encoding = encoding
        self._send_chunks = send_chunks

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        one, answer = "/queries/<query_id>", "/queries/<query_id>/answers/<index>"
        yield Route(
            "GET",
            "/queries",
            self.get_all,
            "List query/retrieve operations",
            spec=spec_dicom.QUERIES,
        )
        yield Route(
            "GET",
            one,
            self.get_children,
            "List operations on a query",
            spec=spec_dicom.QUERY_CHILDREN,
        )
        yield Route("DELETE", one, self.delete, "Delete a query", spec=spec_dicom.DELETE_QUERY)
        yield Route(
            "GET",
            f"{one}/level",
            self.get_level,
            "Get level of original query",
            spec=spec_dicom.QUERY_LEVEL,
        )
        yield Route(
            "GET",
            f"{one}/modality",
            self.get_modality,
            "Get modality of original query",
            spec=spec_dicom.QUERY_MODALITY,
        )
        yield Route(
            "GET",
            f"{one}/query",
            self.get_query,
            "Get original query arguments",
            spec=spec_dicom.QUERY_TAGS,
        )
        yield Route(
            "GET",
            f"{one}/answers",
            self.get_answers,
            "List answers to a query",
            spec=spec_dicom.ANSWERS,
        )
        yield Route(
            "GET",
            answer,
            self.get_answer_children,
            "List operations on an answer",
            spec=spec_dicom.QUERY_CHILDREN,
        )
        yield Route(
            "GET",
            f"{answer}/content",
            self.get_content,
            "Get one answer",
            spec=spec_dicom.QUERY_TAGS,
        )
        for name, level in _NESTED.items():
            yield Route(
                "POST",
                f"{answer}/{name}",
                partial(self.post_nested, level),
                "Query below",
                spec=spec_dicom.NESTED,
            )

    def get_all(self, request: Request) -> bytes:
        """Identifiers."""
        return json_body(request, self._queries.ids())

    def get_children(self, request: Request, query_id: str) -> bytes:
        """What can be asked of a query."""
        self._queries.get(query_id)
        return json_body(request, list(CHILDREN))

    def delete(self, request: Request, query_id: str) -> bytes:
        """Forget a query."""
        self._queries.remove(query_id)
        return empty_text(request)

    def get_level(self, request: Request, query_id: str) -> bytes:
        """``Patient``, ``Study``, ``Series`` or ``Instance``."""
        return text_body(request, self._queries.get(query_id).level.label)

    def get_modality(self, request: Request, query_id: str) -> bytes:
        """Symbolic name."""
        return text_body(request, self._queries.get(query_id).modality_name)

    def get_query(self, request: Request, query_id: str) -> bytes:
        """What was asked for."""
        query = self._queries.get(query_id).query
        return json_body(request, query_json(query, format_of(request, TagFormat.FULL)))

    async def get_answers(self, request: Request, query_id: str) -> Body:
        """Numbers of the answers, or with ``?expand`` all of them."""
        answers = self._queries.get(query_id).answers
        if not is_set(request, "expand"):
            return json_body(request, [str(index) for index in range(len(answers))])
        pages = self._pages(answers, format_of(request, TagFormat.FULL))
        return await json_list(request, pages, self._send_chunks)

    def get_answer_children(self, request: Request, query_id: str, index: str) -> bytes:
        """What can be asked of an answer."""
        number = answer_number(index)
        query = self._queries.get(query_id)
        query.answer(number)
        below = [
            _LISTED.get(level, "query-instances") for level in ResourceType if level > query.level
        ]
        return json_body(request, ["content", "retrieve", *below])

    def get_content(self, request: Request, query_id: str, index: str) -> bytes:
        """One answer."""
        number = answer_number(index)
        answer = self._queries.get(query_id).answer(number)
        return json_body(request, self._shown(answer, format_of(request, TagFormat.FULL)))

    async def post_nested(
        self, level: ResourceType, request: Request, query_id: str, index: str
    ) -> bytes:
        """Ask the same modality for what is below an answer."""
        body = json_object(request, "Must provide a JSON object")
        number = answer_number(index)
        parent = self._queries.get(query_id)
        answer = parent.answer(number)
        if parent.level >= level:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
        attributes = parse_attributes(answer.content, answer.transfer_syntax, self._encoding())
        texts = {tag: attribute.text for tag, attribute in attributes.items()}
        query = {**query_field(body), **attributes_of(children_query(parent.level, texts))}
        timeout_s = timeout_field(body)
        if timeout_s is None:
            timeout_s = parent.timeout_s
        answers = await self._client.find(parent.modality, level, query, timeout_s=timeout_s)
        stored = StoredQuery(
            parent.modality_name, parent.modality, level, query, answers, timeout_s
        )
        return stored_query(request, self._queries.add(stored))

    def _shown(self, answer: Dataset, tag_format: TagFormat) -> JsonObject:
        return identifier_json(answer.content, answer.transfer_syntax, tag_format, self._encoding())

    async def _pages(
        self, answers: Sequence[Dataset], tag_format: TagFormat
    ) -> AsyncIterator[Sequence[JsonValue]]:
        for start in range(0, len(answers), _ANSWERS_A_PAGE):
            page = answers[start : start + _ANSWERS_A_PAGE]
            yield [self._shown(answer, tag_format) for answer in page]


def stored_query(request: Request, query_id: str) -> bytes:
    """The answer to a query that was kept."""
    return json_body(request, {"ID": query_id, "Path": f"/queries/{query_id}"})


def answer_number(index: str) -> int:
    """The number of an answer, as a path has it.

    :raises OrthancError: BAD_PARAMETER_TYPE (400)
    """
    if not (index.isascii() and index.isdigit() and len(index) < 10):
        raise OrthancError(ErrorCode.BAD_PARAMETER_TYPE, "Syntax error in some user-supplied data")
    return int(index)
