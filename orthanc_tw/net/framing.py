"""Cuts a stream of bytes into protocol data units, within limits (PS3.8 section 9.3.1)."""

from __future__ import annotations

from collections.abc import Callable

from orthanc_tw.net.pdu import HEADER, limit

_HEADER_BYTES = 6


class BadHeader(ValueError):
    """A header of unknown type or of a length beyond its limit: the stream is lost."""

    def __init__(self, pdu_type: int, length: int) -> None:
        super().__init__(f"PDU of type 0x{pdu_type:02X} and {length} bytes")
        self.is_unknown = limit(pdu_type) < 0


class PduReader:
    """Collects PDUs. Never holds more than the longest one that is allowed.

    :param received: gets type and what follows the header of each
    """

    def __init__(self, received: Callable[[int, bytes], object]) -> None:
        self._received = received
        self._rest = bytearray()
        self._wanted = _HEADER_BYTES

    def feed(self, data: bytes) -> None:
        """Take what came.

        :raises BadHeader: at a header that is not allowed; feed nothing more then
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        position, end = 0, len(data)
        while end - position >= _HEADER_BYTES:
            pdu_type, length = HEADER.unpack_from(data, position)
            if length > limit(pdu_type):
                raise BadHeader(pdu_type, length)
            after = position + _HEADER_BYTES + length
            if after > end:
                self._wanted = after - position
                break
            self._received(pdu_type, data[position + _HEADER_BYTES : after])
            position = after
        else:
            self._wanted = _HEADER_BYTES
        if position < end:
            self._rest += data[position:]
