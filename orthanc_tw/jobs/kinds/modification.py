"""Jobs ``ResourceModification``, ``SplitStudy``, ``MergeStudy``: instances, made anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orthanc_tw.core.modification.aftermath import Aftermath
from orthanc_tw.core.modification.instances import InstanceModifier
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import Job, JobContext
from orthanc_tw.jobs.kinds.modification_job import ModificationJob
from orthanc_tw.model.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class ModificationKind:
    """A `JobKind`. Its parameters are those of `ModificationParameters`.

    :ivar type_name: one of `modification_parameters`
    :ivar at_once: instances of one job that are under way at a time
    """

    is_durable: ClassVar[bool] = True

    type_name: str
    index: Index
    modifier: InstanceModifier
    aftermath: Aftermath
    at_once: int

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return ModificationJob(self, parameters, cursor, context)
