"""Times as Orthanc writes them, from POSIX seconds of an injected clock."""

from __future__ import annotations

import time


def utc_text(now_s: float) -> str:
    """``YYYYMMDDTHHMMSS`` in UTC."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_s))


def local_text(now_s: float) -> str:
    """``YYYYMMDDTHHMMSS`` in the time zone of this process."""
    return time.strftime("%Y%m%dT%H%M%S", time.localtime(now_s))
