"""Tasks for the tests of the pool."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading

from orthanc_tw.model.errors import ErrorCode, OrthancError


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def refuse() -> None:
    raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "no DICOM")


def fail() -> None:
    raise LookupError("a defect")


def die() -> None:
    ctypes.string_at(0)


def hang() -> None:
    threading.Event().wait()


def hoard() -> int:
    return len(bytearray(512 * 1024 * 1024))


def unpackable() -> object:
    return object()


def surroundings() -> dict[str, object]:
    kept = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    return {
        "fds": [fd for fd in kept if os.path.exists(f"/proc/self/fd/{fd}")],
        "environment": sorted(os.environ),
        "core": list(resource.getrlimit(resource.RLIMIT_CORE)),
        "nice": os.nice(0),
        "twisted": "twisted" in sys.modules,
    }
