"""Sends DIMSE messages as P-DATA-TF of the size the peer takes (PS3.8 annex E).

A data set that is streamed is not interleaved with anything: what is sent meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Protocol

from twisted.internet.defer import Deferred, DeferredLock

from orthanc_tw.net.dimse import CommandSet, encode_command
from orthanc_tw.net.errors import AssociationAborted
from orthanc_tw.net.pdu import HEADER, IS_COMMAND, IS_LAST, P_DATA, PDV_HEADER

InThread = Callable[..., Deferred[Any]]

#: What is read of a file at a time, in bytes.
CHUNK_BYTES = 256 * 1024
# Header of the P-DATA-TF and of its one value.
_PDV_OVERHEAD = 6
_LARGEST_FRAGMENT = 128 * 1024 - _PDV_OVERHEAD

Pieces = Sequence["bytes | memoryview"]


class Link(Protocol):
    """The connection, as one who sends data sees it."""

    @property
    def can_send(self) -> bool:
        """Whether there is an association."""
        ...

    def write(self, pieces: Pieces) -> None:
        """Send."""
        ...

    def drained(self) -> Deferred[None]:
        """Fires when the peer has taken enough for more, or the association is over."""
        ...


def fragment_bytes(maximum_length: int) -> int:
    """The longest fragment for a peer with that Maximum Length (0: any), an even number."""
    if not maximum_length:
        return _LARGEST_FRAGMENT
    return min(maximum_length - _PDV_OVERHEAD, _LARGEST_FRAGMENT) & ~1


def fragments(
    context_id: int, data: bytes, longest: int, *, is_command: bool, is_last: bool
) -> list[bytes | memoryview]:
    """Data as P-DATA-TF, one value in each; nothing of it is copied."""
    control = IS_COMMAND if is_command else 0
    size = len(data)
    view = memoryview(data)
    pieces: list[bytes | memoryview] = []
    position = 0
    while True:
        after = min(position + longest, size)
        length = after - position
        last = IS_LAST if is_last and after == size else 0
        pieces.append(
            HEADER.pack(P_DATA, length + _PDV_OVERHEAD)
            + PDV_HEADER.pack(length + 2, context_id, control | last)
        )
        pieces.append(view[position:after])
        position = after
        if position >= size:
            return pieces


class MessageSender:
    """Sends the messages of one association.

    :param maximum_length: what the peer announced, bytes; 0: any
    :param in_thread: runs a function in a thread
    """

    def __init__(self, link: Link, maximum_length: int, in_thread: InThread) -> None:
        self._link = link
        self._longest = fragment_bytes(maximum_length)
        self._in_thread = in_thread
        self._waiting: list[list[bytes | memoryview]] | None = None
        self._streaming = DeferredLock()

    def send(self, context_id: int, command: CommandSet, dataset: bytes | None = None) -> None:
        """Send a message; what the association does not take any more is dropped."""
        pieces = self._command(context_id, command)
        if dataset is not None:
            pieces += fragments(context_id, dataset, self._longest, is_command=False, is_last=True)
        self._write(pieces)

    def drained(self) -> Deferred[None]:
        """Fires when the peer has taken enough for more."""
        return self._link.drained()

    async def stream(
        self, context_id: int, command: CommandSet, open_dataset: Callable[[], BinaryIO]
    ) -> None:
        """Send a message whose data set is read from a file, chunk by chunk, in threads.

        :param open_dataset: opens the file where its data set begins; called in a thread
        :raises AssociationAborted: if the association ended
        :raises OSError: and whatever else reading raises; a message that has begun cannot be
            ended then, so abort the association if `is_streaming`
        """
        size = max(CHUNK_BYTES // self._longest, 1) * self._longest

        def begin() -> tuple[BinaryIO, bytes, bool]:
            file = open_dataset()
            try:
                first = file.read(size)
                is_last = len(first) < size
            except BaseException:
                file.close()
                raise
            if is_last:
                file.close()
            return file, first, is_last

        file, chunk, is_last = await self._in_thread(begin)
        try:
            pieces = self._command(context_id, command)
            if is_last:
                pieces += self._data(context_id, chunk, is_last=True)
                self._write(pieces)
                return
            await self._streaming.acquire()
            try:
                await self._stream(context_id, pieces, file, chunk, size)
            finally:
                self._streaming.release()
        finally:
            if not is_last:
                file.close()

    async def _stream(
        self,
        context_id: int,
        pieces: list[bytes | memoryview],
        file: BinaryIO,
        chunk: bytes,
        size: int,
    ) -> None:
        self._waiting = []
        while True:
            following = await self._in_thread(file.read, size)
            pieces += self._data(context_id, chunk, is_last=not following)
            if not self._link.can_send:
                raise AssociationAborted("the association ended amid a data set")
            self._link.write(pieces)
            if not following:
                break
            pieces, chunk = [], following
            await self._link.drained()
        waiting, self._waiting = self._waiting, None
        for message in waiting:
            self._write(message)

    @property
    def is_streaming(self) -> bool:
        """Whether a data set has begun and is not all sent."""
        return self._waiting is not None

    def _command(self, context_id: int, command: CommandSet) -> list[bytes | memoryview]:
        encoded = encode_command(command)
        return fragments(context_id, encoded, self._longest, is_command=True, is_last=True)

    def _data(self, context_id: int, data: bytes, *, is_last: bool) -> list[bytes | memoryview]:
        return fragments(context_id, data, self._longest, is_command=False, is_last=is_last)

    def _write(self, pieces: list[bytes | memoryview]) -> None:
        if not self._link.can_send:
            return
        if self._waiting is not None:
            self._waiting.append(pieces)
        else:
            self._link.write(pieces)
