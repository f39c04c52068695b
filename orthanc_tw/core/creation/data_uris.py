"""JSON with large ``data:`` URIs (RFC 2397): they are decoded into spools while they are read.

A body of 100 MB is on disk already; what is held of it is a piece at a time. Runs in a thread.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_reading import read_json
from orthanc_tw.storage.interface import Spool

_PIECE_BYTES = 256 * 1024
# A string that ends within this is left to the JSON parser.
_AHEAD_BYTES = 64 * 1024
_HEAD = re.compile(rb'"(data:(?:[^"\\,]|\\/){0,300};base64,)', re.IGNORECASE)
_URI = re.compile(r"data:([^,]{0,300}?);base64,", re.IGNORECASE)
_SPECIAL = re.compile(rb'["\\]')
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_SPACE = b" \t\r\n"
_LONGEST_ESCAPE = len(rb"\u0041")
# Stands for a URI in what the JSON parser gets; nothing else may, as JSON has no constants
# but true, false and null.
_CONSTANT = b"NaN"


@dataclass(frozen=True, slots=True)
class DataUri:
    """A decoded URI.

    :ivar head: up to its comma, as it was written
    :ivar spool: its bytes; whoever has the URI discards it
    """

    head: str
    spool: Spool

    @property
    def mime(self) -> str:
        """Its type, in lower case, without parameters."""
        return mime_of(self.head)

    def text(self) -> str:
        """As text again."""
        with self.spool.reader() as file:
            return self.head + base64.b64encode(file.read()).decode("ascii")


def mime_of(uri: str) -> str:
    """The type of a URI, in lower case, without parameters."""
    return uri[len("data:") :].partition(",")[0].partition(";")[0].strip().lower()


def decoded(text: str, spool: Spool) -> DataUri | None:
    """A URI that is small; None if it is none.

    :raises OrthancError: BAD_FILE_FORMAT if it is not base64
    """
    match = _URI.match(text)
    if match is None:
        return None
    decoder = _Decoder(spool)
    decoder.feed(text[match.end() :].encode("ascii", "replace"))
    decoder.finish()
    return DataUri(match[0], spool)


class LargeJson:
    """Reads one body.

    :param new_spool: for decoded URIs; whoever gives it discards what it has made
    :param limit_bytes: of everything but large URIs
    """

    def __init__(
        self, body: Spool, new_spool: Callable[[], Spool], limit_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._body = body
        self._new_spool = new_spool
        self._limit = limit_bytes
        self._uris: list[DataUri] = []
        self._text = bytearray()
        self._buffer = b""
        self._position = 0

    def read(self) -> Any:
        """The value; strings that are large data URIs are `DataUri`.

        :raises OrthancError: BAD_REQUEST if it is no JSON, or too large (413); BAD_FILE_FORMAT if
            a large URI is not base64; FULL_STORAGE
        """
        with self._body.reader() as file:
            while self._more(file):
                self._outside(file)
        uris = iter(self._uris)

        def constant(name: str) -> DataUri:
            return next(uris)

        try:
            text = self._text.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = self._text.decode("latin-1")  # as PowerShell sends it
        try:
            return read_json(text, parse_constant=constant, strict=False)
        except (ValueError, RecursionError):
            raise OrthancError(ErrorCode.BAD_REQUEST) from None

    def _more(self, file: BinaryIO, wanted: int = 1) -> bool:
        """Have so many bytes at the position, unless the body ends before."""
        while len(self._buffer) - self._position < wanted:
            data = file.read(_PIECE_BYTES)
            if not data:
                return self._position < len(self._buffer)
            self._buffer = self._buffer[self._position :] + data
            self._position = 0
        return True

    def _keep(self, end: int) -> None:
        self._text += self._buffer[self._position : end]
        self._position = end
        if len(self._text) > self._limit:
            raise OrthancError(
                ErrorCode.BAD_REQUEST, "The request body is too large", http_status=413
            )

    def _outside(self, file: BinaryIO) -> None:
        """Up to the next string, and that."""
        quote = self._buffer.find(b'"', self._position)
        end = quote if quote >= 0 else len(self._buffer)
        between = self._buffer[self._position : end]
        if b"N" in between or b"I" in between:
            raise OrthancError(ErrorCode.BAD_REQUEST)
        self._keep(end)
        if quote < 0:
            return
        self._more(file, _AHEAD_BYTES)
        head = _HEAD.match(self._buffer, self._position)
        ahead = self._buffer[self._position + 1 : self._position + _AHEAD_BYTES]
        if head is None or b'"' in ahead:
            self._string(file)
        else:
            self._uri(file, head)

    def _string(self, file: BinaryIO) -> None:
        self._keep(self._position + 1)
        while self._more(file, 2):
            found = _SPECIAL.search(self._buffer, self._position)
            if found is None:
                self._keep(len(self._buffer))
            elif found[0] == b'"':
                self._keep(found.end())
                return
            else:
                self._keep(found.start())
                self._more(file, 2)
                self._keep(min(self._position + 2, len(self._buffer)))

    def _uri(self, file: BinaryIO, head: re.Match[bytes]) -> None:
        uri = DataUri(head[1].replace(b"\\/", b"/").decode("latin-1"), self._new_spool())
        self._uris.append(uri)
        self._text += _CONSTANT
        self._position = head.end()
        decoder = _Decoder(uri.spool)
        while self._more(file, _LONGEST_ESCAPE):
            buffer, start = self._buffer, self._position
            quote = buffer.find(b'"', start)
            end = quote if quote >= 0 else len(buffer)
            escape = buffer.find(b"\\", max(start, end - _LONGEST_ESCAPE + 1), end)
            if quote < 0 and start < escape:
                end = escape  # it may go on in the next piece
            decoder.feed(_unescaped(buffer[start:end]))
            self._position = end
            if end == quote:
                self._position += 1
                decoder.finish()
                return
        raise OrthancError(ErrorCode.BAD_REQUEST)


def _unescaped(piece: bytes) -> bytes:
    r"""Without what JSON escapes: some write ``\/`` or ``\u002B``."""
    if b"\\" not in piece:
        return piece
    try:
        text: str = json.loads(b'"' + piece + b'"', strict=False)
    except ValueError:
        raise OrthancError(ErrorCode.BAD_REQUEST) from None
    return text.encode("ascii", "replace")


class _Decoder:
    """Base64 (RFC 4648), piece by piece; white space is left out."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._rest = b""
        self._ended = False

    def feed(self, piece: bytes) -> None:
        data = self._rest + piece.translate(None, _SPACE)
        if data.translate(None, _ALPHABET) or (self._ended and data):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
        padding = data.find(b"=")
        if padding >= 0 and len(data) - padding > 2:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
        usable = len(data) // 4 * 4
        self._rest = data[usable:]
        if padding >= 0:
            if data[padding:].strip(b"="):
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
            self._ended = padding < usable
        self._write(data[:usable])

    def finish(self) -> None:
        rest = self._rest.rstrip(b"=")
        self._rest = b""
        self._write(rest + b"=" * (-len(rest) % 4))

    def _write(self, data: bytes) -> None:
        try:
            self._spool.write(binascii.a2b_base64(data))
        except binascii.Error:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT) from None
