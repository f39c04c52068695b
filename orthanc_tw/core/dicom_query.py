"""Queries of DICOM clients at the four levels: PS3.4 C.4.1 as Orthanc answers it.

Knows keys and values as text, nothing of DIMSE. Called in the reactor thread.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from orthanc_tw.core.documents import Documents
from orthanc_tw.core.find import Finder, FindSettings
from orthanc_tw.core.matching import Matcher, tag_matcher, text_matcher
from orthanc_tw.core.requested import MODALITIES_IN_STUDY, IndexedTags, Requested, requested_of
from orthanc_tw.core.search import Criteria, Search, add_matcher
from orthanc_tw.dicom.requested_tags import SOP_CLASSES_IN_STUDY, RequestedTags, computed_tag
from orthanc_tw.dicom.tags import parse_tag, vr_of
from orthanc_tw.index.gateway import ExpandParts, Index, ReadTransaction, ResourceRow
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType

_MODALITY = "0008,0060"
_PARTS = ExpandParts(
    children=False,
    metadata=True,
    attachments=False,
    labels=False,
    ancestors=frozenset(ResourceType),
)
# SpecificCharacterSet, QueryRetrieveLevel, RetrieveAETitle and TimezoneOffsetFromUTC say how to
# read the query and its answers; no resource is compared with them (PS3.4 C.4.1.1.3.2)
NOT_MATCHED = frozenset((0x00080005, 0x00080052, 0x00080054, 0x00080201))


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """How queries are read.

    :ivar case_sensitive_pn: ``CaseSensitivePN``; all but names is compared with its case anyway
    :ivar answers_per_slice: answers that are made in one go
    """

    case_sensitive_pn: bool = False
    answers_per_slice: int = 100


@dataclass(slots=True)
class ResourceQuery:
    """One query.

    :ivar keys: text to be matched by tag; '' is universal matching
    :ivar is_truncated: after the last answer: whether ``LimitFindResults`` kept some back
    """

    level: ResourceType
    keys: Mapping[int, str]
    is_truncated: bool = field(default=False, init=False)


Answer = Mapping[int, str]


class ResourceQueries:
    """Answers queries for resources."""

    def __init__(
        self,
        index: Index,
        finder: Finder,
        documents: Documents,
        indexed: IndexedTags,
        limits: FindSettings,
        settings: QuerySettings,
    ) -> None:
        self._index = index
        self._finder = finder
        self._documents = documents
        self._indexed = indexed
        self._limits = limits
        self._settings = settings

    async def answers(self, query: ResourceQuery) -> AsyncGenerator[Sequence[Answer], None]:
        """Text of all keys of the query for each resource that matches, in slices.

        What a resource does not have is ''. Not more than ``LimitFindResults``, or
        ``LimitFindInstances``; ``query.is_truncated`` says if there were more.

        :raises OrthancError: PARAMETER_OUT_OF_RANGE for wildcards on a VR that has none
        """
        limit = self._limits.limit_of(query.level)
        search = Search(query.level, self._criteria(query), limit=limit + 1 if limit else 0)
        requested = RequestedTags(
            tuple(tag for tag in query.keys if _is_answered(tag, query.level))
        )
        left = limit
        async for rows in self._finder.find(search):
            if limit and len(rows) > left:
                query.is_truncated = True
                rows = rows[:left]
            left -= len(rows)
            size = self._settings.answers_per_slice
            for start in range(0, len(rows), size):
                yield await self._show(rows[start : start + size], query, requested)

    def _criteria(self, query: ResourceQuery) -> Criteria:
        criteria = Criteria()
        for tag, value in query.keys.items():
            if tag in NOT_MATCHED:
                continue
            if tag == MODALITIES_IN_STUDY and query.level is not ResourceType.PATIENT:
                matcher = text_matcher(value, case_sensitive=True)
                if matcher is not None:
                    criteria.constraints.append(matcher.on(_MODALITY, ResourceType.SERIES))
                continue
            computed = computed_tag(tag)
            if computed is not None and computed.level is not query.level:
                continue
            matcher = key_matcher(tag, value, self._settings.case_sensitive_pn)
            if matcher is not None:
                add_matcher(criteria, query.level, tag, matcher, self._indexed)
        return criteria

    async def _show(
        self, rows: Sequence[ResourceRow], query: ResourceQuery, requested: RequestedTags
    ) -> Sequence[Answer]:
        def read(tx: ReadTransaction) -> list[Requested]:
            return [
                requested_of(
                    tx,
                    record,
                    requested,
                    self._indexed,
                    files_allowed=self._limits.files_allowed,
                )
                for record in tx.expand(rows, _PARTS)
            ]

        answers = []
        for found in await self._index.read(read):
            answer = dict.fromkeys(query.keys, "")
            answer.update({parse_tag(tag): value for tag, value in found.values.items()})
            if found.file is not None:
                texts = await self._documents.texts(found.file, found.from_file)
                answer.update({tag: text for tag, text in texts.items() if text is not None})
            answers.append(answer)
        return answers


def key_matcher(tag: int, value: str, case_sensitive_pn: bool, vr: str = "") -> Matcher | None:
    """Matcher of one key of a query (PS3.4 C.2.2.2); None if it matches everything.

    Each value of a list is without spaces around.

    :param vr: that of the query, if the dictionary does not have the tag
    :raises OrthancError: PARAMETER_OUT_OF_RANGE for wildcards on a VR that has none
    """
    known = vr_of(tag)
    vr = vr if known == "UN" and vr else known
    value = "\\".join([part.strip(" ") for part in value.split("\\")])
    sensitive = case_sensitive_pn if vr == "PN" else True
    try:
        return tag_matcher(tag, value, case_sensitive=sensitive)
    except OrthancError:
        if value == "*":
            return None  # a lone star is universal matching whatever the VR (PS3.4 C.2.2.2.4)
        raise


def _is_answered(tag: int, level: ResourceType) -> bool:
    if tag in NOT_MATCHED or tag & 0xFFFF == 0:
        return False
    return tag != SOP_CLASSES_IN_STUDY or level is not ResourceType.INSTANCE
