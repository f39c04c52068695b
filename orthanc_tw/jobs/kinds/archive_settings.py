"""What archive jobs can be told, what they are called, and where a stream of one goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

ARCHIVE = "Archive"
MEDIA = "Media"
OUTPUT_KEY = "archive"
MIME = "application/zip"
MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """How archives are made. Sizes in bytes.

    :ivar workers: threads that deflate the members of one archive
    :ivar large_member_bytes: from this size on a member is written in parts by one thread
    :ivar window_bytes: source data handled in one step
    :ivar stream_window_bytes: the same where the result is held until the client took it
    :ivar single_step_bytes: up to this size an archive is made in one go in one thread
    :ivar checkpoint_bytes: source data after which what is written is made durable
    """

    workers: int = 2
    large_member_bytes: int = 8 * MB
    window_bytes: int = 16 * MB
    stream_window_bytes: int = 4 * MB
    single_step_bytes: int = 1 * MB
    checkpoint_bytes: int = 256 * MB


class StreamTarget(Protocol):
    """A response that an archive is sent to. Reactor thread."""

    def claim(self) -> bool:
        """Called by a run before it writes: False if an earlier run has written already."""
        ...

    def write(self, chunks: list[bytes]) -> None:
        """Send; the first call starts the response.

        :raises OrthancError: NETWORK_PROTOCOL if the client has gone
        """
        ...

    def drained(self) -> Deferred[None]:
        """Fires when more may be sent; fails as `write` does."""
        ...
