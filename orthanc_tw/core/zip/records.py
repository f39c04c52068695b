"""The records of a ZIP file (PKWARE APPNOTE 6.3.10), packed and parsed. No files, no state.

Integers are little-endian. A record takes its ZIP64 form only where a value needs it,
since readers of old devices know no other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime

STORED = 0
DEFLATED = 8

MAX_16 = 0xFFFF
MAX_32 = 0xFFFFFFFF

_FLAG_DESCRIPTOR = 1 << 3
_FLAG_UTF8 = 1 << 11
_VERSION = 20
_VERSION_ZIP64 = 45
_ZIP64_TAG = 0x0001

# signature, version needed, flags, method, time and date, CRC-32, compressed size, size,
# length of the name, length of the extra field (4.3.7)
_LOCAL = struct.Struct("<IHHHIIIIHH")
_LOCAL_SIGNATURE = 0x04034B50
# tag, length, size, compressed size (4.5.3): both must be there in a local header
_LOCAL_ZIP64 = struct.Struct("<HHQQ")
_DESCRIPTOR_SIGNATURE = 0x08074B50
_DESCRIPTOR = struct.Struct("<IIII")
_DESCRIPTOR_ZIP64 = struct.Struct("<IIQQ")
# signature, version made by, version needed, flags, method, time and date, CRC-32,
# compressed size, size, lengths of name, extra field and comment, disk, internal
# attributes, external attributes, offset of the local header (4.3.12)
_CENTRAL = struct.Struct("<IHHHHIIIIHHHHHII")
_CENTRAL_SIGNATURE = 0x02014B50
# signature, length of what follows, version made by, version needed, disk, disk of the
# directory, entries on this disk, entries, length of the directory, its offset (4.3.14)
_END_ZIP64 = struct.Struct("<IQHHIIQQQQ")
_END_ZIP64_SIGNATURE = 0x06064B50
# signature, disk, offset of the record above, number of disks (4.3.15)
_LOCATOR = struct.Struct("<IIQI")
_LOCATOR_SIGNATURE = 0x07064B50
# signature, disk, disk of the directory, entries on this disk, entries, length of the
# directory, its offset, length of the comment (4.3.16)
_END = struct.Struct("<IHHHHIIH")
_END_SIGNATURE = 0x06054B50


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a ZIP file.

    :ivar name: as in the file; UTF-8 if it is not ASCII
    :ivar method: `STORED` or `DEFLATED`
    :ivar crc: CRC-32 of the content
    :ivar size: of the content, in bytes
    :ivar compressed_size: of the data in the ZIP file, in bytes
    :ivar dos_time: see `dos_time`
    :ivar offset: of the local header, in bytes from the start of the file
    :ivar has_descriptor: sizes and CRC follow the data (bit 3), as they were not known before
    :ivar is_large: the local header has ZIP64 sizes
    """

    name: bytes
    method: int
    crc: int
    size: int
    compressed_size: int
    dos_time: int
    offset: int
    has_descriptor: bool = False
    is_large: bool = False

    @property
    def _flags(self) -> int:
        utf8 = 0 if self.name.isascii() else _FLAG_UTF8
        return utf8 | (_FLAG_DESCRIPTOR if self.has_descriptor else 0)

    def local_header(self) -> bytes:
        """Local file header; its length depends only on ``name`` and ``is_large``."""
        crc, size, compressed = self.crc, self.size, self.compressed_size
        if self.has_descriptor:
            crc = size = compressed = 0
        extra = b""
        if self.is_large:
            extra = _LOCAL_ZIP64.pack(_ZIP64_TAG, 16, size, compressed)
            size = compressed = MAX_32
        return (
            _LOCAL.pack(
                _LOCAL_SIGNATURE,
                _VERSION_ZIP64 if self.is_large else _VERSION,
                self._flags,
                self.method,
                self.dos_time,
                crc,
                compressed,
                size,
                len(self.name),
                len(extra),
            )
            + self.name
            + extra
        )

    def descriptor(self) -> bytes:
        """What follows the data of a member with ``has_descriptor`` (4.3.9)."""
        layout = _DESCRIPTOR_ZIP64 if self.is_large else _DESCRIPTOR
        return layout.pack(_DESCRIPTOR_SIGNATURE, self.crc, self.compressed_size, self.size)

    def central_header(self) -> bytes:
        """Entry of the central directory."""
        # 4.5.3: only the fields that do not fit, in this order
        large = [v for v in (self.size, self.compressed_size, self.offset) if v >= MAX_32]
        extra = struct.pack(f"<HH{len(large)}Q", _ZIP64_TAG, 8 * len(large), *large)
        if not large:
            extra = b""
        return (
            _CENTRAL.pack(
                _CENTRAL_SIGNATURE,
                _VERSION_ZIP64 if large or self.is_large else _VERSION,
                _VERSION_ZIP64 if large or self.is_large else _VERSION,
                self._flags,
                self.method,
                self.dos_time,
                self.crc,
                min(self.compressed_size, MAX_32),
                min(self.size, MAX_32),
                len(self.name),
                len(extra),
                0,
                0,
                0,
                0,
                min(self.offset, MAX_32),
            )
            + self.name
            + extra
        )


