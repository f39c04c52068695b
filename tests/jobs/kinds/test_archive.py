"""Archive and Media jobs, step by step: what they write, and how they go on."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO

import pydicom
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.archives.plan import PlanRequest, measure_plan
from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext
from orthanc_tw.jobs.kinds.archive import (
    ARCHIVE,
    MEDIA,
    ArchiveKind,
    ArchiveSettings,
    archive_parameters,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression
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


class FileTests(ArchiveTestCase):
    def test_one_go(self) -> None:
        """A small archive is one step, and an output of the name that was asked for."""
        context = self.context()
        job = self.kind(settings=ArchiveSettings()).create(self.parameters(), None, context)
        steps = list(job.steps())
        self.assertEqual(len(steps), 1)
        self.successResultOf(steps[0])
        output = context.outputs["archive"]
        self.assertEqual((output.mime, output.filename), ("application/zip", "x.zip"))
        self.assert_complete(self.read())

    def test_content(self) -> None:
        """The public content before and after, as recorded."""
        parameters = self.parameters(Transcode="1.2.840.10008.1.2.1")
        job = self.kind().create(parameters, None, self.context())
        before = job.content()
        self.assertEqual((before["ArchiveSize"], before["InstancesCount"]), ("0", 7))
        self.finish(job)
        after = job.content()
        size = sum(map(len, self.index.files.values()))
        self.assertEqual(
            after,
            {
                "ArchiveSize": str(len(self.read())),
                "ArchiveSizeMB": 0,
                "Description": "REST API",
                "InstancesCount": 7,
                "UncompressedSize": str(size),
                "UncompressedSizeMB": 0,
                "Utf8": False,
                "Transcode": "1.2.840.10008.1.2.1",
            },
        )
        self.assertEqual(job.progress(), 1.0)

    def test_transcoding(self) -> None:
        """Every member is in the wanted syntax, large ones too; nothing is left of the files."""
        syntax = "1.2.840.10008.1.2"
        for settings in (STEPWISE, ArchiveSettings()):
            context = self.context()
            kind = self.kind(settings=settings)
            self.finish(kind.create(self.parameters(Transcode=syntax), None, context))
            self.assertEqual(context.failed_instances, {})
            with zipfile.ZipFile(io.BytesIO(self.read())) as archive:
                self.assertIsNone(archive.testzip())
                self.assertEqual(len(archive.namelist()), 7)
                for name in archive.namelist():
                    read = pydicom.dcmread(io.BytesIO(archive.read(name)), force=True)
                    self.assertEqual(read.file_meta.TransferSyntaxUID, syntax)

    def test_transcoding_that_shrinks(self) -> None:
        """Members that became smaller do not make room in a window for some that wait."""
        syntax = "1.2.840.10008.1.2.1.99"
        settings = replace(STEPWISE, large_member_bytes=1_000_000, window_bytes=60_000)
        job = self.kind(settings=settings).create(
            self.parameters(Transcode=syntax), None, self.context()
        )
        self.finish(job)
        with zipfile.ZipFile(io.BytesIO(self.read())) as archive:
            found = [pydicom.dcmread(io.BytesIO(archive.read(n))) for n in archive.namelist()]
        self.assertEqual([str(one.file_meta.TransferSyntaxUID) for one in found], [syntax] * 7)

    def test_what_cannot_be_transcoded_is_left_out(self) -> None:
        """The archive holds the others, and the job names what is missing."""
        context = self.context()
        parameters = self.parameters(Transcode="1.2.840.10008.1.2.4.50")
        broken = next(iter(self.index.files))
        self.index.files[broken] = b"no DICOM"
        self.finish(self.kind().create(parameters, None, context))
        with zipfile.ZipFile(io.BytesIO(self.read())) as archive:
            self.assertEqual(len(archive.namelist()) + len(context.failed_instances), 7)
        self.assertGreater(len(context.failed_instances), 0)

    def test_progress_never_falls(self) -> None:
        """It grows, also within a large member, and ends at 1."""
        job = self.kind(settings=STEPWISE).create(self.parameters(), None, self.context())
        seen = []
        for step in job.steps():
            self.successResultOf(step)
            seen.append(job.progress())
        self.assertEqual(seen, sorted(seen))
        self.assertGreater(len(set(seen)), 7)
        self.assertEqual(seen[-1], 1.0)

    def test_nothing(self) -> None:
        """No resources: a valid ZIP without members."""
        parameters = self.parameters(Resources=[], InstancesCount=0, UncompressedSize=0)
        self.finish(self.kind().create(parameters, None, self.context()))
        self.assertEqual(zipfile.ZipFile(io.BytesIO(self.read())).namelist(), [])

    def test_it_is_the_same_in_one_go_and_in_steps(self) -> None:
        """How it is divided into steps and threads changes neither members nor their order."""
        found = []
        for settings in (STEPWISE, ArchiveSettings(workers=1)):
            job = self.kind(settings=settings).create(self.parameters(), None, self.context())
            self.finish(job)
            self.assert_complete(self.read())
            with zipfile.ZipFile(io.BytesIO(self.read())) as archive:
                found.append([(info.filename, info.CRC) for info in archive.infolist()])
        self.assertEqual(*found)


class ResumeTests(ArchiveTestCase):
    def _steps(self, type_name: str) -> int:
        job = self.kind(type_name).create(self.parameters(), None, self.context())
        return sum(self.successResultOf(step) is not self for step in job.steps())

    def _stop_after(self, count: int, type_name: str, more: int = 0) -> JsonObject | None:
        """The cursor after ``count`` steps of a run that was killed ``more`` steps later."""
        job = self.kind(type_name).create(self.parameters(), None, self.context())
        cursor = None
        for number, step in enumerate(job.steps(), 1):
            self.successResultOf(step)
            if number == count:
                cursor = job.cursor()
            if number == count + more:
                break
        job.abandon()
        return cursor

    def _check_every_cursor(self, type_name: str) -> None:
        steps = self._steps(type_name)
        expected = self.read()
        self.assert_complete(expected, type_name == MEDIA)
        for count in range(1, steps):
            for more in (0, 2) if type_name == ARCHIVE else (count % 3,):
                cursor = self._stop_after(count, type_name, more)
                self.index.opened.clear()
                job = self.kind(type_name).create(self.parameters(), cursor, self.context())
                done = 0 if cursor is None else cursor["Members"]
                self.assertEqual(job.progress() > 0, done != 0)
                self.finish(job)
                self.assertEqual(self.read(), expected, (count, more))
                if cursor is not None and type_name == ARCHIVE:
                    done = cursor["Members"]
                    assert isinstance(done, int)
                    self.assertEqual(len(self.index.opened), 7 - done)

    def test_every_cursor_of_an_archive(self) -> None:
        """From any cursor, with anything written behind it, the same file comes out."""
        self._check_every_cursor(ARCHIVE)

    def test_every_cursor_of_a_media(self) -> None:
        """So it does with a DICOMDIR, which names all instances."""
        self._check_every_cursor(MEDIA)

    def test_what_is_damaged_is_done_again(self) -> None:
        """Power was lost: what was not durable yet is not trusted."""
        self._steps(ARCHIVE)
        expected = self.read()
        cursor = self._stop_after(4, ARCHIVE)
        assert cursor is not None
        durable, offset = cursor["Durable"], cursor["Offset"]
        assert isinstance(durable, int) and isinstance(offset, int)
        self.assertLess(durable, offset)
        path = os.path.join(self.folder, "archive.zip")
        damages: list[Callable[[bytes], bytes]] = [
            lambda data: data[: durable + 200] + bytes(50) + data[durable + 250 :],
            lambda data: data[: offset - 1],
            lambda data: b"",
        ]
        for damage in damages:
            self._stop_after(4, ARCHIVE)
            data = damage(self.read())
            with open(path, "wb") as file:
                file.write(data)
            self.finish(self.kind().create(self.parameters(), cursor, self.context()))
            self.assertEqual(self.read(), expected)
            os.remove(path)

    def test_another_content_starts_over(self) -> None:
        """An instance that was written is not there any more: the rest is right nevertheless."""
        cursor = self._stop_after(5, MEDIA)
        self.index.delete(self.ids[0])
        self.finish(self.kind(MEDIA).create(self.parameters(), cursor, self.context()))
        self.assert_complete(self.read(), media=True)

    def test_checkpoints(self) -> None:
        """From time to time what is written is made durable, and the engine told to save."""
        job = self.kind().create(self.parameters(), None, self.context())
        results = [self.successResultOf(step) for step in job.steps()]
        self.assertIn(CHECKPOINT, results)


class ChangedMeanwhileTests(ArchiveTestCase):
    def test_deleted_and_replaced(self) -> None:
        """An instance deleted after the plan was made is left out, a replaced one is replaced."""
        for settings in (STEPWISE, ArchiveSettings(single_step_bytes=0)):
            self.setUp()
            job = self.kind(settings=settings).create(self.parameters(), None, self.context())
            steps = job.steps()
            self.successResultOf(next(steps))
            self.index.delete(self.ids[1])
            self.index.delete(self.ids[6])
            old = self.index.resources[self.ids[2]].attachments[0].uuid
            self.index.put_file(self.ids[2], b"another")
            del self.index.files[old]
            for step in steps:
                self.successResultOf(step)
            self.assert_complete(self.read())

    def test_while_a_small_one_is_made(self) -> None:
        """In one go too: deleted ones are left out, a replaced one is replaced, even by a large
        one, which then is not held in memory but comes in steps.
        """
        index = self.index
        large = bytes(100_000)

        def change_then_open(uuid: str, compression: Compression) -> BinaryIO:
            if len(index.opened) == 1:
                index.delete(self.ids[6])
                old = index.resources[self.ids[2]].attachments[0].uuid
                index.put_file(self.ids[2], large)
                del index.files[old]
            return index.open_file(uuid, compression)

        settings = ArchiveSettings(large_member_bytes=30_000, window_bytes=8_000)
        kind = ArchiveKind(
            ARCHIVE,
            index,
            change_then_open,
            lambda: MOMENT,
            settings,  # type: ignore[arg-type]
        )
        self.finish(kind.create(self.parameters(), None, self.context()))
        self.assert_complete(self.read())
        with zipfile.ZipFile(io.BytesIO(self.read())) as archive:
            self.assertIn(len(large), [info.file_size for info in archive.infolist()])

    def test_a_study_that_has_grown(self) -> None:
        """More than what was measured at submission: it is made in steps after all."""
        settings = ArchiveSettings(single_step_bytes=2_000)
        parameters = self.parameters(UncompressedSize=1_000)
        job = self.kind(settings=settings).create(parameters, None, self.context())
        steps = 0
        for step in job.steps():
            self.successResultOf(step)
            steps += 1
        self.assertGreater(steps, 1)
        self.assert_complete(self.read())

    def test_a_lost_file(self) -> None:
        """A file that is not there though its row is: the job fails and says which."""
        for settings in (STEPWISE, ArchiveSettings()):
            for number in (0, 6):
                self.setUp()
                self.index.files.pop(self.index.resources[self.ids[number]].attachments[0].uuid)
                job = self.kind(settings=settings).create(self.parameters(), None, self.context())
                error = self.error(job)
                self.assertIs(error.code, ErrorCode.INEXISTENT_FILE)
                self.assertIn(self.ids[number], str(error.details))

    def test_a_file_that_was_cut(self) -> None:
        """A stored file that is shorter than its row says: CORRUPTED_FILE, with the instance."""
        uuid = self.index.resources[self.ids[6]].attachments[0].uuid
        self.index.files[uuid] = self.index.files[uuid][:-1]
        for settings in (STEPWISE, ArchiveSettings()):
            job = self.kind(settings=settings).create(self.parameters(), None, self.context())
            error = self.error(job)
            self.assertIs(error.code, ErrorCode.CORRUPTED_FILE)
            self.assertIn(self.ids[6], str(error.details))

    def test_no_place_for_the_file(self) -> None:
        """What cannot be written fails the job with the code of the output, not a member's."""
        with open(self.folder, "w"):
            pass
        context = JobContext("job", self.folder, lambda: None, maybeDeferred)
        error = self.error(self.kind().create(self.parameters(), None, context))
        self.assertIs(error.code, ErrorCode.CANNOT_WRITE_FILE)


