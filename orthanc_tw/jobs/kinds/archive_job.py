"""One run of a job ``Archive`` or ``Media``: its steps, its cursor, its public content.

Which members there are is `core.archives.plan`'s to say, how they are written that of
`core.archives.writer`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from orthanc_tw.core.archives.media import DicomdirBuilder
from orthanc_tw.core.archives.output import ArchiveOutput, BufferOutput, FileOutput, write_file
from orthanc_tw.core.archives.plan import Member, find_current, make_plan
from orthanc_tw.core.archives.writer import ArchiveWriter, LargeMember, Window
from orthanc_tw.core.zip.ledger import ZipLedger
from orthanc_tw.core.zip.partial import read_members, verify_member
from orthanc_tw.core.zip.records import dos_time
from orthanc_tw.jobs.interface import CHECKPOINT, JobContext, Output
from orthanc_tw.jobs.kinds.archive_parameters import plan_request
from orthanc_tw.jobs.kinds.archive_settings import MB, MEDIA, MIME, OUTPUT_KEY, StreamTarget
from orthanc_tw.jobs.kinds.archive_transcoding import MemberTranscoder
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject

if TYPE_CHECKING:
    from orthanc_tw.jobs.kinds.archive import ArchiveKind

_FILE_NAME = "archive.zip"

_log = Logger()


class ArchiveJob:
    """One run of one job. See `Job`."""

    def __init__(
        self,
        kind: ArchiveKind,
        parameters: JsonObject,
        cursor: JsonObject | None,
        context: JobContext,
    ) -> None:
        self._kind = kind
        self._settings = kind.settings
        self._context = context
        self._parameters = cast(dict[str, Any], parameters)
        self._target = cast("StreamTarget | None", parameters.get("__attachment__"))
        self._cursor = cast("dict[str, Any] | None", cursor)
        self._path = os.path.join(context.folder, _FILE_NAME)
        self._members: list[Member] | None = None
        self._next = 0
        self._bytes_done = 0 if self._cursor is None else int(self._cursor["Bytes"])
        self._bytes_durable = 0
        self._durable = 0
        self._bytes_total = int(self._parameters["UncompressedSize"])
        self._instances = int(self._parameters["InstancesCount"])
        self._writer: ArchiveWriter | None = None
        self._output: ArchiveOutput | None = None
        self._large: LargeMember | None = None
        self._is_finished = False
        self._transcoding = self._new_transcoding()
        self._prepared = 0

    def steps(self) -> Iterator[Deferred[Any]]:
        """Read the plan, then write members by the window, then the end of the file."""
        if self._is_small:
            yield self._context.in_thread(self._plan_and_make).addCallback(self._made)
        else:
            yield Deferred.fromCoroutine(self._begin())
        while not self._is_finished:
            yield Deferred.fromCoroutine(self._step())

    def progress(self) -> float:
        """Share of the source data that was written."""
        if self._is_finished:
            return 1.0
        large = 0 if self._large is None else self._large.size_bytes
        return min((self._bytes_done + large) / max(self._bytes_total, 1), 1.0)

    def cursor(self) -> JsonObject | None:
        """Members and bytes that are in the file, what they are, and how far it is durable."""
        return cast("JsonObject | None", self._cursor)

    def content(self) -> JsonObject:
        """As recorded: sizes in bytes are strings, those in MB whole numbers."""
        size = 0 if self._writer is None else self._writer.ledger.offset
        content: JsonObject = {
            "ArchiveSize": str(size),
            "ArchiveSizeMB": size // MB,
            "Description": self._parameters["Description"],
            "InstancesCount": self._instances,
            "UncompressedSize": str(self._bytes_total),
            "UncompressedSizeMB": self._bytes_total // MB,
            "Utf8": self._parameters["Utf8"],
        }
        for name in ("Transcode", "LossyQuality"):
            if name in self._parameters:
                content[name] = self._parameters[name]
        return content

    def abandon(self) -> None:
        """Close files; a partial ZIP stays for the cursor."""
        if self._large is not None:
            self._large.close()
        if self._output is not None:
            self._output.close()
        if self._transcoding is not None:
            self._transcoding.release()

    def _new_transcoding(self) -> MemberTranscoder | None:
        syntax = self._parameters.get("Transcode")
        if syntax is None:
            return None
        files = self._kind.transcoder
        if files is None:
            raise OrthancError(ErrorCode.NOT_IMPLEMENTED, "Transcode: nothing transcodes here")
        return MemberTranscoder(
            files,
            files.to(syntax, self._parameters.get("LossyQuality")),
            self._kind.open_file,
            self._context.failed_instances,
        )

    def _take_plan(self, members: list[Member]) -> None:
        self._members = members
        self._instances = len(members)
        self._bytes_total = sum(member.size_bytes for member in members)

    @property
    def _is_small(self) -> bool:
        """Whether the file is made in memory and written at once."""
        return (
            self._target is None
            and self._cursor is None
            and self._transcoding is None
            and self._bytes_total <= self._settings.single_step_bytes
        )

    def _plan_and_make(self) -> Window | None:
        """In a thread: the whole file, or as much of it as there is before a member fails.

        None, and only the plan, if the resources have grown meanwhile.
        """
        request = plan_request(self._parameters, media=self._kind.type_name == MEDIA)
        members = self._kind.index.read_in_thread(lambda tx: make_plan(tx, request))
        self._take_plan(members)
        if not self._is_small:
            return None
        output = self._output = BufferOutput()
        writer = self._writer = self._new_writer(output, ZipLedger(dos_time(self._kind.now())))
        window = writer.window(members)
        window.work()
        self._context.make_folder()
        if window.error is None:
            writer.finish()
            write_file(self._path, output.take())
            self._is_finished = True
        else:
            # what comes next may be large
            self._output = FileOutput(self._path)
            self._output.write(output.take())
            writer.redirect(self._output)
        return window

    def _made(self, window: Window | None) -> Deferred[None] | None:
        if window is None:
            return Deferred.fromCoroutine(self._begin())
        self._next = window.done
        if window.error is None:
            self._bytes_done = self._bytes_total
            self._offer()
            return None
        assert self._members is not None
        self._bytes_done = sum(member.size_bytes for member in self._members[: self._next])
        return Deferred.fromCoroutine(self._take_up(self._members[self._next], window.error))

    async def _begin(self) -> None:
        if self._members is None:
            request = plan_request(self._parameters, media=self._kind.type_name == MEDIA)
            self._take_plan(await self._kind.index.read(lambda tx: make_plan(tx, request)))
        if self._target is not None and not self._target.claim():
            raise OrthancError(
                ErrorCode.BAD_SEQUENCE_OF_CALLS, "An archive that is being sent cannot go on"
            )
        if self._cursor is not None and self._target is None:
            if self._transcoding is None:
                await self._context.in_thread(self._resume, self._cursor)
            else:
                # What was left out is not in the plan, nor are the sizes of what was transcoded
                self._start_over()
        elif self._bytes_total <= self._settings.single_step_bytes:
            await self._step()

    def _open(self, ledger: ZipLedger | None = None, offset: int = 0) -> ArchiveWriter:
        """In a thread, but for a stream."""
        if self._target is not None:
            self._output = BufferOutput()
        else:
            self._context.make_folder()
            self._output = FileOutput(self._path, offset)
        self._writer = self._new_writer(
            self._output, ledger or ZipLedger(dos_time(self._kind.now()))
        )
        return self._writer

    def _new_writer(self, output: ArchiveOutput, ledger: ZipLedger) -> ArchiveWriter:
        media = None
        if self._kind.type_name == MEDIA:
            media = DicomdirBuilder(extended=bool(self._parameters["Extended"]))
        files = self._transcoding or self._kind
        return ArchiveWriter(files.open_file, output, ledger, media)

    def _resume(self, cursor: dict[str, Any]) -> None:
        """In a thread: take up what an earlier run wrote, or start over if that is not there."""
        assert self._members is not None
        count, offset = int(cursor["Members"]), int(cursor["Offset"])
        ledger = ZipLedger(dos_time(self._kind.now()))
        try:
            with open(self._path, "rb") as file:
                entries = read_members(file, offset)
                for entry in entries:
                    if entry.offset >= int(cursor["Durable"]):
                        verify_member(file, entry)
            if len(entries) != count:
                raise ValueError("Not as many members as the cursor says")
        except (OSError, ValueError) as error:
            _log.warn("Job {job_id} starts over: {error}", job_id=self._context.job_id, error=error)
            self._start_over()
            return
        ledger.resume(entries, offset)
        writer = self._open(ledger, offset)
        writer.recall(self._members[:count])
        if writer.digest != cursor["Digest"]:
            _log.warn(
                "Job {job_id} starts over: its resources are not what they were",
                job_id=self._context.job_id,
            )
            self.abandon()
            self._start_over()
            return
        self._next = count
        self._bytes_done = sum(member.size_bytes for member in self._members[:count])
        self._bytes_durable, self._durable = self._bytes_done, int(cursor["Durable"])

    def _start_over(self) -> None:
        self._cursor = self._writer = None
        self._bytes_done = 0

    async def _step(self) -> object:
        """Write what comes next."""
        assert self._members is not None
        while (
            self._transcoding is not None
            and self._large is None
            and self._prepared <= self._next < len(self._members)
        ):
            await self._prepare(self._transcoding)
        if self._next == len(self._members):
            await self._context.in_thread(self._finish)
            await self._hand_over()
            return None
        if self._members[self._next].size_bytes >= self._settings.large_member_bytes:
            await self._write_large(self._members[self._next])
        else:
            # What was transcoded is smaller than it was, and so would be more of a window.
            end = None if self._transcoding is None else self._prepared
            await self._write_window(self._window(end))
        if self._is_finished:
            await self._hand_over()
            return None
        if self._target is not None:
            await self._send()
            return None
        if self._large is not None:
            return None
        is_checkpoint = self._bytes_done - self._bytes_durable >= self._settings.checkpoint_bytes
        if is_checkpoint:
            await self._context.in_thread(self._make_durable)
        self._remember()
        return CHECKPOINT if is_checkpoint else None

    async def _prepare(self, transcoding: MemberTranscoder) -> None:
        """Transcode the members of the next window."""
        assert self._members is not None
        window = self._window() or [self._members[self._next]]
        end = self._next + len(window)
        ready = await transcoding.prepare(window)
        self._members[self._next : end] = ready
        self._prepared = self._next + len(ready)

    def _window(self, end: int | None = None) -> list[Member]:
        """The members to write next, all before ``end``; none if the next one is large."""
        assert self._members is not None
        end = self._next + 1024 if end is None else end
        settings = self._settings
        limit = settings.window_bytes if self._target is None else settings.stream_window_bytes
        window: list[Member] = []
        size = 0
        for member in self._members[self._next : end]:
            if member.size_bytes >= settings.large_member_bytes:
                break
            window.append(member)
            size += member.size_bytes
            if size >= limit:
                break
        return window

    async def _write_window(self, members: list[Member]) -> None:
        in_one_go = sum(member.size_bytes for member in members) <= (
            self._settings.single_step_bytes
        )
        if in_one_go:
            window = await self._context.in_thread(self._work_alone, members)
        else:
            if self._writer is None:
                await self._context.in_thread(self._open)
            assert self._writer is not None
            window = self._writer.window(members)
            workers = min(self._settings.workers, len(members))
            await gatherResults(
                [self._context.in_thread(window.work) for _ in range(workers)],
                consumeErrors=True,
            )
        self._next += window.done
        self._bytes_done += sum(member.size_bytes for member in members[: window.done])
        if window.error is not None:
            await self._take_up(members[window.done], window.error)

    def _work_alone(self, members: list[Member]) -> Window:
        """In a thread: a small window, and the end of the file if nothing else comes."""
        assert self._members is not None
        writer = self._writer or self._open()
        window = writer.window(members)
        window.work()
        if window.error is None and self._next + window.done == len(self._members):
            self._finish()
        return window

    async def _write_large(self, member: Member) -> None:
        if self._writer is None:
            await self._context.in_thread(self._open)
        assert self._writer is not None
        settings = self._settings
        budget = settings.window_bytes if self._target is None else settings.stream_window_bytes
        if self._large is None:
            self._large = self._writer.large(member)
        try:
            await self._context.in_thread(self._large.work, budget)
        except Exception as error:
            self._large.close()
            self._large = None
            await self._take_up(member, error)
            return
        if self._large.is_done:
            self._large = None
            self._next += 1
            self._bytes_done += member.size_bytes

    async def _take_up(self, member: Member, error: Exception) -> None:
        """After a member that could not be read: go on if it was deleted or replaced meanwhile.

        :raises OrthancError: it is still to be there, or the error is another
        """
        assert self._members is not None
        if isinstance(error, OrthancError):
            if error.code in (ErrorCode.FULL_STORAGE, ErrorCode.CANNOT_WRITE_FILE):
                raise error
            details = "" if error.details is None else f": {error.details}"
            raise OrthancError(error.code, f"Instance {member.public_id}{details}") from error
        if not isinstance(error, FileNotFoundError):
            if isinstance(error, OSError):
                raise OrthancError(
                    ErrorCode.CORRUPTED_FILE,
                    f"Cannot read instance {member.public_id}: {error.strerror}",
                ) from error
            raise error
        current = await self._kind.index.read(lambda tx: find_current(tx, member))
        if current is None:
            _log.warn(
                "An instance was deleted after job {job_id} was submitted: {public_id}",
                job_id=self._context.job_id,
                public_id=member.public_id,
            )
            del self._members[self._next]
            self._prepared -= 1
        elif current.uuid == member.uuid:
            raise OrthancError(
                ErrorCode.INEXISTENT_FILE,
                f"The file of instance {member.public_id} is missing in the storage area",
            ) from error
        else:
            self._members[self._next] = current
            self._prepared = self._next

    def _make_durable(self) -> None:
        """In a thread."""
        assert self._output is not None and self._writer is not None
        self._output.sync()
        self._bytes_durable, self._durable = self._bytes_done, self._writer.ledger.offset

    def _remember(self) -> None:
        """Let another run go on from here."""
        if self._writer is not None:
            self._cursor = {
                "Members": len(self._writer.ledger.entries),
                "Offset": self._writer.ledger.offset,
                "Digest": self._writer.digest,
                "Durable": self._durable,
                "Bytes": self._bytes_done,
            }

    def _finish(self) -> None:
        """In a thread: the end of the file."""
        writer = self._writer or self._open()
        writer.finish()
        if self._target is None:
            assert self._output is not None
            # the engine makes outputs durable before it says that the job has succeeded
            self._output.close()
        if self._transcoding is not None:
            self._transcoding.release()
        self._is_finished = True

    def _offer(self) -> None:
        self._context.outputs[OUTPUT_KEY] = Output(
            self._path, MIME, str(self._parameters["Filename"])
        )

    async def _hand_over(self) -> None:
        """The last step of all: what is left to be sent, or the file as the job's output."""
        if self._target is not None:
            await self._send()
        else:
            self._offer()

    async def _send(self) -> None:
        """Send what a step made, once the client has taken what the step before made.

        So the next window is deflated while this one is on its way.
        """
        assert self._target is not None and isinstance(self._output, BufferOutput)
        await self._target.drained()
        self._target.write(self._output.take())
