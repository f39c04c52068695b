"""A resource by its level and public identifier, as requests name it and jobs keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orthanc_tw.model.levels import ResourceType


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, whether it is there or not."""

    level: ResourceType
    public_id: str

    def to_json(self) -> dict[str, str]:
        """As jobs show it."""
        return {"ID": self.public_id, "Type": self.level.label}

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> Resource:
        """The resource that `to_json` was called on."""
        return cls(ResourceType.from_label(value["Type"]), value["ID"])
