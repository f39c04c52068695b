"""Jobs ``Archive`` and ``Media``: a ZIP of resources, into a file or into an open response.

A job whose submission has an attachment (`StreamTarget`) sends the ZIP there while it is
made, and is not saved; any other leaves it as the output ``archive``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from orthanc_tw.core.archives.plan import PlanRequest
from orthanc_tw.core.archives.writer import OpenFile
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import Job, JobContext
from orthanc_tw.jobs.kinds.archive_job import ArchiveJob
from orthanc_tw.jobs.kinds.archive_settings import (
    ARCHIVE,
    MEDIA,
    MIME,
    OUTPUT_KEY,
    ArchiveSettings,
    StreamTarget,
)
from orthanc_tw.model.json_types import JsonObject

__all__ = [
    "ARCHIVE",
    "MEDIA",
    "MIME",
    "OUTPUT_KEY",
    "ArchiveKind",
    "ArchiveSettings",
    "StreamTarget",
    "archive_parameters",
]


@dataclass(frozen=True, slots=True)
class ArchiveKind:
    """A `JobKind`. See `archive_parameters` for its parameters.

    :ivar type_name: `ARCHIVE` or `MEDIA`
    :ivar open_file: `Storage.open`
    :ivar now: the time that members get, in the time zone in which it is to be read
    """

    type_name: str
    index: Index
    open_file: OpenFile
    now: Callable[[], datetime]
    settings: ArchiveSettings = field(default_factory=ArchiveSettings)

    @property
    def is_durable(self) -> bool:
        """Whether its jobs are saved: those that have no `StreamTarget`."""
        return True

    @property
    def resubmit_refusal(self) -> str:
        """See `RefusesResubmission`."""
        return "Cannot resubmit the creation of an archive"

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return ArchiveJob(self, parameters, cursor, context)


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
