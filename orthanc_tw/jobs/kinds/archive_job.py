"""One run of a job ``Archive`` or ``Media``: its steps, its cursor, its public content.

Which members there are is `core.archives.plan`'s to say, which are next that of
`archive_members`, how they are written that of `archive_writing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from orthanc_tw.core.archives.plan import Member, make_plan
from orthanc_tw.core.archives.writer import Window
from orthanc_tw.index.gateway import ReadTransaction
from orthanc_tw.jobs.interface import CHECKPOINT, JobContext, Output
from orthanc_tw.jobs.kinds.archive_members import MemberQueue, as_it_is_now
from orthanc_tw.jobs.kinds.archive_parameters import plan_request
from orthanc_tw.jobs.kinds.archive_settings import MB, MEDIA, MIME, OUTPUT_KEY, StreamTarget
from orthanc_tw.jobs.kinds.archive_transcoding import MemberTranscoder
from orthanc_tw.jobs.kinds.archive_writing import ArchiveWriting
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject

if TYPE_CHECKING:
    from orthanc_tw.jobs.kinds.archive import ArchiveKind

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
        self._queue: MemberQueue | None = None
        self._bytes_done = 0 if self._cursor is None else int(self._cursor["Bytes"])
        self._bytes_durable = 0
        self._bytes_total = int(self._parameters["UncompressedSize"])
        self._instances = int(self._parameters["InstancesCount"])
        self._transcoding = self._new_transcoding()
        self._writing = ArchiveWriting(
            kind, self._parameters, context, self._target, self._transcoding
        )

    def steps(self) -> Iterator[Deferred[Any]]:
        """Read the plan, then write members by the window, then the end of the file."""
        if self._is_small:
            yield self._context.in_thread(self._plan_and_make).addCallback(self._made)
        else:
            yield Deferred.fromCoroutine(self._begin())
        while not self._writing.is_finished:
            yield Deferred.fromCoroutine(self._step())

    def progress(self) -> float:
        """Share of the source data that was written."""
        if self._writing.is_finished:
            return 1.0
        written = self._bytes_done + self._writing.large_bytes
        return min(written / max(self._bytes_total, 1), 1.0)

    def cursor(self) -> JsonObject | None:
        """Members and bytes that are in the file, what they are, and how far it is durable."""
        return cast("JsonObject | None", self._cursor)

    def content(self) -> JsonObject:
        """As recorded: sizes in bytes are strings, those in MB whole numbers."""
        size = self._writing.size_bytes
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
        self._writing.close()

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

    # The plan

    def _plan(self, tx: ReadTransaction) -> list[Member]:
        return make_plan(tx, plan_request(self._parameters, media=self._kind.type_name == MEDIA))

    def _take_plan(self, members: list[Member]) -> MemberQueue:
        settings = self._settings
        self._instances = len(members)
        self._bytes_total = sum(member.size_bytes for member in members)
        self._queue = MemberQueue(
            members,
            window_bytes=(
                settings.window_bytes if self._target is None else settings.stream_window_bytes
            ),
            large_bytes=settings.large_member_bytes,
            transcoding=self._transcoding,
        )
        return self._queue

    # A small archive, in one step

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
        """In a thread: None, and only the plan, if the resources have grown meanwhile."""
        members = self._kind.index.read_in_thread(self._plan)
        self._take_plan(members)
        return self._writing.make_small(members) if self._is_small else None

    def _made(self, window: Window | None) -> Deferred[None] | None:
        if window is None:
            return Deferred.fromCoroutine(self._begin())
        assert self._queue is not None
        self._bytes_done = self._queue.advance(window.done)
        if window.error is None:
            self._offer()
            return None
        return Deferred.fromCoroutine(self._take_up(self._queue, window.error))

    # Any other

    async def _begin(self) -> None:
        queue = self._queue or self._take_plan(await self._kind.index.read(self._plan))
        if self._target is not None and not self._target.claim():
            raise OrthancError(
                ErrorCode.BAD_SEQUENCE_OF_CALLS, "An archive that is being sent cannot go on"
            )
        if self._cursor is not None and self._target is None:
            if self._transcoding is None:
                await self._resume(queue, self._cursor)
            else:
                # What was left out is not in the plan, nor are the sizes of what was transcoded
                self._start_over()
        elif self._bytes_total <= self._settings.single_step_bytes:
            await self._step()

    async def _resume(self, queue: MemberQueue, cursor: dict[str, Any]) -> None:
        """Take up what an earlier run wrote, or start over if that is not there."""
        count = int(cursor["Members"])
        reason = await self._context.in_thread(self._writing.resume, cursor, queue.first(count))
        if reason is not None:
            _log.warn(
                "Job {job_id} starts over: {reason}", job_id=self._context.job_id, reason=reason
            )
            self._start_over()
            return
        self._bytes_done = self._bytes_durable = queue.advance(count)

    def _start_over(self) -> None:
        self._cursor = None
        self._bytes_done = 0

    async def _step(self) -> object:
        """Write what comes next."""
        queue, writing = self._queue, self._writing
        assert queue is not None
        if not writing.is_amid_member:
            await queue.prepare()
        if queue.is_over:
            await self._context.in_thread(writing.finish)
        elif queue.is_large:
            await self._write_large(queue)
        else:
            await self._write_window(queue)
        if self._target is not None:
            await writing.send()
            return None
        if writing.is_finished:
            self._offer()
            return None
        if writing.is_amid_member:
            return None
        is_checkpoint = self._bytes_done - self._bytes_durable >= self._settings.checkpoint_bytes
        if is_checkpoint:
            await self._context.in_thread(writing.make_durable)
            self._bytes_durable = self._bytes_done
        self._cursor = cast("dict[str, Any] | None", writing.cursor(self._bytes_done))
        return CHECKPOINT if is_checkpoint else None

    async def _write_window(self, queue: MemberQueue) -> None:
        members = queue.window()
        window = await self._writing.write(members, is_last=queue.ends_with(members))
        self._bytes_done += queue.advance(window.done)
        if window.error is not None:
            await self._take_up(queue, window.error)

    async def _write_large(self, queue: MemberQueue) -> None:
        error = await self._writing.write_large(queue.current)
        if error is not None:
            await self._take_up(queue, error)
        elif not self._writing.is_amid_member:
            self._bytes_done += queue.advance(1)

    async def _take_up(self, queue: MemberQueue, error: Exception) -> None:
        """After a member that could not be read: go on if it was deleted or replaced meanwhile.

        :raises OrthancError: it is still to be there, or the error is another
        """
        member = queue.current
        now = await as_it_is_now(self._kind.index, member, error)
        if now is None:
            _log.warn(
                "An instance was deleted after job {job_id} was submitted: {public_id}",
                job_id=self._context.job_id,
                public_id=member.public_id,
            )
            queue.drop()
        else:
            queue.replace(now)

    def _offer(self) -> None:
        self._context.outputs[OUTPUT_KEY] = Output(
            self._writing.path, MIME, str(self._parameters["Filename"])
        )
