"""How many operations may run at once, over all associations (``DicomThreadsCount``)."""

from __future__ import annotations

from twisted.internet.defer import DeferredSemaphore


class Slots:
    """Two sets of slots, so that a C-MOVE to this very server cannot wait for itself.

    An operation takes its slot when its request is whole: who sends slowly holds none.
    """

    def __init__(self, count: int) -> None:
        self.storage = DeferredSemaphore(count)
        self.services = DeferredSemaphore(count)
