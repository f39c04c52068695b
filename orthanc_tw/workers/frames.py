"""What goes over the pipes between the pool and a worker: MessagePack behind its length.

Not pickles: a worker reads files from strangers, and one that was taken over by such a file
must not be able to run code in the server.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

#: Longest frame. What is large goes through files.
MAXIMUM_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class BadFrame(ValueError):
    """What came over the pipe is no frame."""


def pack(value: object) -> bytes:
    """A frame of plain values (None, Booleans, numbers, text, bytes, lists, dictionaries).

    :raises TypeError: if it is anything else
    :raises ValueError: if it is longer than `MAXIMUM_BYTES`
    """
    data = msgspec.msgpack.encode(value)
    if len(data) > MAXIMUM_BYTES:
        raise ValueError(f"{len(data)} bytes are too many for a pipe: use a file")
    return _LENGTH.pack(len(data)) + data


class FrameReader:
    """Takes bytes as they come, gives the values of whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values that are complete with these bytes.

        :raises BadFrame: if they are none; nothing more can be read then
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAXIMUM_BYTES:
                raise BadFrame(f"a frame of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                yield msgspec.msgpack.decode(body)
            except msgspec.DecodeError as error:
                raise BadFrame(str(error)) from None
