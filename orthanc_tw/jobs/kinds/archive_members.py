"""The members that an archive is still to get: the next ones, transcoded if that is wanted.

A member may be deleted or replaced between the plan and its turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from orthanc_tw.core.archives.plan import Member, find_current
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.kinds.archive_transcoding import MemberTranscoder
from orthanc_tw.model.errors import ErrorCode, OrthancError

_MOST = 1024


class MemberQueue:
    """The members of one run, and which of them is next. One thread at a time.

    :param members: the plan; changed in place
    :param window_bytes: how much is written in one step
    :param large_bytes: a member of this size is no part of a window
    :param transcoding: what transcodes them, window by window; None if nothing does
    """

    def __init__(
        self,
        members: list[Member],
        *,
        window_bytes: int,
        large_bytes: int,
        transcoding: MemberTranscoder | None,
    ) -> None:
        self._members = members
        self._window_bytes = window_bytes
        self._large_bytes = large_bytes
        self._transcoding = transcoding
        self._next = 0
        # Those before it are as the transcoding has made them.
        self._prepared = 0

    @property
    def is_over(self) -> bool:
        """Whether all are written."""
        return self._next == len(self._members)

    @property
    def current(self) -> Member:
        """The next one."""
        return self._members[self._next]

    @property
    def is_large(self) -> bool:
        """Whether the next one is to be written by itself, in parts."""
        return self.current.size_bytes >= self._large_bytes

    def first(self, count: int) -> Sequence[Member]:
        """So many from the beginning of the plan."""
        return self._members[:count]

    def advance(self, count: int) -> int:
        """The next ones are written; returns their size in bytes."""
        written = self._members[self._next : self._next + count]
        self._next += len(written)
        return sum(member.size_bytes for member in written)

    def ends_with(self, window: Sequence[Member]) -> bool:
        """Whether nothing follows these, which are next."""
        return self._next + len(window) == len(self._members)

    def drop(self) -> None:
        """The next one was deleted."""
        del self._members[self._next]
        self._prepared -= 1

    def replace(self, member: Member) -> None:
        """The next one is another now."""
        self._members[self._next] = member
        self._prepared = self._next

    def window(self) -> Sequence[Member]:
        """The members to write next; none if the first of them is large."""
        # What was transcoded is smaller than it was, and so would be more of a window.
        return self._window(self._next + _MOST if self._transcoding is None else self._prepared)

    async def prepare(self) -> None:
        """Transcode those that come next, if that is wanted and not done. Reactor thread.

        What cannot be transcoded is left out.

        :raises OrthancError: as `MemberTranscoder.prepare`
        """
        if self._transcoding is None:
            return
        while self._prepared <= self._next < len(self._members):
            window = self._window(self._next + _MOST) or [self.current]
            end = self._next + len(window)
            ready = await self._transcoding.prepare(window)
            self._members[self._next : end] = ready
            self._prepared = self._next + len(ready)

    def _window(self, end: int) -> list[Member]:
        window: list[Member] = []
        size = 0
        for member in self._members[self._next : end]:
            if member.size_bytes >= self._large_bytes:
                break
            window.append(member)
            size += member.size_bytes
            if size >= self._window_bytes:
                break
        return window


async def as_it_is_now(index: Index, member: Member, error: Exception) -> Member | None:
    """A member that could not be read: None if it was deleted meanwhile, or what replaced it.

    :raises OrthancError: it is still to be there, or the error is another
    """
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
    current = await index.read(lambda tx: find_current(tx, member))
    if current is not None and current.uuid == member.uuid:
        raise OrthancError(
            ErrorCode.INEXISTENT_FILE,
            f"The file of instance {member.public_id} is missing in the storage area",
        ) from error
    return current
