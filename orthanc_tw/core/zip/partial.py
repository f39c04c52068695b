"""Reading back the members of a ZIP file that a killed server left without its directory."""

from __future__ import annotations

from typing import BinaryIO

from orthanc_tw.core.zip.records import (
    LOCAL_HEADER_SIZE,
    MAX_32,
    Entry,
    parse_local_header,
    parse_local_zip64,
)


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
