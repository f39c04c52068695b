"""Archive and Media jobs, step by step: what they write, and what they send."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace

import pydicom

from orthanc_tw.jobs.interface import Job
from orthanc_tw.jobs.kinds.archive import (
    ARCHIVE,
    MEDIA,
    ArchiveSettings,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.jobs.kinds.archiving import STEPWISE, ArchiveTestCase, Target


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
