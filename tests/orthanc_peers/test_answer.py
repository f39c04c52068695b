"""`BodyReader`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from orthanc_tw.peers.answer import BodyReader


class Transport:
    """Notes what a reader asks of its connection."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.asked.append(name)


class BodyReaderTests(SynchronousTestCase):
    """`BodyReader`, piece by piece."""

    def test_back_pressure(self) -> None:
        """While a piece is taken no other is handed over, and the connection is paused."""
        taken: list[bytes] = []
        waits: list[Deferred[None]] = []

        def consume(data: bytes) -> Deferred[None]:
            taken.append(data)
            waits.append(Deferred())
            return waits[-1]

        transport = Transport()
        reader = BodyReader(0, lambda: None, consume)
        reader.transport = transport  # type: ignore[assignment]
        reader.dataReceived(b"a")
        reader.dataReceived(b"b")
        reader.connectionLost(Failure(ResponseDone()))
        self.assertEqual(([b"a"], ["pauseProducing"]), (taken, transport.asked))
        self.assertNoResult(reader.body)
        waits[0].callback(None)
        self.assertEqual([b"a", b"b"], taken)
        self.assertNoResult(reader.body)
        waits[1].callback(None)
        self.assertEqual(b"", self.successResultOf(reader.body))

    def test_cancel(self) -> None:
        """Cancelled, what takes a piece is cancelled, and the connection closed."""
        cancelled: list[object] = []
        transport = Transport()
        reader = BodyReader(0, lambda: None, lambda data: Deferred(cancelled.append))
        reader.transport = transport  # type: ignore[assignment]
        reader.dataReceived(b"a")
        reader.body.cancel()
        self.failureResultOf(reader.body, CancelledError)
        self.assertEqual(1, len(cancelled))
        self.assertIn("loseConnection", transport.asked)
