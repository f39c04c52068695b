"""Which fields of a resource an answer has, and in which format its tags are.

Source: REST API, arguments ``response-content``, ``full``, ``short``, ``simplify`` and the
fields ``ResponseContent``, ``Full``, ``Short`` of ``/tools/find``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from orthanc_tw.dicom.requested_tags import RequestedTags
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.index.gateway import ExpandParts
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType


class Content(enum.Flag):
    """Parts of an answer; `LEGACY` has the fields that no ``ResponseContent`` names."""

    MAIN_DICOM_TAGS = enum.auto()
    REQUESTED_TAGS = enum.auto()
    METADATA = enum.auto()
    CHILDREN = enum.auto()
    PARENT = enum.auto()
    LABELS = enum.auto()
    STATUS = enum.auto()
    IS_STABLE = enum.auto()
    IS_PROTECTED = enum.auto()
    ATTACHMENTS = enum.auto()
    LEGACY = enum.auto()


NOTHING = Content(0)
DEFAULT = (
    Content.MAIN_DICOM_TAGS
    | Content.REQUESTED_TAGS
    | Content.CHILDREN
    | Content.PARENT
    | Content.LABELS
    | Content.STATUS
    | Content.IS_STABLE
    | Content.IS_PROTECTED
    | Content.LEGACY
)
_NAMES = {
    "MainDicomTags": Content.MAIN_DICOM_TAGS,
    "RequestedTags": Content.REQUESTED_TAGS,
    "Metadata": Content.METADATA,
    "Children": Content.CHILDREN,
    "Parent": Content.PARENT,
    "Labels": Content.LABELS,
    "Status": Content.STATUS,
    "IsStable": Content.IS_STABLE,
    "IsProtected": Content.IS_PROTECTED,
    "Attachments": Content.ATTACHMENTS,
}


def parse_content(names: Iterable[str]) -> Content:
    """The parts that ``ResponseContent`` names.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE for an unknown name
    """
    content = NOTHING
    for name in names:
        if name not in _NAMES:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE,
                f'Unrecognized value for "ResponseContent": {name}',
            )
        content |= _NAMES[name]
    return content


@dataclass(frozen=True, slots=True)
class View:
    """How resources are shown."""

    content: Content = DEFAULT
    format: TagFormat = TagFormat.SIMPLIFY
    requested: RequestedTags = field(default_factory=RequestedTags)

    def parts(self, level: ResourceType) -> ExpandParts:
        """What of a resource the index has to load."""
        return _parts(self.content, bool(self.requested), level)


@lru_cache(maxsize=256)
def _parts(content: Content, has_requested: bool, level: ResourceType) -> ExpandParts:
    ancestors: set[ResourceType] = set()
    if Content.MAIN_DICOM_TAGS in content and level is ResourceType.STUDY:
        ancestors.add(ResourceType.PATIENT)
    if has_requested:
        ancestors.update(above for above in ResourceType if above < level)
    from_metadata = Content.METADATA | Content.STATUS | Content.LEGACY | Content.MAIN_DICOM_TAGS
    return ExpandParts(
        children=bool(content & (Content.CHILDREN | Content.STATUS)),
        metadata=has_requested or bool(content & from_metadata),
        attachments=Content.ATTACHMENTS in content
        or (Content.LEGACY in content and level is ResourceType.INSTANCE),
        labels=Content.LABELS in content,
        ancestors=frozenset(ancestors),
    )
