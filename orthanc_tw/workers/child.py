"""The main program of a worker: takes a task, calls its function, answers, until its pipe ends.

Started as ``python -I -c BOOT``, with nothing of the server but its search path. It imports the
modules that its tasks name, when they first do. Standard input brings tasks, descriptor 3 takes
the answers; what a library prints goes to the log of the server.
"""

from __future__ import annotations

import importlib
import os
import queue
import resource
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.workers.frames import FrameReader, pack

ANSWERS_FD = 3
#: What `python -c` is told; its arguments are the search path, as JSON, and the limits.
BOOT = (
    "import json,sys;"
    "sys.path[:]=json.loads(sys.argv[1]);"
    "from orthanc_tw.workers.child import main;"
    "main(*map(int,sys.argv[2:]))"
)
_PIECE_BYTES = 1024 * 1024


def main(memory_bytes: int, niceness: int, tasks: int) -> None:
    """Run a worker; returns when the server has closed the pipe, or after ``tasks``."""
    # Whoever stops the server with its whole group of processes must not end the tasks of
    # jobs with an error: a worker ends with its pipe.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _limit(resource.RLIMIT_CORE, 0)
    if memory_bytes:
        _limit(resource.RLIMIT_DATA, memory_bytes)
    with suppress(OSError):
        os.nice(niceness)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(waiting.put,), daemon=True).start()
    for left in range(tasks - 1, -1, -1):
        name, args = waiting.get()
        answer, is_last = _perform(name, args)
        is_last = is_last or not left
        _write(_packed([is_last, *answer], is_last))
        if is_last:
            return


def _read(put: Callable[[Any], None]) -> None:
    """In a thread of its own, so that a worker ends with its server even amid a task."""
    reader = FrameReader()
    while data := os.read(0, _PIECE_BYTES):
        for task in reader.feed(data):
            put(task)
    os._exit(0)


def _perform(name: str, args: list[Any]) -> tuple[list[Any], bool]:
    """The answer to a task, and whether this process had better be replaced."""
    try:
        module, _, function = name.partition(":")
        return [True, getattr(importlib.import_module(module), function)(*args)], False
    except OrthancError as error:
        return [False, int(error.code), error.details, error.http_status, ""], False
    except MemoryError:
        code = ErrorCode.NOT_ENOUGH_MEMORY
        return [
            False,
            int(code),
            "A task needs more memory than it may",
            code.http_status,
            "",
        ], True
    except BaseException:
        code = ErrorCode.INTERNAL_ERROR
        return [False, int(code), None, code.http_status, traceback.format_exc()], False


def _packed(answer: list[Any], is_last: bool) -> bytes:
    try:
        return pack(answer)
    except Exception:
        code = ErrorCode.INTERNAL_ERROR
        return pack([is_last, False, int(code), None, code.http_status, traceback.format_exc()])


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(ANSWERS_FD, view) :]


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
