"""The threads of a server, and the way back from them into the reactor thread.

Not `twisted.python.threadpool`: a hand-over of an upload to it and back costs as much as
parsing the header does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure


class Mailbox:
    """Calls functions in the reactor thread, many of them for one wake-up.

    :param call_from_thread: ``reactor.callFromThread``
    """

    _log = Logger()

    def __init__(self, call_from_thread: Callable[..., object]) -> None:
        self._call_from_thread = call_from_thread
        self._letters: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_called = False

    def tell(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function(*args)`` soon, in order. Any thread."""
        self._letters.append((function, args))
        if not self._is_called:
            self._is_called = True
            self._call_from_thread(self._deliver)

    def _deliver(self) -> None:
        # First of all: what is appended from now on calls again, or is seen below.
        self._is_called = False
        letters = self._letters
        while letters:
            function, args = letters.popleft()
            try:
                function(*args)
            except Exception:
                self._log.failure("A call from a thread failed")


class Threads:
    """A pool of threads for what blocks. All methods: reactor thread.

    :param count: the most threads; they are started as they are needed
    :param tell: calls a function in the reactor thread (`Mailbox.tell`)
    """

    def __init__(self, count: int, tell: Callable[..., object]) -> None:
        self._tell = tell
        self._executor = ThreadPoolExecutor(count, "orthanc-tw")
        self._is_stopped = False

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Run a function; Deferred of its result. Fails with CancelledError after `stop`."""
        if self._is_stopped:
            return fail(CancelledError())
        deferred: Deferred[Any] = Deferred()

        def work() -> None:
            try:
                result = function(*args, **kwargs)
            except BaseException:
                self._tell(deferred.errback, Failure())
            else:
                self._tell(deferred.callback, result)

        self._executor.submit(work)
        return deferred

    def spawn(self, work: Callable[[], None], failed: Callable[[Failure], object]) -> None:
        """Run a function that tells of its end by itself; ``failed`` is called if it raises.

        After `stop`, it is called with a CancelledError at once.
        """
        if self._is_stopped:
            failed(Failure(CancelledError()))
            return

        def watched() -> None:
            try:
                work()
            except BaseException:
                self._tell(failed, Failure())

        self._executor.submit(watched)

    def stop(self) -> None:
        """Wait until all that was given has run; nothing more is taken."""
        self._is_stopped = True
        self._executor.shutdown()
