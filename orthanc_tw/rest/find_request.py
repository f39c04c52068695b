"""The body of ``/tools/find`` and ``/tools/count-resources`` as a `Search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orthanc_tw.core.content import DEFAULT, View, parse_content
from orthanc_tw.core.find import FindSettings
from orthanc_tw.core.matching import text_matcher
from orthanc_tw.core.names import Names
from orthanc_tw.core.requested import IndexedTags
from orthanc_tw.core.search import Criteria, Search, criteria_of, level_of_tag
from orthanc_tw.dicom.requested_tags import RequestedTags
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.dicom.tags import UserDictionary, format_tag, parse_tag
from orthanc_tw.index.gateway import OrderKey
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.fields import (
    bad_field,
    boolean,
    known_tags,
    natural,
    strict_boolean,
    strings,
    text,
)

Body = Mapping[str, JsonValue]
#: Types of `OrderBy`: where the value is, and what it is compared as.
ORDER_TYPES = {
    f"{source}{suffix}": (source, cast)
    for source in ("DicomTag", "Metadata")
    for suffix, cast in (("", "Text"), ("AsInt", "Int"), ("AsFloat", "Float"))
}
_PARENTS = {
    ResourceType.PATIENT: "ParentPatient",
    ResourceType.STUDY: "ParentStudy",
    ResourceType.SERIES: "ParentSeries",
}


def level_of(label: str) -> ResourceType:
    """Level by its name.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE
    """
    try:
        return ResourceType.from_label(label)
    except ValueError:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, f"Invalid resource type '{label}'"
        ) from None


def search_of(
    body: Body, indexed: IndexedTags, names: Names, settings: FindSettings, *, paged: bool = True
) -> Search:
    """The search that a body asks for.

    :param names: names of metadata
    :param paged: whether ``Since`` and ``Limit`` count
    :raises OrthancError: naming the field
    """
    label = body.get("Level")
    if not isinstance(label, str):
        raise bad_field('Field "Level" is missing, or should be a string')
    query = body.get("Query")
    if not isinstance(query, dict):
        raise bad_field('Field "Query" is missing, or should be a JSON object')
    case_sensitive = strict_boolean(body, "CaseSensitive")
    since, limit = natural(body, "Since"), natural(body, "Limit")
    labels = strings(body, "Labels", "an array of strings") or ()
    constraint = body.get("LabelsConstraint", "All")
    if constraint not in ("All", "Any", "None"):
        raise bad_field('Field "LabelsConstraint" must be "All", "Any", or "None"')
    order = _order(body, names, indexed)
    level = level_of(label)
    parents = _parents(body, level)
    for name, value in query.items():
        if not isinstance(value, str):
            raise bad_field(f'Tag "{name}" must be associated with a string')
    with_tags = known_tags(
        lambda: criteria_of(level, query, indexed, case_sensitive=case_sensitive)
    )
    _metadata(body, names, with_tags, case_sensitive)
    if not paged:
        since = limit = None
    elif since is None:
        # A page that begins somewhere is never cut: its client asked for pages.
        most = settings.limit_of(level)
        if most:
            limit = min(limit or most, most)
    return Search(
        level,
        with_tags,
        labels=labels,
        labels_constraint=str(constraint),
        parents=parents,
        order=order,
        since=since or 0,
        limit=limit or 0,
    )


def view_of_body(body: Body, dictionary: UserDictionary) -> View | None:
    """How to show what is found; None for identifiers only.

    :param dictionary: names of tags that the configuration adds
    :raises OrthancError: naming the field
    """
    requested = RequestedTags()
    names = strings(body, "RequestedTags")
    if names is not None:
        requested = known_tags(lambda: RequestedTags.of(names, dictionary))
    tag_format = format_of_body(body)
    content = strings(body, "ResponseContent")
    if content is not None:
        return View(parse_content(content), tag_format, requested)
    if boolean(body, "Expand"):
        return View(DEFAULT, tag_format, requested)
    return None


def format_of_body(body: Body) -> TagFormat:
    """``Short`` before ``Full``."""
    if boolean(body, "Short"):
        return TagFormat.SHORT
    return TagFormat.FULL if boolean(body, "Full") else TagFormat.SIMPLIFY


def _parents(body: Body, level: ResourceType) -> Mapping[ResourceType, str]:
    parents = {}
    for parent_level, name in _PARENTS.items():
        parent = text(body, name)
        if parent is None:
            continue
        if parent_level > level:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE,
                f'Field "{name}" cannot be used at level "{level.label}"',
            )
        parents[parent_level] = parent
    return parents


def _metadata(body: Body, names: Names, criteria: Criteria, case_sensitive: bool) -> None:
    query = body.get("MetadataQuery", {})
    if not isinstance(query, dict):
        raise bad_field('Field "MetadataQuery" must be a JSON object')
    for name, value in query.items():
        if not isinstance(value, str):
            raise bad_field(f'Metadata "{name}" must be associated with a string')
        number = names.number(name)
        matcher = text_matcher(value, case_sensitive=case_sensitive)
        if matcher is not None:
            criteria.metadata[number] = matcher


def _order(body: Body, names: Names, indexed: IndexedTags) -> Sequence[OrderKey]:
    entries = body.get("OrderBy", [])
    if not isinstance(entries, list):
        raise bad_field('Field "OrderBy" must be an array')
    order = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise bad_field('Field "OrderBy" must contain JSON objects')
        kind, key, direction = (entry.get(name) for name in ("Type", "Key", "Direction"))
        if not isinstance(kind, str):
            raise bad_field('Field "Type" must be "DicomTag" or "Metadata"')
        if kind not in ORDER_TYPES:
            raise bad_field(
                'Field "Type" must be "DicomTag", "DicomTagAsInt", "DicomTagAsFloat" or '
                '"Metadata", "MetadataAsInt", "MetadataAsFloat"'
            )
        if not isinstance(key, str):
            raise bad_field('Field "Key" must be a string')
        if not isinstance(direction, str) or direction.upper() not in ("ASC", "DESC"):
            raise bad_field('Field "Direction" must be "ASC" or "DESC"')
        source, cast = ORDER_TYPES[kind]
        descending = direction.upper() == "DESC"
        if source == "DicomTag":
            tag = _tag(key, indexed.dictionary)
            level = level_of_tag(tag, indexed)
            order.append(OrderKey(format_tag(tag), None, cast, descending, level))
        else:
            order.append(OrderKey(None, names.number(key), cast, descending))
    return order


def _tag(name: str, dictionary: UserDictionary) -> int:
    return known_tags(lambda: parse_tag(name, dictionary))
