"""Services that are handed in: answers, cancellation, limits, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net import dimse, pdu
from orthanc_tw.net.sender import fragments
from orthanc_tw.net.service import Service
from orthanc_tw.net.values import Command, Dataset, Reply, Status
from tests.net.messages import (
    FIND,
    GET,
    Handler,
    commands,
    find,
    message,
    pdus,
    request,
)
from tests.net.support import EXPLICIT, Rig, lose


class ServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A server with C-FIND, and an association to it."""
        self.handler = Handler()
        self.allowed = True
        self.rig = self.make()
        self.acceptor, self.wire = self.rig.connect()
        self.acceptor.dataReceived(request(FIND))
        self.wire.take()

    def make(self, is_allowed: Callable[[Any], bool] = lambda info: True, **options: Any) -> Rig:
        """A server with C-FIND and C-GET."""
        return Rig(
            services=(
                Service("c-find", Command.C_FIND, (FIND,), self.handler, is_allowed),
                Service("c-get", Command.C_GET, (GET,), self.handler, is_allowed, True),
            ),
            **options,
        )

    def test_answers(self) -> None:
        """A handler sees the request; pending and final responses go out in order."""
        self.acceptor.dataReceived(find(5))
        ((asked, responder, done),) = self.handler.calls
        self.assertEqual((Command.C_FIND, 5, 2), (asked.command, asked.message_id, asked.priority))
        self.assertEqual(FIND, asked.sop_class_uid)
        self.assertEqual(Dataset(EXPLICIT, b"abcd"), asked.dataset)
        self.assertEqual("SCU", asked.association.calling_aet)
        self.successResultOf(responder.pending(Reply(0xFF00, dataset=Dataset(EXPLICIT, b"xy"))))
        done.callback(Reply(0, remaining=0, completed=3, failed=70000, warning=0))
        pending, final = commands(self.wire.take())
        self.assertEqual((0xFF00, 1), (pending[dimse.STATUS], pending[dimse.DATA_SET_TYPE]))
        self.assertEqual((0, 0x0101), (final[dimse.STATUS], final[dimse.DATA_SET_TYPE]))
        self.assertEqual((3, 65535), (final[dimse.COMPLETED], final[dimse.FAILED]))
        self.assertEqual([("c-find", 0)], self.rig.observed)

    def test_back_pressure(self) -> None:
        """Who does not take the answers holds back the next one."""
        self.acceptor.dataReceived(find(5))
        ((_, responder, _),) = self.handler.calls
        self.acceptor.pauseProducing()
        waiting = responder.pending(Reply(0xFF00))
        self.assertNoResult(waiting)
        self.acceptor.resumeProducing()
        self.successResultOf(waiting)

    def test_cancel(self) -> None:
        """C-CANCEL reaches the handler, which answers; one for nothing is ignored."""
        self.acceptor.dataReceived(find(5))
        ((_, responder, done),) = self.handler.calls
        seen: list[int] = []
        responder.on_cancel(lambda: seen.append(1))
        for number in (6, 5, 5):
            cancel = {dimse.COMMAND_FIELD: 0x0FFF, dimse.MESSAGE_ID_RESPONDED_TO: number}
            self.assertEqual(responder.is_cancelled, bool(seen))
            self.acceptor.dataReceived(message(1, cancel))  # type: ignore[arg-type]
        self.assertEqual(([1], True), (seen, responder.is_cancelled))
        done.callback(Reply(Status.CANCEL))
        (final,) = commands(self.wire.take())
        self.assertEqual(0xFE00, final[dimse.STATUS])

    def test_end_amid(self) -> None:
        """When the association ends the handler is cancelled, and sending fails."""
        self.acceptor.dataReceived(find(5))
        ((_, responder, _done),) = self.handler.calls
        lose(self.acceptor)
        self.assertEqual((1, True), (self.handler.cancelled, responder.is_cancelled))
        self.failureResultOf(responder.pending(Reply(0xFF00)), OrthancError)
        self.assertEqual(4, self.rig.host.slots.services.tokens)

    def test_errors(self) -> None:
        """An error of the handler is a final response with its text."""
        for error, comment in (
            (OrthancError(ErrorCode.BAD_REQUEST), "Bad request"),
            (ValueError("secret"), "an error of this server"),
        ):
            self.acceptor.dataReceived(find(5))
            self.handler.calls.pop()[2].errback(error)
            (final,) = commands(self.wire.take())
            self.assertEqual((0xC000, comment), (final[dimse.STATUS], final[dimse.ERROR_COMMENT]))
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_slots(self) -> None:
        """DicomThreadsCount operations run at once; the others wait, and stay cancellable."""
        rig = self.make(operations=1)
        ends = []
        for number in range(3):
            acceptor, wire = rig.connect()
            acceptor.dataReceived(request(FIND))
            acceptor.dataReceived(find(number))
            ends.append((acceptor, wire))
        self.assertEqual(1, len(self.handler.calls))
        lose(ends[1][0])
        self.handler.calls[0][2].callback(Reply(0))
        self.assertEqual([0, 2], [call[0].message_id for call in self.handler.calls])

    def test_busy_is_not_silent(self) -> None:
        """While we owe an answer the client may be silent."""
        self.acceptor.dataReceived(find(5))
        self.rig.clock.pump([10] * 100)
        self.assertEqual(b"", self.wire.take())
        self.handler.calls[0][2].callback(Reply(0))
        self.wire.take()
        self.rig.clock.pump([10] * 5)
        self.assertEqual(pdu.ABORT, pdus(self.wire.take())[0][0])

    def test_not_taken(self) -> None:
        """A client that takes nothing of the answer for too long is aborted."""
        self.acceptor.dataReceived(find(5))
        self.acceptor.pauseProducing()
        self.rig.clock.pump([10] * 5)
        self.assertEqual(pdu.ABORT, pdus(self.wire.take())[0][0])
        self.assertEqual(1, self.handler.cancelled)

    def test_too_many(self) -> None:
        """Requests that are sent ahead are answered up to a limit, then the client is aborted."""
        for number in range(16):
            self.acceptor.dataReceived(find(number))
        self.assertEqual(b"", self.wire.take())
        self.acceptor.dataReceived(find(16))
        self.assertEqual(pdu.ABORT, pdus(self.wire.take())[0][0])
        self.assertEqual(4, self.handler.cancelled)

    def test_unknown_operations(self) -> None:
        """Commands that nobody provides: 0x0211."""
        for field in (0x21, 0x0150, 0x77):
            sent = {dimse.COMMAND_FIELD: field, dimse.MESSAGE_ID: 1}
            self.acceptor.dataReceived(message(1, sent))  # type: ignore[arg-type]
            (final,) = commands(self.wire.take())
            self.assertEqual(0x0211, final[dimse.STATUS])
            self.assertEqual(field | 0x8000, final[dimse.COMMAND_FIELD])

    def test_large_identifier(self) -> None:
        """A data set beyond the limit of memory aborts the association."""
        sent = find(1, b"")
        self.acceptor.dataReceived(sent[: len(sent) - 12])
        chunk = b"".join(fragments(1, bytes(100_000), 100_000, is_command=False, is_last=False))
        for _ in range(170):
            self.acceptor.dataReceived(chunk)
        self.assertEqual(pdu.ABORT, pdus(self.wire.take())[0][0])

    def test_cancelled_error(self) -> None:
        """A handler that cancels its own work ends with the status of cancelled work."""
        self.acceptor.dataReceived(find(5))
        self.handler.calls[0][2].errback(CancelledError())
        (final,) = commands(self.wire.take())
        self.assertEqual(0xFE00, final[dimse.STATUS])
