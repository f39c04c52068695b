"""What a job that modifies instances is made of, as the parameters that are saved, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.dicom.modification.plan import Modification
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.registries import RequestOrigin
from orthanc_tw.model.resource import Resource

RESOURCE_MODIFICATION = "ResourceModification"
SPLIT_STUDY = "SplitStudy"
MERGE_STUDY = "MergeStudy"
DESCRIPTION = "REST API"


@dataclass(frozen=True, slots=True)
class ModificationParameters:
    """The parameters of a job.

    :ivar resources: what is modified
    :ivar instances: how many instances that was when it was submitted
    :ivar permissive: go on after an instance that fails
    :ivar is_single: one resource, whose result is named (not ``/tools/bulk-...``)
    :ivar target_study: public identifier, of `SPLIT_STUDY` and `MERGE_STUDY`
    :ivar target_study_uid: StudyInstanceUID, of `SPLIT_STUDY`
    """

    modification: Modification
    resources: Sequence[Resource]
    instances: int
    origin: StoreOrigin
    permissive: bool = False
    is_single: bool = False
    target_study: str | None = None
    target_study_uid: str | None = None

    def to_json(self) -> JsonObject:
        """As they are saved; `from_json` makes equal parameters of it."""
        return {
            "Modification": self.modification.to_json(),
            "Resources": [dict(one.to_json()) for one in self.resources],
            "InstancesCount": self.instances,
            "RemoteIP": self.origin.remote_ip,
            "HttpUsername": self.origin.http_username,
            "Permissive": self.permissive,
            "Single": self.is_single,
            "TargetStudy": self.target_study,
            "TargetStudyUID": self.target_study_uid,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModificationParameters:
        """The parameters that `to_json` was called on."""
        return cls(
            Modification.from_json(value["Modification"]),
            [Resource.from_json(one) for one in value["Resources"]],
            value["InstancesCount"],
            StoreOrigin(
                RequestOrigin.REST_API,
                remote_ip=value["RemoteIP"],
                http_username=value["HttpUsername"],
            ),
            permissive=value["Permissive"],
            is_single=value["Single"],
            target_study=value["TargetStudy"],
            target_study_uid=value["TargetStudyUID"],
        )
