"""The folders that new files go to: one at a time is filled, so that commits share its fsync.

The UUIDs of files are made here, so a file may as well go where others just went. Spread at
random, nearly each of the first 65,536 files needs a new folder and three more flushes of the
disk (measured: 3.3 fsyncs an upload, with shelves 1.75); and UUIDs that begin alike are
neighbours in the index of the database.
"""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import suppress

#: Files that go to a folder before the next one is begun: about what a block of a directory holds.
CAPACITY = 64


class Shelf:
    """A folder ``ab/cd`` that is being filled. Used by several threads.

    :param folder: its path; it exists
    :param parents: folders above that have a new entry, the inner first
    """

    def __init__(self, prefix: str, folder: str, parents: tuple[str, ...]) -> None:
        self.prefix = prefix
        self.left = CAPACITY
        self._folder = folder
        self._parents = parents
        self._tickets = itertools.count(1)
        self._entered = 0
        self._settled = 0
        self._lock = threading.Lock()

    def entered(self) -> int:
        """Tell that a file has got its name here; the ticket is for `settle`."""
        # Two threads may write these in either order: the lower one claims less, never more.
        self._entered = ticket = next(self._tickets)
        return ticket

    def settle(self, ticket: int) -> None:
        """Make the entry of a file durable, unless that was done for another since.

        :raises OSError: it cannot be
        """
        with self._lock:
            if ticket <= self._settled:
                return
            entered = self._entered
            # The fsync of the file has committed the journal on ext4 and XFS already, so that
            # this finds nothing to do; POSIX promises it only with it.
            sync_folder(self._folder)
            for parent in self._parents:
                sync_folder(parent)
            self._parents = ()
            self._settled = entered


class Shelves:
    """Says where new files go.

    :param folder: the storage area
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._shelf: Shelf | None = None

    def place(self, uuid: str) -> tuple[Shelf, str]:
        """The shelf for a new file, and its UUID: the one given, beginning as the shelf does.

        :raises OSError: the folder cannot be made
        """
        with self._lock:
            shelf = self._shelf
            if shelf is None or not shelf.left:
                self._shelf = shelf = self._begin(uuid[:4])
            shelf.left -= 1
        return shelf, shelf.prefix + uuid[4:]

    def leave(self, shelf: Shelf) -> None:
        """Use a shelf no more, since something is wrong with it."""
        with self._lock:
            if self._shelf is shelf:
                self._shelf = None

    def _begin(self, prefix: str) -> Shelf:
        outer = f"{self._folder}/{prefix[:2]}"
        inner = f"{outer}/{prefix[2:4]}"
        # Whether an older entry is durable is not known: it may be of a server that was killed.
        for path in (outer, inner):
            with suppress(FileExistsError):
                os.mkdir(path)
        return Shelf(prefix, inner, (outer, self._folder))


def sync_folder(folder: str) -> None:
    """Make the entries of a folder durable.

    :raises OSError: it cannot be
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
