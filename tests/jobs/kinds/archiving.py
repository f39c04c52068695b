"""What tests of archive jobs share: a study, a kind, and a client that takes a stream."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from datetime import datetime
from typing import Any

import pydicom
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.archives.plan import PlanRequest, measure_plan
from orthanc_tw.jobs.interface import Job, JobContext
from orthanc_tw.jobs.kinds.archive import (
    ARCHIVE,
    ArchiveKind,
    ArchiveSettings,
    archive_parameters,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from tests.core.archives.fakes import FakeIndex, transcoder

MOMENT = datetime(2024, 5, 6, 7, 8, 10)
# every member is a window of its own, those above 30,000 bytes are written by parts
STEPWISE = ArchiveSettings(
    workers=2,
    large_member_bytes=30_000,
    window_bytes=8_000,
    stream_window_bytes=8_000,
    single_step_bytes=0,
    checkpoint_bytes=50_000,
)


class Target:
    """A `StreamTarget` that keeps what it gets; ``lost`` makes it fail."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.claimed = False
        self.lost = False
        self.largest = 0

    def claim(self) -> bool:
        claimed, self.claimed = self.claimed, True
        return not claimed

    def write(self, chunks: list[bytes]) -> None:
        if self.lost:
            raise OrthancError(ErrorCode.NETWORK_PROTOCOL)
        self.largest = max(self.largest, sum(map(len, chunks)))
        self.chunks += chunks

    def drained(self) -> Deferred[None]:
        return fail(OrthancError(ErrorCode.NETWORK_PROTOCOL)) if self.lost else succeed(None)


class ArchiveTestCase(SynchronousTestCase):
    """A study of three series and seven instances, some of which are large."""

    def setUp(self) -> None:
        self.index = FakeIndex()
        self.ids = []
        for number in range(7):
            path = "test_files/MR_small.dcm"
            dataset = pydicom.dcmread(os.path.join(os.path.dirname(pydicom.__file__), "data", path))
            identifiers = DicomIdentifiers("p", "1.2", f"1.2.{number % 3}", f"1.2.3.{number}")
            dataset.PatientID = "p"
            dataset.StudyInstanceUID = "1.2"
            dataset.SeriesInstanceUID = identifiers.series_instance_uid
            dataset.SOPInstanceUID = identifiers.sop_instance_uid
            dataset.PixelData = hashlib.sha512(bytes([number])).digest() * (20 + number * 200)
            buffer = io.BytesIO()
            dataset.save_as(buffer)
            tags: dict[ResourceType, dict[str, str]] = {level: {} for level in ResourceType}
            self.ids.append(self.index.add(identifiers, tags, buffer.getvalue()))
        self.study = identifiers.public_id(ResourceType.STUDY)
        self.folder = os.path.abspath(self.mktemp())

    def kind(self, type_name: str = ARCHIVE, settings: ArchiveSettings = STEPWISE) -> ArchiveKind:
        return ArchiveKind(
            type_name,
            self.index,
            self.index.open_file,
            lambda: MOMENT,
            settings,  # type: ignore[arg-type]
            transcoder(self.index),
        )

    def parameters(self, **more: Any) -> JsonObject:
        request = PlanRequest([self.study])
        size = measure_plan(self.index, request)  # type: ignore[arg-type]
        return {
            **archive_parameters(
                request, filename="x.zip", instances=size.instances, size_bytes=size.size_bytes
            ),
            **more,
        }

    def context(self) -> JobContext:
        return JobContext(
            job_id="job",
            folder=self.folder,
            make_folder=lambda: os.makedirs(self.folder, exist_ok=True),
            in_thread=maybeDeferred,
        )

    def finish(self, job: Job) -> None:
        """Run the steps that remain; fails as the first of them that does."""
        for step in job.steps():
            self.successResultOf(step)

    def error(self, job: Job) -> OrthancError:
        """What the job fails with."""
        for step in job.steps():
            results: list[Any] = []
            step.addBoth(results.append)
            if hasattr(results[0], "value"):
                job.abandon()
                error = results[0].value
                self.assertIsInstance(error, OrthancError)
                assert isinstance(error, OrthancError)
                return error
        raise AssertionError("It has not failed")

    def read(self) -> bytes:
        with open(os.path.join(self.folder, "archive.zip"), "rb") as file:
            return file.read()

    def assert_complete(self, data: bytes, media: bool = False) -> None:
        """Every instance is there, whole, and the directory where there has to be one."""
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            self.assertIsNone(archive.testzip())
            names = archive.namelist()
            self.assertEqual("DICOMDIR" in names, media)
            contents = sorted(archive.read(name) for name in names if name != "DICOMDIR")
            self.assertEqual(contents, sorted(self.index.files.values()))
            if media:
                directory = pydicom.dcmread(io.BytesIO(archive.read("DICOMDIR")))
                uids = {
                    "/".join(record.ReferencedFileID): record.ReferencedSOPInstanceUIDInFile
                    for record in directory.DirectoryRecordSequence
                    if "ReferencedFileID" in record
                }
                self.assertEqual(sorted(uids), sorted(names)[1:])
                for name, uid in uids.items():
                    dataset = pydicom.dcmread(io.BytesIO(archive.read(name)))
                    self.assertEqual(dataset.SOPInstanceUID, uid)
