"""A small HTTP client for load: raw sockets, kept alive, one thread a connection."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any


class Connection:
    """One kept-alive connection to a loopback port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._buffer = bytearray(1 << 18)

    def request(self, method: str, path: str, body: bytes = b"", keep: bool = True) -> bytes:
        """Send a request, read the whole answer; without ``keep`` only its length is kept.

        :raises RuntimeError: if the status is not 200
        """
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        for attempt in (0, 1):
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=300)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._socket.sendall(head + body)
                return self._answer(self._socket, keep)
            except (ConnectionError, BrokenPipeError):
                self.close()
                if attempt:
                    raise
        raise AssertionError

    def _answer(self, sock: socket.socket, keep: bool) -> bytes:
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionResetError
            data += piece
        lines = bytes(data[:end]).decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, value in (line.split(":", 1) for line in lines[1:])
        }
        rest = data[end + 4 :]
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks(sock, rest, keep)
        elif "content-length" in headers:
            body = self._counted(sock, rest, int(headers["content-length"]), keep)
        else:
            body = self._until_closed(sock, rest, keep)
        if headers.get("connection", "").lower() == "close":
            self.close()
        if lines[0].split()[1] != "200":
            raise RuntimeError(f"{lines[0]}: {bytes(body[:300])!r}")
        return bytes(body)

    def _counted(self, sock: socket.socket, rest: bytearray, length: int, keep: bool) -> bytes:
        got = len(rest)
        view = memoryview(self._buffer)
        while got < length:
            count = sock.recv_into(view, min(len(view), length - got))
            if not count:
                raise ConnectionResetError
            got += count
            if keep:
                rest += view[:count]
        return bytes(rest)

    def _until_closed(self, sock: socket.socket, rest: bytearray, keep: bool) -> bytes:
        while piece := sock.recv(1 << 18):
            if keep:
                rest += piece
        self.close()
        return bytes(rest)

    def _chunks(self, sock: socket.socket, rest: bytearray, keep: bool) -> bytes:
        body = bytearray()
        while True:
            while (end := rest.find(b"\r\n")) < 0:
                rest += sock.recv(65536)
            size = int(bytes(rest[:end]).split(b";")[0], 16)
            del rest[: end + 2]
            while len(rest) < size + 2:
                piece = sock.recv(1 << 18)
                if not piece:
                    raise ConnectionResetError
                rest += piece
            if keep:
                body += rest[:size]
            del rest[: size + 2]
            if not size:
                return bytes(body)

    def json(self, method: str, path: str, value: Any = None) -> Any:
        """Send and receive JSON."""
        body = b"" if value is None else json.dumps(value).encode()
        return json.loads(self.request(method, path, body))

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def run(
    port: int, connections: int, work: Sequence[Any], do: Callable[[Connection, Any], Any]
) -> float:
    """Share ``work`` among that many connections; returns seconds from the first to the last."""
    pending = iter(work)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def loop() -> None:
        connection = Connection(port)
        try:
            while not errors:
                with lock:
                    try:
                        item = next(pending)
                    except StopIteration:
                        return
                do(connection, item)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=loop) for _ in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    if errors:
        raise errors[0]
    return elapsed
