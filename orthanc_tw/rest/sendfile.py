"""Sends a file with ``sendfile(2)``: from the page cache to the socket, past Python.

Measured: three times the requests of `twisted.protocols.basic.FileSender` for files of
512 KB. Only on plain TCP, and only while nothing else waits to be written there.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Connection
from twisted.web.server import Request

from orthanc_tw.model.errors import ErrorCode, OrthancError

# The most that one turn of the reactor hands to the kernel: on a cold file it waits for the
# disk that long. What goes out in the first turn needs no descriptor of its own.
TURN_BYTES = 1024 * 1024
# The headers wait for the first bytes of the file: one packet, and one wake-up of the client.
_MSG_MORE = getattr(socket, "MSG_MORE", 0)


def plain_transport(request: Request) -> Connection | None:
    """The TCP connection of a request, None if it is TLS, a test's, or a UNIX socket."""
    channel: Any = getattr(request, "channel", None)
    transport = getattr(channel, "transport", None)
    if isinstance(transport, Connection) and not getattr(transport, "TLS", False):
        return transport
    return None


class SocketSender(FileDescriptor):
    """Writes a part of a file to a socket whenever it takes something.

    It has a descriptor of its own (a dup), since the reactor already watches the
    connection's for what it receives.
    """

    def __init__(self, transport: Connection, file: Any, start: int, length: int) -> None:
        super().__init__(transport.reactor)
        self._transport = transport
        self._file = file
        self._offset = start
        self._left = length
        self._fd = -1
        self._done: Deferred[None] = Deferred()

    @classmethod
    def after_headers(
        cls, transport: Connection, file: Any, start: int, length: int
    ) -> SocketSender | None:
        """A sender, once the headers are written out; None if they do not go out at once."""
        buffered: Any = transport
        if buffered.disconnected:
            return None
        head = buffered.dataBuffer[buffered.offset :] + b"".join(buffered._tempDataBuffer)
        try:
            sent = transport.socket.send(head, _MSG_MORE)
        except OSError:
            # A full buffer, or a client that is gone: Twisted's own way finds out which.
            return None
        buffered.dataBuffer, buffered.offset = head[sent:], 0
        buffered._tempDataBuffer, buffered._tempDataLen = [], 0
        if buffered.dataBuffer:
            return None
        buffered.stopWriting()
        return cls(transport, file, start, length)

    def run(self) -> Deferred[None]:
        """Begin; fires when all is handed to the kernel, which may have happened already."""
        failure = self.doWrite()
        if failure is None and self._left:
            self._fd = os.dup(self._transport.fileno())
            self.connected = 1
            self.startWriting()  # type: ignore[no-untyped-call]
        return self._done

    def fileno(self) -> int:
        """The descriptor that the reactor watches."""
        return self._fd

    def doWrite(self) -> BaseException | None:
        """Send what the socket takes (called by the reactor)."""
        fd = self._fd if self._fd >= 0 else self._transport.fileno()
        try:
            sent = os.sendfile(fd, self._file.fileno(), self._offset, min(self._left, TURN_BYTES))
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF):
                # The connection's own reader learns of it, and the request with it.
                self.stop()
                return None
            return self._fail(error)
        if not sent:
            return self._fail(OrthancError(ErrorCode.CORRUPTED_FILE))
        self._offset += sent
        self._left -= sent
        if not self._left:
            self.stop()
            self._done.callback(None)
        return None

    def stop(self) -> None:
        """Send no more: it is done, or the client is gone."""
        if self._fd >= 0:
            self.stopWriting()  # type: ignore[no-untyped-call]
            os.close(self._fd)
            self._fd = -1
        self._file.close()

    def connectionLost(self, reason: Any) -> None:
        """The reactor has dropped the descriptor (an error on it, or its shutdown)."""
        self.stop()

    def _fail(self, error: BaseException) -> BaseException | None:
        self.stop()
        self._done.errback(error)
        return error
