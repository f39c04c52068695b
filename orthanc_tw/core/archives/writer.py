"""Members of a plan into a ZIP: several deflated at once, written in their order.

Blocking code for threads, and nothing of Twisted. A `Window` is a run of small members
that as many threads as wanted share out among themselves; a `LargeMember` is written by
one, a part at a time, so that no member is ever whole in memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import BinaryIO, Protocol

from orthanc_tw.core.archives.output import ArchiveOutput
from orthanc_tw.core.archives.plan import Member
from orthanc_tw.core.zip.deflate import DeflatedMember, MemberReader, deflate_member
from orthanc_tw.core.zip.ledger import ZipLedger
from orthanc_tw.core.zip.records import DEFLATED
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import Compression

OpenFile = Callable[[str, Compression], BinaryIO]


class MediaDirectory(Protocol):
    """The DICOMDIR of a media archive; see `orthanc_tw.core.archives.media`."""

    def read_header(self, source: BinaryIO) -> object:
        """What `add` needs of one instance. Several threads at once."""
        ...

    def add(self, member: Member, header: object) -> None:
        """Called in the order of the members. One thread at a time."""
        ...

    def content(self) -> bytes:
        """The file."""
        ...


class ArchiveWriter:
    """One archive that is being written. Its methods are for one thread at a time.

    :ivar ledger: what was written so far
    """

    def __init__(
        self,
        open_file: OpenFile,
        output: ArchiveOutput,
        ledger: ZipLedger,
        media: MediaDirectory | None = None,
    ) -> None:
        self._open_file = open_file
        self._output = output
        self._media = media
        self._digest = hashlib.sha256()
        self.ledger = ledger

    @property
    def digest(self) -> str:
        """Names and files that were written so far: tells an equal beginning of a plan."""
        return self._digest.copy().hexdigest()

    def redirect(self, output: ArchiveOutput) -> None:
        """Write elsewhere from now on; what was written until now is there already."""
        self._output = output

    def recall(self, members: Sequence[Member]) -> None:
        """Take note of members that an earlier run wrote.

        :raises OrthancError: as reading them does
        """
        for member in members:
            header = None
            if self._media is not None:
                with open_member(self._open_file, member) as source:
                    header = self._media.read_header(source)
            self._note(member, header)

    def window(self, members: Sequence[Member]) -> Window:
        """Small members, to be written next."""
        return Window(self, members)

    def large(self, member: Member) -> LargeMember:
        """A member to be written next in parts."""
        return LargeMember(self, member)

    def finish(self) -> None:
        """Write the DICOMDIR, if there is one, and the central directory.

        :raises OrthancError: as `ArchiveOutput.write`
        """
        if self._media is not None:
            content = self._media.content()
            reader = MemberReader(BytesIO(content), len(content), deflate=True)
            data = reader.read(len(content) + 1)
            header = self.ledger.add(b"DICOMDIR", DEFLATED, reader.crc, reader.size, data)
            self._output.write([header, *data])
        self._output.write(self.ledger.finish())

    def _read(self, member: Member) -> tuple[DeflatedMember, object]:
        with open_member(self._open_file, member) as source:
            data = deflate_member(source, member.size_bytes, deflate=member.is_deflated)
            return data, self._read_header(source)

    def _read_header(self, source: BinaryIO) -> object:
        if self._media is None:
            return None
        source.seek(0)
        return self._media.read_header(source)

    def _write(self, member: Member, read: tuple[DeflatedMember, object]) -> None:
        data, header = read
        local = self.ledger.add(member.name, data.method, data.crc, data.size, data.data)
        self._output.write([local, *data.data])
        self._note(member, header)

    def _note(self, member: Member, header: object) -> None:
        if self._media is not None:
            self._media.add(member, header)
        self._digest.update(b"%b\0%b\0" % (member.name, member.uuid.encode("ascii")))


class Window:
    """A run of members; `work` is called by one or more threads, then `done` and `error` tell.

    :ivar members: in the order in which they are written
    :ivar done: how many of ``members`` were written
    :ivar error: what stopped it at ``members[done]``, or None if all were written
    """

    def __init__(self, writer: ArchiveWriter, members: Sequence[Member]) -> None:
        self.members = members
        self.done = 0
        self.error: Exception | None = None
        self._writer = writer
        self._lock = threading.Lock()
        self._next = 0
        self._end = len(members)
        self._read: dict[int, tuple[DeflatedMember, object] | Exception] = {}

    def work(self) -> None:
        """Deflate members until none is left. Never raises."""
        while True:
            with self._lock:
                index = self._next
                if index >= self._end:
                    return
                self._next += 1
            try:
                read: tuple[DeflatedMember, object] | Exception = self._writer._read(
                    self.members[index]
                )
            except Exception as error:
                read = error
            with self._lock:
                self._read[index] = read
                self._write_ready()

    def _write_ready(self) -> None:
        while self.done in self._read and self.error is None:
            read = self._read.pop(self.done)
            if isinstance(read, Exception):
                self.error = read
            else:
                try:
                    self._writer._write(self.members[self.done], read)
                except Exception as error:
                    self.error = error
                else:
                    self.done += 1
            if self.error is not None:
                self._end = 0
                self._read.clear()


class LargeMember:
    """One member, written in parts by `work`.

    :ivar size_bytes: how much of it was read
    :ivar is_done: it is complete, and in the ledger
    """

    def __init__(self, writer: ArchiveWriter, member: Member) -> None:
        self._writer = writer
        self._member = member
        self._source: BinaryIO | None = None
        self.size_bytes = 0
        self.is_done = False

    def work(self, budget_bytes: int) -> None:
        """Read, deflate and write up to ``budget_bytes`` more of it.

        :raises OrthancError: CORRUPTED_FILE, or as `ArchiveOutput.write`
        :raises OSError: the file cannot be read
        """
        member, writer = self._member, self._writer
        output, ledger = writer._output, writer.ledger
        if self._source is None:
            self._source = open_member(writer._open_file, member)
            self._reader = MemberReader(self._source, member.size_bytes, deflate=member.is_deflated)
            self._begun = ledger.begin(
                member.name,
                self._reader.method,
                member.size_bytes,
                seekable=output.is_seekable,
            )
            output.write([self._begun.local_header()])
        reader = self._reader
        output.write(reader.read(budget_bytes))
        self.size_bytes = reader.size
        if not reader.is_done:
            return
        header = writer._read_header(self._source)
        self.close()
        entry = ledger.end(self._begun, reader.crc, reader.size, reader.compressed_size)
        if output.is_seekable:
            output.patch(entry.offset, entry.local_header())
        else:
            output.write([entry.descriptor()])
        writer._note(member, header)
        self.is_done = True

    def close(self) -> None:
        """Close the source; harmless if it was called before."""
        if self._source is not None:
            self._source.close()


def open_member(open_file: OpenFile, member: Member) -> BinaryIO:
    """The DICOM file of a member.

    :raises FileNotFoundError: it is not there: deleted meanwhile, or lost
    :raises OSError: it cannot be read
    """
    try:
        return open_file(member.uuid, member.compression)
    except OrthancError as error:
        if error.code is ErrorCode.INEXISTENT_FILE:
            raise FileNotFoundError(member.uuid) from error
        raise
