"""Jobs ``Archive`` and ``Media``: a ZIP of resources, into a file or into an open response.

A job whose submission has an attachment (`StreamTarget`) sends the ZIP there while it is
made, and is not saved; any other leaves it as the output ``archive``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, cast

from orthanc_tw.core.archives.writer import OpenFile
from orthanc_tw.core.transcoding.transcoder import FileTranscoder
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import Job, JobContext
from orthanc_tw.jobs.kinds.archive_job import ArchiveJob
from orthanc_tw.jobs.kinds.archive_parameters import archive_parameters
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
    :ivar transcoder: for jobs with ``Transcode``
    """

    #: Those of its jobs that have no `StreamTarget` are saved.
    is_durable: ClassVar[bool] = True
    resubmit_refusal: ClassVar[str] = "Cannot resubmit the creation of an archive"

    type_name: str
    index: Index
    open_file: OpenFile
    now: Callable[[], datetime]
    settings: ArchiveSettings = field(default_factory=ArchiveSettings)
    transcoder: FileTranscoder | None = None

    def resources(self, parameters: JsonObject) -> Sequence[str]:
        """See `TouchesResources`."""
        return cast("list[str]", parameters["Resources"])

    def create(self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext) -> Job:
        """See `JobKind`."""
        return ArchiveJob(self, parameters, cursor, context)
