"""The public ``Content`` of the jobs that modify instances, as recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orthanc_tw.core.modification.instances import Ids
from orthanc_tw.jobs.kinds.modification_parameters import DESCRIPTION, ModificationParameters
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType

_UPWARDS = tuple(reversed(ResourceType))


def modification_content(
    parameters: ModificationParameters,
    *,
    instances: int,
    failed: int,
    dropped: Mapping[str, str],
    results: Iterable[Ids],
    is_finished: bool,
) -> JsonObject:
    """``Content`` of a job ``ResourceModification``.

    :param instances: how many there are to be modified
    :param dropped: instances that were left out, and why
    :param results: public identifiers of what was made so far
    """
    modification = parameters.modification
    content: dict[str, JsonValue] = {
        "Description": DESCRIPTION,
        "FailedInstancesCount": failed,
        "InstancesCount": instances,
        "IsAnonymization": modification.is_anonymization,
    }
    if parameters.resources:
        content["ParentResources"] = [one.public_id for one in parameters.resources]
    if modification.transcode is not None:
        content["Transcode"] = modification.transcode
        if modification.lossy_quality is not None:
            content["LossyQuality"] = modification.lossy_quality
    if dropped:
        content["DroppedInstances"] = dict(dropped)
    if not parameters.is_single:
        content["Resources"] = _all(results) if is_finished else []
        return content
    (source,) = parameters.resources
    content["Resources"] = [dict(source.to_json())]
    content["Type"] = source.level.label
    first = next(iter(results), None)
    if first is not None:
        public_id = first[source.level - 1]
        content["ID"] = public_id
        content["Path"] = f"/{source.level.plural}/{public_id}"
        content["PatientID"] = first[0]
    return content


def study_content(parameters: ModificationParameters, *, instances: int, failed: int) -> JsonObject:
    """``Content`` of a job ``SplitStudy`` or ``MergeStudy``."""
    content: dict[str, JsonValue] = {
        "Description": DESCRIPTION,
        "FailedInstancesCount": failed,
        "InstancesCount": instances,
        "TargetStudy": parameters.target_study,
    }
    if parameters.target_study_uid is not None:
        content["TargetStudyUID"] = parameters.target_study_uid
    return content


def _all(results: Iterable[Ids]) -> list[JsonValue]:
    found = list(results)
    return [
        {"ID": public_id, "Path": f"/{level.plural}/{public_id}", "Type": level.label}
        for level in _UPWARDS
        for public_id in sorted({ids[level - 1] for ids in found})
    ]
