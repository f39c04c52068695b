from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net import dimse, pdu
from orthanc_tw.net.interface import (
    Command,
    Dataset,
    Reply,
    Responder,
    Service,
    ServiceRequest,
    Status,
)
from orthanc_tw.net.machine import State
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.pdu import AssociateRequest, ProposedContext
from orthanc_tw.net.scp.acceptor import Acceptor
from orthanc_tw.net.sender import fragments
from orthanc_tw.net.user_items import Role, UserInformation
from orthanc_tw.testing.memory_index import MemoryIndex
from orthanc_tw.testing.memory_storage import MemoryStorage
from tests.net.support import CT, EXPLICIT, IMPLICIT, Rig, Wire, instance_store, lose

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
GET = "1.2.840.10008.5.1.4.1.2.2.3"


def request(
    *classes: str,
    calling: str = "SCU",
    called: str = "ORTHANC",
    syntaxes: tuple[str, ...] = (EXPLICIT, IMPLICIT),
    **user: Any,
) -> bytes:
    """An A-ASSOCIATE-RQ."""
    contexts = tuple(ProposedContext(2 * n + 1, uid, syntaxes) for n, uid in enumerate(classes))
    return pdu.encode_request(
        AssociateRequest(called, calling, contexts, UserInformation(16384, **user))
    )


def message(context: int, command: dict[int, int | str], dataset: bytes | None = None) -> bytes:
    """A DIMSE message as P-DATA-TF."""
    kind = dimse.NO_DATA_SET if dataset is None else dimse.HAS_DATA_SET
    encoded = dimse.encode_command({dimse.DATA_SET_TYPE: kind, **command})
    pieces = fragments(context, encoded, 1000, is_command=True, is_last=True)
    if dataset is not None:
        pieces += fragments(context, dataset, 1000, is_command=False, is_last=True)
    return b"".join(pieces)


def echo(message_id: int = 1, context: int = 1) -> bytes:
    return message(
        context,
        {
            dimse.COMMAND_FIELD: Command.C_ECHO,
            dimse.MESSAGE_ID: message_id,
            dimse.AFFECTED_SOP_CLASS_UID: VERIFICATION,
        },
    )


def store(dataset: bytes, message_id: int = 1, context: int = 1, uid: str = "1.2.3") -> bytes:
    return message(
        context,
        {
            dimse.COMMAND_FIELD: Command.C_STORE,
            dimse.MESSAGE_ID: message_id,
            dimse.AFFECTED_SOP_CLASS_UID: CT,
            dimse.AFFECTED_SOP_INSTANCE_UID: uid,
        },
        dataset,
    )


def pdus(stream: bytes) -> list[tuple[int, bytes]]:
    """Type and body of PDUs."""
    found = []
    while stream:
        kind, length = pdu.HEADER.unpack_from(stream)
        found.append((kind, stream[6 : 6 + length]))
        stream = stream[6 + length :]
    return found


def commands(stream: bytes) -> list[dict[int, int | str]]:
    """The command sets of messages."""
    return [
        dimse.decode_command(fragment)
        for kind, body in pdus(stream)
        if kind == pdu.P_DATA
        for _, control, fragment in pdu.values(body)
        if control & pdu.IS_COMMAND
    ]


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """Explicit VR little endian."""
    value += b" " if len(value) & 1 else b""
    return (
        bytes((tag >> 16 & 255, tag >> 24, tag & 255, tag >> 8 & 255))
        + vr
        + bytes((len(value) & 255, len(value) >> 8))
        + value
    )


INSTANCE = b"".join(
    (
        element(0x00080016, b"UI", CT.encode() + b"\0"),
        element(0x00080018, b"UI", b"1.2.3\0"),
        element(0x00100020, b"LO", b"P"),
        element(0x0020000D, b"UI", b"1.2\0"),
        element(0x0020000E, b"UI", b"1.2.1\0"),
    )
)


