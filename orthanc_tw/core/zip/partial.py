"""Reading back the members of a ZIP file that a killed server left without its directory."""

from __future__ import annotations

from typing import BinaryIO, cast

from isal import isal_zlib

from orthanc_tw.core.zip.records import (
    DEFLATED,
    LOCAL_HEADER_SIZE,
    MAX_32,
    Entry,
    parse_local_header,
    parse_local_zip64,
)

_CHUNK_BYTES = 256 * 1024
_ISAL_ERROR = cast(type[Exception], isal_zlib.error)


def read_members(file: BinaryIO, end: int) -> list[Entry]:
    """Entries of the members in the first ``end`` bytes; for a thread.

    They must have been written to a file: a member with a descriptor cannot be skipped
    without inflating it.

    :raises ValueError: if these bytes are not whole members
    """
    entries: list[Entry] = []
    offset = 0
    while offset < end:
        file.seek(offset)
        header = parse_local_header(file.read(LOCAL_HEADER_SIZE))
        tail = file.read(header.name_length + header.extra_length)
        if len(tail) != header.name_length + header.extra_length:
            raise ValueError("The local header is cut off")
        size, compressed, is_large = header.size, header.compressed_size, False
        if size == MAX_32 and compressed == MAX_32:
            size, compressed = parse_local_zip64(tail[header.name_length :])
            is_large = True
        entries.append(
            Entry(
                tail[: header.name_length],
                header.method,
                header.crc,
                size,
                compressed,
                header.dos_time,
                offset,
                is_large=is_large,
            )
        )
        offset += LOCAL_HEADER_SIZE + len(tail) + compressed
    if offset != end or file.seek(0, 2) < end:
        raise ValueError("The last member is cut off")
    return entries


def verify_member(file: BinaryIO, entry: Entry) -> None:
    """Read the data of a member against its CRC-32 and its size; for a thread.

    After a loss of power a file may be as long as it was, and lack what was in it.

    :raises ValueError: if it is damaged
    """
    file.seek(entry.offset + len(entry.local_header()))
    inflate = isal_zlib.decompressobj(-15) if entry.method == DEFLATED else None
    left, crc, size = entry.compressed_size, 0, 0
    try:
        while left:
            chunk = file.read(min(left, _CHUNK_BYTES))
            if not chunk:
                break
            left -= len(chunk)
            data = chunk if inflate is None else inflate.decompress(chunk)
            crc = isal_zlib.crc32(data, crc)
            size += len(data)
    except _ISAL_ERROR as error:
        raise ValueError("The data of a member is damaged") from error
    if (crc, size) != (entry.crc, entry.size):
        raise ValueError("The data of a member is damaged")
