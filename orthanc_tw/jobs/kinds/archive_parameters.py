"""What a job ``Archive`` or ``Media`` is made of, as the parameters that are saved, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orthanc_tw.core.archives.plan import PlanRequest
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType


def archive_parameters(
    request: PlanRequest,
    *,
    filename: str,
    instances: int,
    size_bytes: int,
    extended: bool = False,
    transcode: str | None = None,
    lossy_quality: int | None = None,
    description: str = "REST API",
) -> JsonObject:
    """The parameters of a job.

    :param filename: what the client is to call it
    :param instances: how many there are to be, as `measure_plan` says
    :param size_bytes: their size, uncompressed
    :param extended: a DICOMDIR with attributes of type 3
    """
    parameters: JsonObject = {
        "Resources": list(request.resources),
        "Level": None if request.level is None else request.level.label,
        "Base": request.base.label,
        "Utf8": request.utf8,
        "Extended": extended,
        "Filename": filename,
        "InstancesCount": instances,
        "UncompressedSize": size_bytes,
        "Description": description,
    }
    if transcode is not None:
        parameters["Transcode"] = transcode
        if lossy_quality is not None:
            parameters["LossyQuality"] = lossy_quality
    return parameters


def plan_request(parameters: Mapping[str, Any], *, media: bool) -> PlanRequest:
    """The request that `archive_parameters` was made from."""
    level = parameters["Level"]
    return PlanRequest(
        tuple(parameters["Resources"]),
        None if level is None else ResourceType.from_label(level),
        ResourceType.from_label(parameters["Base"]),
        media,
        bool(parameters["Utf8"]),
    )