class AcceptorTests(SynchronousTestCase):
    def open(self, rig: Rig, *classes: str, **options: Any) -> tuple[Acceptor, Wire]:
        """An association that stands."""
        acceptor, wire = rig.connect()
        acceptor.dataReceived(request(*classes, **options))
        ((kind, _),) = pdus(wire.take())
        self.assertEqual(pdu.AC, kind)
        return acceptor, wire

    def rejected(self, rig: Rig, **options: Any) -> tuple[int, int, int]:
        """Result, source and reason of a rejection."""
        acceptor, wire = rig.connect()
        acceptor.dataReceived(request(VERIFICATION, **options))
        ((kind, body),) = pdus(wire.take())
        self.assertEqual(pdu.RJ, kind)
        found = pdu.decode_reject(body)
        return found.result, found.source, found.reason

    def test_echo_and_release(self) -> None:
        """An echo is answered with success, a release with a release; then it is closed."""
        rig = Rig()
        acceptor, wire = self.open(rig, VERIFICATION)
        acceptor.dataReceived(echo())
        (answer,) = commands(wire.take())
        self.assertEqual(0x8030, answer[dimse.COMMAND_FIELD])
        self.assertEqual(1, answer[dimse.MESSAGE_ID_RESPONDED_TO])
        self.assertEqual(0, answer[dimse.STATUS])
        self.assertEqual([("c-echo", 0)], rig.observed)
        acceptor.dataReceived(pdu.encode_release(pdu.RELEASE_RQ))
        self.assertEqual([(pdu.RELEASE_RP, bytes(4))], pdus(wire.take()))
        lose(acceptor)
        self.assertEqual([], rig.clock.getDelayedCalls())
        self.assertEqual(set(), rig.factory.connections)

    def test_byte_by_byte(self) -> None:
        """How the bytes are cut does not matter."""
        acceptor, wire = Rig().connect()
        for byte in request(VERIFICATION) + echo(7) + pdu.encode_release(pdu.RELEASE_RQ):
            acceptor.dataReceived(bytes((byte,)))
        found = pdus(wire.take())
        self.assertEqual(
            [pdu.AC, pdu.P_DATA, pdu.RELEASE_RP],
            [kind for kind, _ in found],
        )

    def test_negotiation(self) -> None:
        """Contexts one by one: accepted in the first syntax that is, refused with the reason."""
        acceptor, wire = Rig().connect()
        contexts = (
            ProposedContext(1, CT, ("1.2.840.10008.1.2.4.50", IMPLICIT, EXPLICIT)),
            ProposedContext(3, CT, ("1.2.840.10008.1.2.4.50",)),
            ProposedContext(5, "1.2.3.4", (IMPLICIT,)),
            ProposedContext(7, "not a UID" * 20, (IMPLICIT,)),
            ProposedContext(9, VERIFICATION, (IMPLICIT,)),
        )
        user = UserInformation(
            0, asynchronous=(8, 8), roles=(Role(CT, scu=True, scp=True),), extended=((CT, b"\2"),)
        )
        acceptor.dataReceived(
            pdu.encode_request(AssociateRequest("ORTHANC", "SCU", contexts, user))
        )
        ((_, body),) = pdus(wire.take())
        accept = pdu.decode_accept(body)
        self.assertEqual([0, 4, 3, 3, 0], [item.result for item in accept.contexts])
        self.assertEqual(IMPLICIT, accept.contexts[0].transfer_syntax)
        self.assertEqual((1, 1), accept.user.asynchronous)
        self.assertEqual((Role(CT, scu=True, scp=False),), accept.user.roles)
        self.assertEqual((), accept.user.extended)

    def test_unknown_classes(self) -> None:
        """Unknown SOP classes are taken for storage if the option says so; services never are."""
        rig = Rig()
        object.__setattr__(rig.policy, "unknown_classes", True)
        acceptor, wire = rig.connect()
        acceptor.dataReceived(request("1.2.3.4", FIND, "1.2.840.10008.5.1.4.31"))
        ((_, body),) = pdus(wire.take())
        self.assertEqual([0, 3, 3], [item.result for item in pdu.decode_accept(body).contexts])

    def test_rejections(self) -> None:
        """Titles that are not known, as the options want it."""
        known = {"one": RemoteModality("Known", "10.0.0.9", 104)}
        strict = Rig(check_called_aet=True, strict_aet_comparison=True)
        self.assertEqual((1, 1, 7), self.rejected(strict, called="orthanc"))
        self.open(Rig(check_called_aet=True), VERIFICATION, called="orthanc")
        closed = Rig(modalities=known, always_allowed=frozenset())
        self.assertEqual((1, 1, 3), self.rejected(closed, calling="SCU"))
        self.open(closed, VERIFICATION, calling="KNOWN")
        elsewhere = {"one": RemoteModality("KNOWN", "10.0.0.8", 104)}
        checked = Rig(modalities=elsewhere, always_allowed=frozenset(), check_modality_host=True)
        self.assertEqual((1, 1, 3), self.rejected(checked, calling="KNOWN"))

    def test_permissions(self) -> None:
        """What a modality is not allowed is refused with 0x0124, unless it is allowed to all."""
        known = {"one": RemoteModality("SCU", "x", 104, allow_echo=False)}
        for always, status in ((frozenset(), 0x0124), (frozenset({"echo"}), 0)):
            acceptor, wire = self.open(Rig(modalities=known, always_allowed=always), VERIFICATION)
            acceptor.dataReceived(echo())
            (answer,) = commands(wire.take())
            self.assertEqual(status, answer[dimse.STATUS])

    def test_store(self) -> None:
        """An instance is stored with its origin; the file begins with a meta header."""
        index, storage = MemoryIndex(), MemoryStorage()
        acceptor, wire = self.open(Rig(instance_store(index, storage)), CT)
        acceptor.dataReceived(store(INSTANCE))
        (answer,) = commands(wire.take())
        self.assertEqual(0, answer[dimse.STATUS])
        self.assertEqual("1.2.3", answer[dimse.AFFECTED_SOP_INSTANCE_UID])
        (content,) = storage.files.values()
        self.assertEqual(b"DICM", content[128:132])
        self.assertTrue(content.endswith(INSTANCE))
        self.assertIn(EXPLICIT.encode(), content)
        acceptor.dataReceived(store(INSTANCE, 2))
        (answer,) = commands(wire.take())
        self.assertEqual(0, answer[dimse.STATUS])
        self.assertEqual(1, len(storage.files))

    def test_store_failures(self) -> None:
        """A full storage, garbage, a wrong UID: the status says which, and it goes on."""
        storage = MemoryStorage()
        rig = Rig(instance_store(MemoryIndex(), storage))
        acceptor, wire = self.open(rig, CT)
        for sent, status in (
            (store(b"garbage", 1), Status.CANNOT_UNDERSTAND),
            (store(b"", 2), Status.CANNOT_UNDERSTAND),
            (store(INSTANCE, 3, uid=""), 0x0117),
            (store(INSTANCE, 4, uid="x" * 65), 0x0117),
        ):
            acceptor.dataReceived(sent)
            (answer,) = commands(wire.take())
            self.assertEqual(status, answer[dimse.STATUS])
        storage.capacity_bytes = 1000
        acceptor.dataReceived(store(INSTANCE + bytes(2000), 5))
        (answer,) = commands(wire.take())
        self.assertEqual(0xA700, answer[dimse.STATUS])
        self.assertEqual((set(), {}), (set(storage.spools), dict(storage.files)))
        acceptor.dataReceived(store(INSTANCE, 6))
        (answer,) = commands(wire.take())
        self.assertEqual(0, answer[dimse.STATUS])

    def test_broken_off(self) -> None:
        """A data set that does not end leaves no spool behind."""
        storage = MemoryStorage()
        rig = Rig(instance_store(MemoryIndex(), storage))
        acceptor, _ = self.open(rig, CT)
        acceptor.dataReceived(store(INSTANCE * 10)[:-1])
        self.assertEqual(1, len(storage.spools))
        lose(acceptor)
        self.assertEqual(set(), set(storage.spools))
        self.assertEqual([], rig.clock.getDelayedCalls())

    def test_violations(self) -> None:
        """What PS3.7 and PS3.8 forbid ends in A-ABORT; the ARTIM timer closes."""
        command = dimse.encode_command({dimse.COMMAND_FIELD: 0x30, dimse.MESSAGE_ID: 1})
        half = b"".join(fragments(1, command, 1000, is_command=True, is_last=False))
        data = b"".join(fragments(1, b"ab", 1000, is_command=False, is_last=True))
        long = b"".join(fragments(1, bytes(20000), 16000, is_command=True, is_last=False))
        for sent in (
            echo(context=9),
            data,
            half + data,
            half + echo(context=3),
            long,
            message(1, {dimse.COMMAND_FIELD: 0x8030, dimse.MESSAGE_ID_RESPONDED_TO: 4}),
            message(1, {dimse.COMMAND_FIELD: 0x30}),
            message(1, {dimse.MESSAGE_ID: 1}),
            message(1, {dimse.COMMAND_FIELD: 1, dimse.MESSAGE_ID: 1}),
            request(VERIFICATION),
            pdu.encode_release(pdu.RELEASE_RP),
            b"\x09\0\0\0\0\0",
            b"\x04\0\xff\xff\xff\xff",
            b"\x04\0\0\0\0\0",
            b"\x05\0\0\0\0\x05hello",
        ):
            rig = Rig(instance_store(MemoryIndex(), MemoryStorage()))
            acceptor, wire = self.open(rig, VERIFICATION, CT)
            acceptor.dataReceived(sent)
            self.assertEqual(pdu.ABORT, pdus(wire.take())[-1][0], sent)
            acceptor.dataReceived(echo())
            self.assertEqual(b"", wire.take())
            rig.clock.advance(30)
            self.assertTrue(wire.is_closing)
            lose(acceptor)
            self.assertEqual([], rig.clock.getDelayedCalls())

    def test_artim(self) -> None:
        """Who does not ask for an association in time is disconnected, bytes or not."""
        rig = Rig(timeout_s=8)
        acceptor, wire = rig.connect()
        for byte in request(VERIFICATION)[:7]:
            rig.clock.advance(1)
            acceptor.dataReceived(bytes((byte,)))
        self.assertFalse(wire.is_closing)
        rig.clock.advance(1)
        self.assertTrue(wire.is_closing)

    def test_silence(self) -> None:
        """A client that is silent amid an association, or sends no whole PDU, is aborted."""
        for slow in (b"", b"\x04\0\0\0\x10\0" + bytes(100)):
            rig = Rig(timeout_s=8)
            acceptor, wire = self.open(rig, VERIFICATION)
            for second in range(10):
                self.assertEqual(State.ESTABLISHED, acceptor._upper_layer.state, second)
                rig.clock.advance(1)
                acceptor.dataReceived(slow[second : second + 1])
                if wire.sent:
                    break
            self.assertIn(second, (7, 8, 9))
            self.assertEqual(pdu.ABORT, pdus(wire.take())[0][0])

    def test_silence_for_ever(self) -> None:
        """DicomScpTimeout 0: an association may be silent."""
        rig = Rig(timeout_s=0)
        acceptor, wire = self.open(rig, VERIFICATION)
        rig.clock.advance(100000)
        acceptor.dataReceived(echo())
        self.assertEqual(1, len(commands(wire.take())))


class Handler:
    """`ServiceHandler` that a test steers."""

    def __init__(self) -> None:
        self.calls: list[tuple[ServiceRequest, Responder, Deferred[Reply]]] = []
        self.cancelled = 0

    def handle(self, request: ServiceRequest, responder: Responder) -> Deferred[Reply]:
        """Wait for the test."""

        def cancel(deferred: Deferred[Reply]) -> None:
            self.cancelled += 1

        done: Deferred[Reply] = Deferred(cancel)
        self.calls.append((request, responder, done))
        return done


def find(message_id: int, identifier: bytes | None = b"abcd") -> bytes:
    return message(
        1,
        {
            dimse.COMMAND_FIELD: Command.C_FIND,
            dimse.MESSAGE_ID: message_id,
            dimse.AFFECTED_SOP_CLASS_UID: FIND,
            dimse.PRIORITY: 2,
        },
        identifier,
    )


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