def end_of_central_directory(count: int, length: int, offset: int) -> bytes:
    """The records that close a file whose directory has ``count`` entries.

    :param length: of the central directory in bytes
    :param offset: of the central directory in bytes
    """
    zip64 = b""
    if count >= MAX_16 or length >= MAX_32 or offset >= MAX_32:
        zip64 = _END_ZIP64.pack(
            _END_ZIP64_SIGNATURE,
            _END_ZIP64.size - 12,
            _VERSION_ZIP64,
            _VERSION_ZIP64,
            0,
            0,
            count,
            count,
            length,
            offset,
        ) + _LOCATOR.pack(_LOCATOR_SIGNATURE, 0, offset + length, 1)
    counted = min(count, MAX_16)
    return zip64 + _END.pack(
        _END_SIGNATURE, 0, 0, counted, counted, min(length, MAX_32), min(offset, MAX_32), 0
    )


LOCAL_HEADER_SIZE = _LOCAL.size


@dataclass(frozen=True, slots=True)
class LocalHeader:
    """The fixed part of a local header that was read back."""

    method: int
    dos_time: int
    crc: int
    compressed_size: int
    size: int
    name_length: int
    extra_length: int


def parse_local_header(data: bytes) -> LocalHeader:
    """The first `LOCAL_HEADER_SIZE` bytes of a member written with its sizes in place.

    :raises ValueError: if they are no such header
    """
    if len(data) != _LOCAL.size:
        raise ValueError("The local header is cut off")
    signature, _version, flags, method, time, crc, compressed, size, name, extra = _LOCAL.unpack(
        data
    )
    if signature != _LOCAL_SIGNATURE or flags & _FLAG_DESCRIPTOR:
        raise ValueError("No local header with sizes")
    return LocalHeader(method, time, crc, compressed, size, name, extra)


def parse_local_zip64(extra: bytes) -> tuple[int, int]:
    """Size and compressed size of the ZIP64 extra field that `Entry.local_header` writes.

    :raises ValueError: if it is another
    """
    if len(extra) != _LOCAL_ZIP64.size:
        raise ValueError("No ZIP64 extra field")
    tag, _length, size, compressed = _LOCAL_ZIP64.unpack(extra)
    if tag != _ZIP64_TAG:
        raise ValueError("No ZIP64 extra field")
    return size, compressed


def dos_time(moment: datetime) -> int:
    """A time as MS-DOS has it (4.4.6): the date in the upper 16 bits, steps of two seconds.

    Years outside 1980-2107 are brought to the nearest that it can express.
    """
    if moment.year < 1980:
        return (1 << 5 | 1) << 16
    year = min(moment.year, 2107)
    date = (year - 1980) << 9 | moment.month << 5 | moment.day
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    return date << 16 | time
