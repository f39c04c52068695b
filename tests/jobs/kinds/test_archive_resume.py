"""Archive and Media jobs: how they go on after a stop, and what changes under them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from typing import BinaryIO

from twisted.internet.defer import maybeDeferred

from orthanc_tw.jobs.interface import CHECKPOINT, JobContext
from orthanc_tw.jobs.kinds.archive import (
    ARCHIVE,
    MEDIA,
    ArchiveKind,
    ArchiveSettings,
)
from orthanc_tw.model.errors import ErrorCode
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.registries import Compression
from tests.jobs.kinds.archiving import MOMENT, STEPWISE, ArchiveTestCase


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
