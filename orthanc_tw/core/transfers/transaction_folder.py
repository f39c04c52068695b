"""A push transaction on disk: a `Reception`, and files without content that say how far it is.

A server may be killed between any two lines of this. All of it blocks.
"""

from __future__ import annotations

import enum
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from orthanc_tw.core.transfers.buckets import Bucket, TransferInstance
from orthanc_tw.core.transfers.plan import write_durably
from orthanc_tw.core.transfers.reception import Reception
from orthanc_tw.model.errors import OrthancError

_GZIP = "gzip"
_COMMITTING = "committing"
_COMMITTED = "committed"


class Phase(enum.Enum):
    """How far a transaction is."""

    OPEN = enum.auto()
    COMMITTING = enum.auto()
    COMMITTED = enum.auto()


@dataclass(frozen=True, slots=True)
class SavedTransaction:
    """One that was found.

    :ivar reception: None if it was committed: nothing but that is known of it
    :ivar asked_s: when it was written to last, POSIX seconds
    """

    identifier: str
    phase: Phase
    reception: Reception | None = None
    compressed: bool = False
    asked_s: float = 0.0


def create(
    path: str,
    instances: Sequence[TransferInstance],
    buckets: Sequence[Bucket],
    *,
    compressed: bool,
) -> Reception:
    """Make the folder of a new one; durable then.

    :raises OrthancError: FULL_STORAGE
    """
    # Announced sizes count, whether or not a bucket covers them: `is_right` tells.
    reception = Reception.create(path, instances, buckets, sync=True)
    if compressed:
        write_durably(os.path.join(path, _GZIP), b"")
    return reception


def note_commit(reception: Reception) -> None:
    """From now on the next start goes on with its commit."""
    write_durably(os.path.join(reception.folder, _COMMITTING), b"")


def forget_commit(reception: Reception) -> None:
    """It is open as before."""
    _unlink(os.path.join(reception.folder, _COMMITTING))


def settle(reception: Reception) -> None:
    """It was committed: leave nothing but the fact."""
    write_durably(os.path.join(reception.folder, _COMMITTED), b"")
    reception.close()
    _remove_others(reception.folder, os.listdir(reception.folder))


def remove(path: str) -> None:
    """Remove the folder of a transaction; harmless if there is none."""
    shutil.rmtree(path, ignore_errors=True)


def load(folder: str) -> list[SavedTransaction]:
    """Those whose folders are in a folder, the oldest first. What was never whole is removed."""
    found: list[tuple[float, SavedTransaction]] = []
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    for name in names:
        path = os.path.join(folder, name)
        try:
            found.append((os.stat(path).st_mtime, _loaded(path, name)))
        except OrthancError:
            remove(path)
    return [saved for _, saved in sorted(found, key=lambda one: one[0])]


def _loaded(path: str, name: str) -> SavedTransaction:
    files = os.listdir(path)
    if _COMMITTED in files:
        # A server that was killed may have left them.
        _remove_others(path, files)
        return SavedTransaction(name, Phase.COMMITTED)
    phase = Phase.COMMITTING if _COMMITTING in files else Phase.OPEN
    asked_s = max(os.stat(os.path.join(path, one)).st_mtime for one in [os.curdir, *files])
    reception = Reception.open(path, sync=True)
    return SavedTransaction(name, phase, reception, _GZIP in files, asked_s)


def _remove_others(folder: str, names: Sequence[str]) -> None:
    for name in names:
        if name != _COMMITTED:
            _unlink(os.path.join(folder, name))


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
