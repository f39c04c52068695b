"""A search for resources, as a value: what the index answers, and what is filtered after it.

Source: REST API, ``/tools/find``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orthanc_tw.core.matching import Matcher, list_matcher, tag_matcher
from orthanc_tw.core.requested import MODALITIES_IN_STUDY, SOP_CLASS_UID, IndexedTags
from orthanc_tw.dicom.requested_tags import computed_tag
from orthanc_tw.dicom.tags import format_tag, parse_tag
from orthanc_tw.index.gateway import OrderKey, TagConstraint
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType

_MODALITY = "0008,0060"


@dataclass(slots=True)
class Criteria:
    """What has to hold of a resource.

    :ivar constraints: for the index
    :ivar metadata: matchers by number of metadata
    :ivar computed: matchers by computed tag
    :ivar in_file: matchers by tag that only the file has
    :ivar is_void: no resource can match
    """

    constraints: list[TagConstraint] = field(default_factory=list)
    metadata: dict[int, Matcher] = field(default_factory=dict)
    computed: dict[int, Matcher] = field(default_factory=dict)
    in_file: dict[int, Matcher] = field(default_factory=dict)
    is_void: bool = False

    @property
    def is_for_the_index(self) -> bool:
        """Whether the index alone can tell."""
        return not (self.metadata or self.computed or self.in_file)


@dataclass(frozen=True, slots=True)
class Search:
    """A search.

    :ivar parents: public identifier of a parent, or of the resource itself, by level
    :ivar limit: most resources to find, 0 for all
    """

    level: ResourceType
    criteria: Criteria
    labels: Sequence[str] = ()
    labels_constraint: str = "All"
    parents: Mapping[ResourceType, str] = field(default_factory=dict)
    order: Sequence[OrderKey] = ()
    since: int = 0
    limit: int = 0


def criteria_of(
    level: ResourceType, query: Mapping[str, str], indexed: IndexedTags, *, case_sensitive: bool
) -> Criteria:
    """Sort the tags of a query by where their values are.

    :raises OrthancError: UNKNOWN_DICOM_TAG, PARAMETER_OUT_OF_RANGE
    """
    criteria = Criteria()
    for name, value in query.items():
        tag = parse_tag(name, indexed.dictionary)
        if computed_tag(tag) is not None:
            matcher = list_matcher(value, case_sensitive=case_sensitive)
        else:
            matcher = tag_matcher(tag, value, case_sensitive=case_sensitive)
        if matcher is not None:
            add_matcher(criteria, level, tag, matcher, indexed)
    return criteria


def level_of_tag(tag: int, indexed: IndexedTags) -> ResourceType | None:
    """The one level that keeps a tag, None if there are several or none."""
    owners = [level for level in ResourceType if tag in indexed.levels.get(level, ())]
    return owners[0] if len(owners) == 1 else None


def add_matcher(
    criteria: Criteria, level: ResourceType, tag: int, matcher: Matcher, indexed: IndexedTags
) -> None:
    """Put the matcher of one tag where the values of the tag are."""
    owners = [owner for owner in ResourceType if tag in indexed.levels.get(owner, ())]
    above = [owner for owner in owners if owner <= level]
    if tag == MODALITIES_IN_STUDY and level is ResourceType.STUDY:
        criteria.constraints.append(matcher.on(_MODALITY, ResourceType.SERIES))
    elif computed_tag(tag) is not None:
        criteria.computed[tag] = matcher
    elif above:
        criteria.constraints.append(matcher.on(format_tag(tag), max(above)))
    elif tag == SOP_CLASS_UID and level is ResourceType.INSTANCE:
        criteria.metadata[MetadataType.SOP_CLASS_UID] = matcher
    elif owners:
        # It may differ among the children, so the resource itself does not have it.
        criteria.is_void = True
    else:
        criteria.in_file[tag] = matcher
