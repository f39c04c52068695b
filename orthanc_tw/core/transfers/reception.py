"""What is being received, on disk: a plan, the bytes, and which buckets are there.

A folder with the plan (durable before anything is received), one file with all instances behind
one another, and a journal with a line for each bucket that was written. All methods block, and may
be called in several threads at once.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import BinaryIO

from orthanc_tw.core.transfers.buckets import Bucket, TransferInstance
from orthanc_tw.core.transfers.plan import lost, read_plan, write_plan
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.storage.interface import Spool
from orthanc_tw.storage.spool import storage_error, write_all

_DATA = "data"
_JOURNAL = "buckets.journal"
_READ_BYTES = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way of saying that there is a gzip header


class Reception:
    """The folder of a transfer that comes in.

    :ivar instances: what will be stored
    :ivar buckets: what it travels in
    :param folder: of this transfer alone
    :param sync: whether a bucket is durable when `write` returns
    """

    def __init__(
        self,
        folder: str,
        instances: Sequence[TransferInstance],
        buckets: Sequence[Bucket],
        *,
        sync: bool,
    ) -> None:
        self.folder = folder
        self.instances = instances
        self.buckets = buckets
        self._sync = sync
        sizes = accumulate((one.size_bytes for one in instances), initial=0)
        self._starts = list(sizes)
        self._done: set[int] = set()
        self._received_bytes = 0
        self._lock = threading.Lock()
        self._data = -1
        self._journal = -1

    @property
    def size_bytes(self) -> int:
        """Of all instances."""
        return self._starts[-1]

    @property
    def received_bytes(self) -> int:
        """Of the buckets that are there. Any thread."""
        return self._received_bytes

    @classmethod
    def create(
        cls,
        folder: str,
        instances: Sequence[TransferInstance],
        buckets: Iterable[Bucket],
        *,
        sync: bool,
    ) -> Reception:
        """Begin: reserve the space, make the plan durable.

        :param buckets: made when the space is there: of a size that was made up there are too many
        :raises OrthancError: FULL_STORAGE if there is no space for all of it
        """
        reception = cls(folder, instances, (), sync=sync)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, _JOURNAL))
            reception._open()
            reception._reserve()
            reception.buckets = list(buckets)
            write_plan(folder, instances, reception.buckets)
        except BaseException as error:
            reception.close()
            # What was reserved of it is missing elsewhere.
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, _DATA))
            if isinstance(error, OSError):
                raise storage_error(error) from error
            raise
        return reception

    @classmethod
    def open(cls, folder: str, *, sync: bool) -> Reception:
        """Go on with what was begun.

        :raises OrthancError: INEXISTENT_FILE if there is nothing
        """
        try:
            instances, buckets = read_plan(folder)
            with open(os.path.join(folder, _JOURNAL), "rb") as file:
                noted = file.read()
        except FileNotFoundError:
            raise lost() from None
        reception = cls(folder, instances, buckets, sync=sync)
        # A last line that is not whole: the process was killed amid it.
        whole = noted[: noted.rfind(b"\n") + 1]
        for line in whole.splitlines():
            (reception._done.add if line[:1] == b"+" else reception._done.discard)(int(line[1:]))
        reception._received_bytes = sum(buckets[number].size_bytes for number in reception._done)
        reception._open()
        if len(whole) < len(noted):  # that it was opened is nothing to note in its times
            os.ftruncate(reception._journal, len(whole))
        return reception

    def missing(self) -> list[int]:
        """Numbers of the buckets that are not there."""
        return [number for number in range(len(self.buckets)) if number not in self._done]

    def has(self, number: int) -> bool:
        """Whether a bucket is there. Any thread; does not block."""
        return number in self._done

    def write(self, number: int, body: BinaryIO, *, compressed: bool) -> int:
        """Write a bucket; a second time does no harm. Returns its size in bytes.

        :param body: at its start
        :param compressed: whether it is gzip
        :raises OrthancError: UNKNOWN_RESOURCE, NETWORK_PROTOCOL if its size is another one,
            FULL_STORAGE
        """
        if not 0 <= number < len(self.buckets):
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE, f"There is no bucket {number}")
        bucket = self.buckets[number]
        # The chunks of a bucket follow one another in the file unless a peer has its own mind.
        pieces = _inflated(body, bucket.size_bytes) if compressed else _read(body)
        try:
            self._scatter(bucket, pieces)
            if self._sync:
                os.fdatasync(self._data)
            self._note(number, done=True)
        except OSError as error:
            raise storage_error(error) from error
        return bucket.size_bytes

    def is_right(self, instance: int) -> bool:
        """Whether what is there of an instance has its MD5."""
        digest = hashlib.md5(usedforsecurity=False)
        for data in self._pieces(instance):
            digest.update(data)
        return digest.hexdigest() == self.instances[instance].md5

    def forget(self, instances: Iterable[int]) -> None:
        """The buckets with any of these instances are to be received again."""
        wrong = set(instances)
        for number, bucket in enumerate(self.buckets):
            if any(chunk.instance in wrong for chunk in bucket.chunks):
                self._note(number, done=False)

    def copy(self, instance: int, spool: Spool) -> None:
        """Write an instance into a spool."""
        for data in self._pieces(instance):
            spool.write(data)

    def close(self) -> None:
        """Close the files; harmless if they are."""
        with self._lock:
            for descriptor in (self._data, self._journal):
                if descriptor >= 0:
                    os.close(descriptor)
            self._data = self._journal = -1

    def give_up(self) -> None:
        """Give back the space, and close the files: it will not be gone on with."""
        self.close()
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, _DATA))

    def _open(self) -> None:
        path = os.path.join(self.folder, _DATA)
        self._data = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        path = os.path.join(self.folder, _JOURNAL)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._journal = os.open(path, flags, 0o600)

    def _reserve(self) -> None:
        if not self.size_bytes:
            return
        # ext4 takes all that there is before it says that it is not enough.
        disk = os.statvfs(self.folder)
        # Some network file systems do not know how large they are.
        if disk.f_blocks and self.size_bytes > disk.f_bavail * disk.f_frsize:
            raise OrthancError(
                ErrorCode.FULL_STORAGE, f"there is no space for the {self.size_bytes} bytes of it"
            )
        os.posix_fallocate(self._data, 0, self.size_bytes)

    def _scatter(self, bucket: Bucket, pieces: Iterator[bytes]) -> None:
        rest = memoryview(b"")
        for chunk in bucket.chunks:
            at = self._starts[chunk.instance] + chunk.offset
            end = at + chunk.size_bytes
            while at < end:
                if not rest:
                    data = next(pieces, b"")
                    rest = memoryview(data)
                    if not rest:
                        raise _wrong_size(bucket)
                written = os.pwrite(self._data, rest[: end - at], at)
                at += written
                rest = rest[written:]
        if len(rest) or next(pieces, b""):
            raise _wrong_size(bucket)

    def _pieces(self, instance: int) -> Iterator[bytes]:
        at, end = self._starts[instance], self._starts[instance + 1]
        while at < end:
            data = os.pread(self._data, min(end - at, _READ_BYTES), at)
            if not data:
                return
            at += len(data)
            yield data

    def _note(self, number: int, *, done: bool) -> None:
        with self._lock:
            if done == (number in self._done):
                return
            write_all(self._journal, b"%s%d\n" % (b"+" if done else b"-", number))
            if self._sync:
                os.fdatasync(self._journal)
            (self._done.add if done else self._done.discard)(number)
            size = self.buckets[number].size_bytes
            self._received_bytes += size if done else -size


def _read(body: BinaryIO) -> Iterator[bytes]:
    while data := body.read(_READ_BYTES):
        yield data


def _inflated(body: BinaryIO, expected: int) -> Iterator[bytes]:
    """What is in gzip members; one byte more than expected at most, whatever they inflate to."""
    left = expected + 1
    inflater = zlib.decompressobj(_GZIP)
    is_whole = True  # between two members
    try:
        for read in _read(body):
            data = read
            while data and left:
                piece = inflater.decompress(data, min(_READ_BYTES, left))
                left -= len(piece)
                if piece:
                    yield piece
                data = inflater.unconsumed_tail
                is_whole = inflater.eof
                if is_whole:
                    data = inflater.unused_data
                    inflater = zlib.decompressobj(_GZIP)
    except zlib.error:
        raise _bad("A bucket is not valid gzip") from None
    if left and not is_whole:
        raise _bad("The gzip of a bucket was cut off")


def _wrong_size(bucket: Bucket) -> OrthancError:
    return _bad(f"A bucket must have {bucket.size_bytes} bytes")


def _bad(details: str) -> OrthancError:
    # Who sends it is mistaken, not this server: by its code it would be a 500.
    return OrthancError(ErrorCode.NETWORK_PROTOCOL, details, http_status=400)
