"""Uploads of several files in one: ZIP archives, multipart forms, gzip.

Everything here blocks and runs in a thread. Names of entries are never used. Limits are
checked while something is inflated, not after it.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.storage.interface import Spool

NewSpool = Callable[[], Spool]

PIECE_BYTES = 256 * 1024
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_MAXIMUM_COMMENT = 65535
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an uploaded archive may ask for; 0 is no limit.

    :ivar maximum_bytes: of all that is inflated (``MaximumRequestBodySizeMB``)
    :ivar maximum_entry_bytes: of each file of a ZIP (``MaximumFileSizeInArchiveMB``)
    :ivar maximum_entries: of the directory of a ZIP, or of a multipart form
    :ivar maximum_ratio: inflated to received bytes, looked at from `RATIO_FROM_BYTES` on
    """

    maximum_bytes: int = 0
    maximum_entry_bytes: int = 0
    maximum_entries: int = 100_000
    maximum_ratio: int = 300


# Blank images do shrink to a thousandth: small ones harm nobody.
RATIO_FROM_BYTES = 256 * 1024 * 1024
# A directory entry is 46 bytes and a name; longer ones are paths deeper than any PACS writes.
_DIRECTORY_BYTES_PER_ENTRY = 512


class _Budget:
    """Counts what is inflated of one upload."""

    def __init__(self, limits: ArchiveLimits, received_bytes: int) -> None:
        self._limits = limits
        self._received = max(received_bytes, 1)
        self._inflated = 0
        self._entry = 0

    def next_entry(self) -> None:
        self._entry = 0

    def spend(self, size_bytes: int) -> None:
        self._inflated += size_bytes
        self._entry += size_bytes
        limits = self._limits
        if 0 < limits.maximum_entry_bytes < self._entry:
            raise _too_large(f"has a file of more than {limits.maximum_entry_bytes} bytes")
        if 0 < limits.maximum_bytes < self._inflated:
            raise _too_large(f"inflates to more than {limits.maximum_bytes} bytes")
        if (
            limits.maximum_ratio
            and self._inflated > RATIO_FROM_BYTES
            and self._inflated > limits.maximum_ratio * self._received
        ):
            raise _too_large(f"inflates to more than {limits.maximum_ratio} times its size")


def zip_entries(archive: Spool, new_spool: NewSpool, limits: ArchiveLimits) -> Iterator[Spool]:
    """Yield the files of a ZIP one by one, each in a spool that the caller discards.

    :raises OrthancError: BAD_FILE_FORMAT if it is damaged, encrypted, or uses a compression
        other than deflate; 413 beyond the limits; FULL_STORAGE
    """
    budget = _Budget(limits, archive.size_bytes)
    with archive.reader() as file:
        _check_directory(file, archive.size_bytes, limits)
        try:
            with zipfile.ZipFile(file) as opened:
                for info in opened.infolist():
                    if not info.is_dir():
                        yield _extract(opened, info, new_spool(), budget)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Bad ZIP archive: {error}") from None


@dataclass(frozen=True, slots=True)
class FormPart:
    """A field or file of a form, in a spool that the caller discards.

    :ivar name: of the field, '' if it has none
    :ivar filename: as the client says, '' for a field
    :ivar content_type: as the client says, '' if it does not
    """

    name: str
    filename: str
    content_type: str
    spool: Spool


def form_parts(
    form: Spool, content_type: str, new_spool: NewSpool, limits: ArchiveLimits
) -> list[FormPart]:
    """The parts of a ``multipart/form-data`` body.

    :raises OrthancError: BAD_REQUEST if it is malformed; FULL_STORAGE
    """
    parts: list[FormPart] = []
    try:
        parser = PushMultipartParser(
            _boundary(content_type),
            max_segment_count=limits.maximum_entries or 1 << 31,
        )
        with parser, form.reader() as file:
            while not parser.closed:
                # An empty piece tells the parser that this is the end.
                for event in parser.parse(file.read(PIECE_BYTES)):
                    if isinstance(event, MultipartSegment):
                        name, filename = event.name or "", event.filename or ""
                        declared = event.header("Content-Type", "") or ""
                        parts.append(FormPart(name, filename, declared, new_spool()))
                    elif event:
                        parts[-1].spool.write(bytes(event))
    except MultipartError as error:
        _discard([part.spool for part in parts])
        raise OrthancError(
            ErrorCode.BAD_REQUEST, f"Malformed multipart/form-data body: {error}"
        ) from None
    except BaseException:
        _discard([part.spool for part in parts])
        raise
    return parts


