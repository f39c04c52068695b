"""Which worklist items a query matches, and what of them is answered (PS3.4 K.4, C.2.2.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orthanc_tw.core.dicom_query import NOT_MATCHED, key_matcher
from orthanc_tw.core.matching import Matcher
from orthanc_tw.dicom.attributes import Attribute, Attributes
from orthanc_tw.model.errors import ErrorCode, OrthancError

SCHEDULED_PROCEDURE_STEP_SEQUENCE = 0x00400100
SCHEDULED_STATION_AE_TITLE = 0x00400001


@dataclass(frozen=True, slots=True)
class WorklistQuery:
    """A query, its keys read once.

    :ivar matchers: of the attributes that do not match everything
    :ivar items: queries of the sequences; None for a sequence that matches everything
    :ivar keys: all attributes that are asked for, with what the query said of them
    """

    matchers: dict[int, Matcher]
    items: dict[int, WorklistQuery | None]
    keys: Attributes

    @classmethod
    def of(cls, identifier: Attributes, *, case_sensitive_pn: bool) -> WorklistQuery:
        """Read a query.

        :raises OrthancError: PARAMETER_OUT_OF_RANGE for wildcards on a VR that has none;
            BAD_REQUEST for a sequence of several items (PS3.4 C.2.2.2.6)
        """
        matchers: dict[int, Matcher] = {}
        items: dict[int, WorklistQuery | None] = {}
        keys: Attributes = {}
        for tag, attribute in identifier.items():
            if tag in NOT_MATCHED:
                continue
            keys[tag] = attribute
            if attribute.items is not None:
                if len(attribute.items) > 1:
                    raise OrthancError(
                        ErrorCode.BAD_REQUEST, "A sequence of a query has more than one item"
                    )
                items[tag] = (
                    cls.of(attribute.items[0], case_sensitive_pn=case_sensitive_pn)
                    if attribute.items and attribute.items[0]
                    else None
                )
                continue
            matcher = key_matcher(tag, attribute.text, case_sensitive_pn, attribute.vr)
            if matcher is not None:
                matchers[tag] = matcher
        return cls(matchers, items, keys)

    def matches(self, item: Attributes) -> bool:
        """Whether all keys match. An attribute that is absent matches universal keys only."""
        for tag, matcher in self.matchers.items():
            attribute = item.get(tag)
            if attribute is None or not _matches(matcher, attribute.text):
                return False
        for tag, query in self.items.items():
            if query is None or not query.is_selective:
                continue
            attribute = item.get(tag)
            if attribute is None or not any(map(query.matches, attribute.items or ())):
                return False
        return True

    @property
    def is_selective(self) -> bool:
        """Whether there is anything that this does not match."""
        return bool(self.matchers) or any(
            query is not None and query.is_selective for query in self.items.values()
        )

    def answer(self, item: Attributes) -> Attributes:
        """What a matching item has of the attributes that are asked for; empty if it has not.

        Of a sequence the items that match, each with what is asked for of them.
        """
        answer: Attributes = {}
        for tag, key in self.keys.items():
            found = item.get(tag)
            if key.items is None:
                answer[tag] = found if found is not None else Attribute(key.vr)
                continue
            query = self.items[tag]
            items: Iterable[Attributes] = (found.items if found is not None else None) or ()
            if query is not None:
                items = [query.answer(i) for i in items if query.matches(i)]
            answer[tag] = Attribute("SQ", items=tuple(items))
        return answer


def for_station(identifier: Attributes, aet: str) -> Attributes:
    """A query for the steps that are scheduled for one station (``FilterIssuerAet``)."""
    sequence = identifier.get(SCHEDULED_PROCEDURE_STEP_SEQUENCE)
    items = (sequence.items if sequence is not None else None) or ({},)
    station: Attributes = {SCHEDULED_STATION_AE_TITLE: Attribute("AE", aet)}
    steps = tuple({**item, **station} for item in items)
    return {**identifier, SCHEDULED_PROCEDURE_STEP_SEQUENCE: Attribute("SQ", items=steps)}


def _matches(matcher: Matcher, text: str) -> bool:
    # any of several values may match (PS3.4 C.2.2.2.1); free text may have a backslash in it
    return matcher.matches(text) or ("\\" in text and any(map(matcher.matches, text.split("\\"))))