class StreamTests(ArchiveTestCase):
    def _stream(self, target: Target, type_name: str = ARCHIVE) -> Job:
        parameters = self.parameters()
        parameters["__attachment__"] = target  # type: ignore[assignment]
        return self.kind(type_name).create(parameters, None, self.context())

    def test_it_is_sent_while_it_is_made(self) -> None:
        """The client gets a valid ZIP in parts, and no file is left."""
        for type_name in (ARCHIVE, MEDIA):
            target = Target()
            self.finish(self._stream(target, type_name))
            data = b"".join(target.chunks)
            self.assert_complete(data, type_name == MEDIA)
            self.assertLess(target.largest, len(data) / 2)
            self.assertFalse(os.path.exists(self.folder))

    def test_a_client_that_goes(self) -> None:
        """The job fails at its next part."""
        target = Target()
        job = self._stream(target)
        steps = job.steps()
        self.successResultOf(next(steps))
        self.successResultOf(next(steps))
        target.lost = True
        self.failureResultOf(next(steps), OrthancError)
        job.abandon()

    def test_what_was_sent_is_not_sent_again(self) -> None:
        """A second run (after a pause) fails before it writes."""
        target = Target()
        next(iter(self._stream(target).steps()))
        error = self.error(self._stream(target))
        self.assertIs(error.code, ErrorCode.BAD_SEQUENCE_OF_CALLS)

    def test_a_lost_file_does_not_end_well(self) -> None:
        """An error amid a stream leaves no end that would make it a valid ZIP."""
        self.index.files.pop(self.index.resources[self.ids[6]].attachments[0].uuid)
        target = Target()
        self.error(self._stream(target))
        self.assertGreater(len(target.chunks), 0)
        self.assertFalse(zipfile.is_zipfile(io.BytesIO(b"".join(target.chunks))))
