"""The file of an archive job, or the response it goes to, and what one run writes into it.

How a member is written is `core.archives.writer`'s; here is in which thread, and where it goes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import gatherResults

from orthanc_tw.core.archives.media import DicomdirBuilder
from orthanc_tw.core.archives.output import ArchiveOutput, BufferOutput, FileOutput, write_file
from orthanc_tw.core.archives.plan import Member
from orthanc_tw.core.archives.writer import ArchiveWriter, LargeMember, Window
from orthanc_tw.core.zip.ledger import ZipLedger
from orthanc_tw.core.zip.partial import read_members, verify_member
from orthanc_tw.core.zip.records import Entry, dos_time
from orthanc_tw.jobs.interface import JobContext
from orthanc_tw.jobs.kinds.archive_settings import MEDIA, StreamTarget
from orthanc_tw.jobs.kinds.archive_transcoding import MemberTranscoder
from orthanc_tw.model.json_types import JsonObject

if TYPE_CHECKING:
    from orthanc_tw.jobs.kinds.archive import ArchiveKind

_FILE_NAME = "archive.zip"


class ArchiveWriting:
    """Of one run. Methods that do not say otherwise: reactor thread.

    :param target: where a stream goes, None for a file
    :param transcoding: opens what it has made in the place of what is stored
    :ivar path: of the file
    :ivar is_finished: the end of the ZIP is written
    :ivar durable: the file is durable up to there, bytes
    """

    def __init__(
        self,
        kind: ArchiveKind,
        parameters: Mapping[str, Any],
        context: JobContext,
        target: StreamTarget | None,
        transcoding: MemberTranscoder | None,
    ) -> None:
        self.path = os.path.join(context.folder, _FILE_NAME)
        self.is_finished = False
        self.durable = 0
        self._kind = kind
        self._settings = kind.settings
        self._parameters = parameters
        self._context = context
        self._target = target
        self._transcoding = transcoding
        self._writer: ArchiveWriter | None = None
        self._output: ArchiveOutput | None = None
        self._large: LargeMember | None = None

    @property
    def size_bytes(self) -> int:
        """Of what is written."""
        return 0 if self._writer is None else self._writer.ledger.offset

    @property
    def large_bytes(self) -> int:
        """How much was read of a large member that is under way."""
        return 0 if self._large is None else self._large.size_bytes

    @property
    def is_amid_member(self) -> bool:
        """Whether a large member is under way."""
        return self._large is not None

    def cursor(self, source_bytes: int) -> JsonObject | None:
        """What `resume` goes on from, None if nothing is written.

        :param source_bytes: size of the members that are written
        """
        writer = self._writer
        if writer is None:
            return None
        return {
            "Members": len(writer.ledger.entries),
            "Offset": writer.ledger.offset,
            "Digest": writer.digest,
            "Durable": self.durable,
            "Bytes": source_bytes,
        }

    def make_small(self, members: Sequence[Member]) -> Window:
        """In a thread: the whole file, or as much of it as there is before a member fails."""
        output = self._output = BufferOutput()
        writer = self._writer = self._new_writer(output, self._new_ledger())
        window = writer.window(members)
        window.work()
        self._context.make_folder()
        if window.error is None:
            writer.finish()
            write_file(self.path, output.take())
            self.is_finished = True
        else:
            # what comes next may be large
            self._output = FileOutput(self.path)
            self._output.write(output.take())
            writer.redirect(self._output)
        return window

    def resume(self, cursor: Mapping[str, Any], members: Sequence[Member]) -> str | None:
        """In a thread: take up what an earlier run wrote.

        :param members: those that it wrote
        :returns: why that cannot be, if it cannot; then nothing is written
        """
        offset = int(cursor["Offset"])
        try:
            entries = _read_back(self.path, cursor)
        except (OSError, ValueError) as error:
            return str(error)
        ledger = self._new_ledger()
        ledger.resume(entries, offset)
        writer = self._open(ledger, offset)
        writer.recall(members)
        if writer.digest != cursor["Digest"]:
            self.close()
            self._writer = None
            return "its resources are not what they were"
        self.durable = int(cursor["Durable"])
        return None

    async def write(self, members: Sequence[Member], *, is_last: bool) -> Window:
        """Small members; if they are few, in one go with the end of the file if it follows."""
        if sum(member.size_bytes for member in members) <= self._settings.single_step_bytes:
            alone: Window = await self._context.in_thread(self._write_alone, members, is_last)
            return alone
        writer = await self._opened()
        window = writer.window(members)
        workers = min(self._settings.workers, len(members))
        await gatherResults(
            [self._context.in_thread(window.work) for _ in range(workers)],
            consumeErrors=True,
        )
        return window

    async def write_large(self, member: Member) -> Exception | None:
        """A part of a large member, see `is_amid_member`; returns why it cannot be read."""
        writer = await self._opened()
        if self._large is None:
            self._large = writer.large(member)
        settings = self._settings
        budget = settings.window_bytes if self._target is None else settings.stream_window_bytes
        try:
            await self._context.in_thread(self._large.work, budget)
        except Exception as error:
            self._large.close()
            self._large = None
            return error
        if self._large.is_done:
            self._large = None
        return None

    def make_durable(self) -> None:
        """In a thread."""
        assert self._output is not None and self._writer is not None
        self._output.sync()
        self.durable = self._writer.ledger.offset

    def finish(self) -> None:
        """In a thread: the end of the file."""
        writer = self._writer or self._open()
        writer.finish()
        if self._target is None:
            assert self._output is not None
            # the engine makes outputs durable before it says that the job has succeeded
            self._output.close()
        if self._transcoding is not None:
            self._transcoding.release()
        self.is_finished = True

    async def send(self) -> None:
        """Send what a step made, once the client has taken what the step before made.

        So the next window is deflated while this one is on its way.

        :raises OrthancError: as `StreamTarget.write`
        """
        assert self._target is not None and isinstance(self._output, BufferOutput)
        await self._target.drained()
        self._target.write(self._output.take())

    def close(self) -> None:
        """Close files; a partial ZIP stays for the cursor. Harmless if it was called before."""
        if self._large is not None:
            self._large.close()
        if self._output is not None:
            self._output.close()
        if self._transcoding is not None:
            self._transcoding.release()

    def _write_alone(self, members: Sequence[Member], is_last: bool) -> Window:
        writer = self._writer or self._open()
        window = writer.window(members)
        window.work()
        if window.error is None and is_last:
            self.finish()
        return window

    async def _opened(self) -> ArchiveWriter:
        if self._writer is None:
            await self._context.in_thread(self._open)
        assert self._writer is not None
        return self._writer

    def _open(self, ledger: ZipLedger | None = None, offset: int = 0) -> ArchiveWriter:
        if self._target is not None:
            self._output = BufferOutput()
        else:
            self._context.make_folder()
            self._output = FileOutput(self.path, offset)
        self._writer = self._new_writer(self._output, ledger or self._new_ledger())
        return self._writer

    def _new_ledger(self) -> ZipLedger:
        return ZipLedger(dos_time(self._kind.now()))

    def _new_writer(self, output: ArchiveOutput, ledger: ZipLedger) -> ArchiveWriter:
        media = None
        if self._kind.type_name == MEDIA:
            media = DicomdirBuilder(extended=bool(self._parameters["Extended"]))
        files = self._transcoding or self._kind
        return ArchiveWriter(files.open_file, output, ledger, media)


def _read_back(path: str, cursor: Mapping[str, Any]) -> list[Entry]:
    with open(path, "rb") as file:
        entries = read_members(file, int(cursor["Offset"]))
        for entry in entries:
            if entry.offset >= int(cursor["Durable"]):
                verify_member(file, entry)
    if len(entries) != int(cursor["Members"]):
        raise ValueError("Not as many members as the cursor says")
    return entries
