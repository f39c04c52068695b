"""Requested tags (``?requested-tags``, ``RequestedTags`` of ``/tools/find``): which, and whence.

A requested tag is computed from the children of a resource, or is a main DICOM tag of it or
of an ancestor (in the index; absent if it is not there), or is read from the file of one of
its instances (null if it is not there).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orthanc_tw.dicom.tags import UserDictionary, parse_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType


class Aggregate(enum.Enum):
    """How the value of a computed tag follows from the instances or children below."""

    COUNT = "count"
    DISTINCT = "distinct"
    """Different values, sorted, joined by backslashes."""
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class ComputedTag:
    """A tag that no file holds.

    :ivar level: the only level at which it is answered
    :ivar child_level: what is counted, or whose tag has the values
    :ivar source_tag: tag of ``child_level`` (`Aggregate.DISTINCT`); SOPClassUID is metadata
    :ivar value: of a constant
    """

    tag: int
    level: ResourceType
    aggregate: Aggregate
    child_level: ResourceType
    source_tag: int | None = None
    value: str | None = None

    def join(self, values: Iterable[str]) -> str:
        """Value of a `Aggregate.DISTINCT` tag from those of all children."""
        return "\\".join(sorted({value for value in values if value}))


_P, _ST, _SE, _I = ResourceType

_COMPUTED = {
    entry.tag: entry
    for entry in (
        # InstanceAvailability: what is stored here can be had at once (PS3.4 C.4.1.1.3.2)
        ComputedTag(0x00080056, _I, Aggregate.CONSTANT, _I, value="ONLINE"),
        ComputedTag(0x00080061, _ST, Aggregate.DISTINCT, _SE, source_tag=0x00080060),
        ComputedTag(0x00080062, _ST, Aggregate.DISTINCT, _I, source_tag=0x00080016),
        ComputedTag(0x00201200, _P, Aggregate.COUNT, _ST),
        ComputedTag(0x00201202, _P, Aggregate.COUNT, _SE),
        ComputedTag(0x00201204, _P, Aggregate.COUNT, _I),
        ComputedTag(0x00201206, _ST, Aggregate.COUNT, _SE),
        ComputedTag(0x00201208, _ST, Aggregate.COUNT, _I),
        ComputedTag(0x00201209, _SE, Aggregate.COUNT, _I),
    )
}
SOP_CLASSES_IN_STUDY = 0x00080062
# RetrieveURL says where DICOMweb is, which is none of this server's business
_NEVER_ANSWERED = frozenset((0x00081190,))


def computed_tag(tag: int) -> ComputedTag | None:
    """What is known of ``tag`` if it is a computed one."""
    return _COMPUTED.get(tag)


@dataclass(frozen=True, slots=True)
class TagSources:
    """Where the requested tags of a level come from.

    :ivar computed: to be computed
    :ivar main: tags to take from the index, with the level whose main DICOM tags have it
        (the resource's own, or the nearest ancestor's)
    :ivar from_file: tags to read from an instance
    """

    computed: tuple[ComputedTag, ...]
    main: Mapping[int, ResourceType]
    from_file: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RequestedTags:
    """Tags (``0xggggeeee``) in the order of the request, each once."""

    tags: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tags)

    @classmethod
    def of(cls, names: Iterable[str], dictionary: UserDictionary | None = None) -> RequestedTags:
        """The tags of ``RequestedTags`` in a JSON body, by name or number.

        :raises OrthancError: UNKNOWN_DICOM_TAG with the name as details
        """
        known = dictionary or UserDictionary()
        return cls(tuple(dict.fromkeys(parse_tag(name, known) for name in names)))

    def sources(
        self, level: ResourceType, main_tags: Mapping[ResourceType, Iterable[int]]
    ) -> TagSources:
        """Where to take the tags from for resources of ``level``.

        A computed tag of another level is not answered at all.

        :param main_tags: main DICOM tags of every level
        :raises OrthancError: PARAMETER_OUT_OF_RANGE for SOPClassesInStudy of an instance
        """
        if level is ResourceType.INSTANCE and SOP_CLASSES_IN_STUDY in self.tags:
            raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
        by_level = [
            (ResourceType(n), frozenset(main_tags[ResourceType(n)])) for n in range(level, 0, -1)
        ]
        computed: list[ComputedTag] = []
        main: dict[int, ResourceType] = {}
        from_file: list[int] = []
        for tag in self.tags:
            entry = _COMPUTED.get(tag)
            holder = next((found for found, tags in by_level if tag in tags), None)
            if entry is not None:
                if entry.level is level:
                    computed.append(entry)
            elif holder is not None:
                main[tag] = holder
            elif tag not in _NEVER_ANSWERED:
                from_file.append(tag)
        return TagSources(tuple(computed), main, tuple(from_file))


def parse_requested_tags(text: str, dictionary: UserDictionary | None = None) -> RequestedTags:
    """The value of ``?requested-tags``: names or numbers, separated by ``;``.

    :raises OrthancError: BAD_REQUEST that names the tag that is none
    """
    try:
        return RequestedTags.of((name for name in text.split(";") if name), dictionary)
    except OrthancError as error:
        raise OrthancError(
            ErrorCode.BAD_REQUEST,
            f"Invalid requested-tags argument: Unknown DICOM tag {error.details}",
        ) from None
