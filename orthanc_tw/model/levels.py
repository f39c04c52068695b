"""The four levels of the DICOM model of the real world (PS3.3 section 7) as Orthanc names them."""

from __future__ import annotations

import enum


class ResourceType(enum.IntEnum):
    """A level; the numbers are those stored in the index (Orthanc's own)."""

    PATIENT = 1
    STUDY = 2
    SERIES = 3
    INSTANCE = 4

    @property
    def label(self) -> str:
        """``Patient``, ``Study``, ``Series`` or ``Instance``: the ``Type`` of the REST API."""
        return _LABELS[self]

    @property
    def plural(self) -> str:
        """``patients``, ``studies``, ``series`` or ``instances``: the first part of its path."""
        return _PLURALS[self]

    @property
    def children_label(self) -> str | None:
        """``Studies``, ``Series``, ``Instances``: the field that lists the children, if any."""
        return _CHILDREN[self]

    @property
    def parent(self) -> ResourceType | None:
        """The level above, or None for a patient."""
        return _PARENTS[self]

    @property
    def child(self) -> ResourceType | None:
        """The level below, or None for an instance."""
        return None if self is ResourceType.INSTANCE else ResourceType(self + 1)

    @classmethod
    def from_label(cls, label: str) -> ResourceType:
        """Parse ``Patient``, ``patients``... as Orthanc does (case matters not).

        :raises ValueError: if it is none of them
        """
        found = _PARSE.get(label.lower())
        if found is None:
            raise ValueError(f"Unknown level: {label}")
        return found


_LABELS = {
    ResourceType.PATIENT: "Patient",
    ResourceType.STUDY: "Study",
    ResourceType.SERIES: "Series",
    ResourceType.INSTANCE: "Instance",
}
# Looked up: to make a member of a number takes longer than all else of a resource in a list.
_PARENTS = {
    ResourceType.PATIENT: None,
    ResourceType.STUDY: ResourceType.PATIENT,
    ResourceType.SERIES: ResourceType.STUDY,
    ResourceType.INSTANCE: ResourceType.SERIES,
}
_PLURALS = {
    ResourceType.PATIENT: "patients",
    ResourceType.STUDY: "studies",
    ResourceType.SERIES: "series",
    ResourceType.INSTANCE: "instances",
}
_CHILDREN: dict[ResourceType, str | None] = {
    ResourceType.PATIENT: "Studies",
    ResourceType.STUDY: "Series",
    ResourceType.SERIES: "Instances",
    ResourceType.INSTANCE: None,
}
_PARSE = {
    name.lower(): level
    for level in ResourceType
    for name in (_LABELS[level], _PLURALS[level], "image" if level == 4 else _LABELS[level])
}
