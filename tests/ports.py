"""Ports for servers that tests start in processes of their own."""

from __future__ import annotations

import itertools
import os
import socket

# Below those that the kernel gives to outgoing connections (32768 on, on Linux): one of these
# could take the port of a server that is about to start, or to start again. Each process begins
# at another place, since tests run in several at once.
_FIRST, _LAST, _STEP = 20000, 32000, 97
_numbers = itertools.count((os.getpid() * _STEP) % (_LAST - _FIRST))


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now.

    No process is given one twice before it was given all others.
    """
    for number in _numbers:
        port = _FIRST + number % (_LAST - _FIRST)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("itertools.count ends nowhere")