def multipart_parts(
    form: Spool, content_type: str, new_spool: NewSpool, limits: ArchiveLimits
) -> list[Spool]:
    """The parts of a form without their names; see `form_parts`."""
    return [part.spool for part in form_parts(form, content_type, new_spool, limits)]


def gunzip(body: Spool, target: Spool, limits: ArchiveLimits) -> None:
    """Inflate a gzip body (RFC 1952, one member or several) into another spool.

    :raises OrthancError: BAD_FILE_FORMAT if it is no gzip, or damaged; 413; FULL_STORAGE
    """
    budget = _Budget(replace(limits, maximum_entry_bytes=0), body.size_bytes)
    with body.reader() as file:
        pending = file.read(PIECE_BYTES)
        while pending:
            inflater = zlib.decompressobj(31)
            while not inflater.eof:
                try:
                    data = inflater.decompress(pending, PIECE_BYTES)
                except zlib.error:
                    raise OrthancError(ErrorCode.BAD_FILE_FORMAT) from None
                budget.spend(len(data))
                target.write(data)
                pending = inflater.unconsumed_tail
                if not pending and not inflater.eof:
                    pending = file.read(PIECE_BYTES)
                    if not pending:
                        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
            pending = inflater.unused_data or file.read(PIECE_BYTES)


def _extract(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, spool: Spool, budget: _Budget
) -> Spool:
    try:
        if info.flag_bits & _ENCRYPTED:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The ZIP archive is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT,
                f"The ZIP archive uses compression method {info.compress_type}, "
                "only stored and deflated entries are supported",
            )
        budget.next_entry()
        with archive.open(info) as entry:
            while piece := entry.read(PIECE_BYTES):
                budget.spend(len(piece))
                spool.write(piece)
    except BaseException:
        spool.discard()
        raise
    return spool


def _check_directory(file: BinaryIO, size_bytes: int, limits: ArchiveLimits) -> None:
    """Refuse a ZIP whose directory, which `zipfile` reads as a whole, is too large.

    APPNOTE.TXT 4.3.14-4.3.16: end of central directory record, and its ZIP64 forms.
    """
    if not limits.maximum_entries:
        return
    tail_size = min(size_bytes, _END.size + _MAXIMUM_COMMENT + _LOCATOR64.size)
    file.seek(size_bytes - tail_size)
    tail = file.read(tail_size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Bad ZIP archive: no directory")
    record = _END.unpack_from(tail, at)
    entries, directory_bytes = record[4], record[5]
    locator_at = at - _LOCATOR64.size
    if locator_at >= 0 and tail[locator_at : locator_at + 4] == b"PK\x06\x07":
        offset = _LOCATOR64.unpack_from(tail, locator_at)[2]
        if offset + _END64.size > size_bytes:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Bad ZIP archive: no directory")
        file.seek(offset)
        record64 = _END64.unpack(file.read(_END64.size))
        entries, directory_bytes = record64[7], record64[8]
    if (
        entries > limits.maximum_entries
        or directory_bytes > limits.maximum_entries * _DIRECTORY_BYTES_PER_ENTRY
    ):
        raise _too_large(f"has more than {limits.maximum_entries} entries")
    file.seek(0, io.SEEK_SET)


def _boundary(content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary: str = options.get("boundary", "")
    if not boundary or len(boundary) > 200:
        raise OrthancError(ErrorCode.BAD_REQUEST, "No boundary in the Content-Type of the body")
    return boundary.encode("latin-1", "replace")


def _discard(spools: list[Spool]) -> None:
    for spool in spools:
        spool.discard()


def _too_large(reason: str) -> OrthancError:
    return OrthancError(ErrorCode.BAD_REQUEST, f"The uploaded archive {reason}", http_status=413)
