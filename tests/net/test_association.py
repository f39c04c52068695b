"""Associations that we open, against our own acceptor, in memory."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.write_meta_header import meta_header
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net import errors, pdu
from orthanc_tw.net.associations import Proposal
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.negotiation import CALLED_AET_NOT_RECOGNIZED
from orthanc_tw.net.scu.association import Association
from orthanc_tw.net.scu.pool import Associations, PoolSettings
from orthanc_tw.net.service import Responder, Service, ServiceRequest
from orthanc_tw.net.tracing import Trace
from orthanc_tw.net.values import Command, Dataset, InstanceFile, MoveOriginator, Reply
from orthanc_tw.testing.memory_index import MemoryIndex
from orthanc_tw.testing.memory_storage import MemoryStorage
from tests.net.messages import FIND, GET, INSTANCE, VERIFICATION, Handler, message
from tests.net.support import CT, EXPLICIT, IMPLICIT, Rig, Wire, instance_store, lose

MODALITY = RemoteModality("ORTHANC", "host", 104)
ECHO = (Proposal(VERIFICATION, (IMPLICIT,)),)
FILE = meta_header(CT, "1.2.3", EXPLICIT) + INSTANCE


def instance(content: bytes = FILE, syntax: str = EXPLICIT) -> InstanceFile:
    return InstanceFile(CT, "1.2.3", syntax, lambda: io.BytesIO(content))


class Net:
    """A pool whose connections lead to a `Rig`, and carry bytes when `pump` says so."""

    def __init__(self, rig: Rig, close_delay_s: float = 5, **options: Any) -> None:
        self.rig = rig
        self.pairs: list[tuple[Any, Wire, Any, Wire]] = []
        self.pool = Associations(
            PoolSettings("ME", close_delay_s=close_delay_s),
            self.connect,
            options.pop("host", rig.host),
            clock=rig.clock,
            traces=lambda: Trace.COMMANDS,
        )

    def connect(self, modality: RemoteModality, protocol: Any, timeout_s: float) -> Deferred[Any]:
        """Connect to the acceptor."""
        acceptor, theirs = self.rig.connect()
        ours = Wire()
        protocol.makeConnection(ours)
        self.pairs.append((protocol, ours, acceptor, theirs))
        done: Deferred[Any] = Deferred()
        done.callback(protocol)
        return done

    def pump(self) -> None:
        """Carry bytes to and fro until there are none; close what is to be closed."""
        moved = True
        while moved:
            moved = False
            for pair in list(self.pairs):
                ours, wire, theirs, other = pair
                for end, far in ((wire, theirs), (other, ours)):
                    data = end.take()
                    if data:
                        far.dataReceived(data)
                        moved = True
                if not moved and (wire.is_closing or other.is_closing):
                    self.pairs.remove(pair)
                    lose(ours)
                    lose(theirs)
                    moved = True


class AssociationTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A peer with storage, C-FIND and C-GET."""
        self.handler = Handler()
        self.index, self.storage = MemoryIndex(), MemoryStorage()
        services = (
            Service("c-find", Command.C_FIND, (FIND,), self.handler, lambda info: True),
            Service("c-get", Command.C_GET, (GET,), self.handler, lambda info: True, True),
        )
        self.rig = Rig(
            instance_store(self.index, self.storage), services=services, check_called_aet=True
        )
        self.net = Net(self.rig)

    def open(self, proposals: tuple[Proposal, ...] = ECHO, **options: Any) -> Association:
        """An association that stands."""
        opening = self.net.pool.acquire(MODALITY, proposals, **options)
        self.net.pump()
        found = self.successResultOf(opening)
        assert isinstance(found, Association)
        return found

    def test_echo(self) -> None:
        """An echo is answered, again and again; the end is a release."""
        association = self.open()
        for _ in range(3):
            echo = association.echo()
            self.net.pump()
            self.assertEqual(Reply(0), self.successResultOf(echo))
        releasing = association.release()
        self.net.pump()
        self.successResultOf(releasing)
        self.assertFalse(association.is_open)
        self.assertEqual([], self.rig.clock.getDelayedCalls())
        self.failureResultOf(association.echo(), errors.AssociationAborted)

    def test_kept(self) -> None:
        """What is given back is used again for the same, and released after the delay."""
        first = self.open()
        self.net.pool.give_back(first)
        self.assertIs(first, self.open())
        other = self.open((*ECHO, Proposal(CT, (IMPLICIT,))))
        self.assertIsNot(first, other)
        self.net.pool.give_back(first)
        self.rig.clock.advance(5)
        self.net.pump()
        self.assertEqual((False, True), (first.is_open, other.is_open))
        self.assertIsNot(first, self.open())

    def test_kept_and_lost(self) -> None:
        """What the peer ends while it is kept is not used again."""
        first = self.open()
        self.net.pool.give_back(first)
        self.rig.factory.abort_all()
        self.net.pump()
        second = self.open()
        self.assertIsNot(first, second)
        self.net.pool.give_back(second)
        closing = self.net.pool.close()
        self.net.pump()
        self.successResultOf(closing)
        self.failureResultOf(self.net.pool.acquire(MODALITY, ECHO), errors.AssociationAborted)
        self.assertEqual([], self.rig.clock.getDelayedCalls())

    def test_nothing_kept(self) -> None:
        """DicomAssociationCloseDelay 0: released at once; a busy one is aborted."""
        self.net = Net(self.rig, close_delay_s=0)
        association = self.open()
        self.net.pool.give_back(association)
        self.net.pump()
        self.assertFalse(association.is_open)
        busy = self.open()
        echo = busy.echo()
        self.net.pool.give_back(busy)
        self.failureResultOf(echo, errors.AssociationAborted)

    def test_rejected(self) -> None:
        """A rejection tells result, source, reason and what they mean."""
        stranger = RemoteModality("OTHER", "host", 104)
        opening = self.net.pool.acquire(stranger, ECHO)
        self.net.pump()
        error = self.failureResultOf(opening, errors.AssociationRejected).value
        expected = CALLED_AET_NOT_RECOGNIZED
        self.assertEqual(
            (expected.result, expected.source, expected.reason),
            (error.result, error.source, error.reason),
        )
        self.assertIn("called AE title not recognized", str(error))
        self.assertIn('AET "OTHER"', str(error))
        self.assertEqual(ErrorCode.NETWORK_PROTOCOL, error.code)

    def test_no_context(self) -> None:
        """No presentation context: an error with Orthanc's code and text, and a release."""
        opening = self.net.pool.acquire(MODALITY, [Proposal("1.2.3", (IMPLICIT,))])
        self.net.pump()
        error = self.failureResultOf(opening, errors.NoPresentationContext).value
        self.assertEqual(
            (2015, 'Unable to negotiate a presentation context with AET "ORTHANC"'),
            (int(error.code), error.details),
        )
        self.assertEqual([], self.net.pairs)

    def test_silent_peer(self) -> None:
        """A peer that does not answer the proposal, or a request, is given up in time."""
        opening = self.net.pool.acquire(MODALITY, ECHO, timeout_s=8)
        self.rig.clock.pump([1] * 10)
        self.failureResultOf(opening, errors.AssociationTimeout)
        association = self.open(timeout_s=8)
        echo = association.echo()
        self.rig.clock.pump([1] * 10)
        self.failureResultOf(echo, errors.AssociationTimeout)
        self.assertFalse(association.is_open)

    def test_idle_is_not_silent(self) -> None:
        """An association in use by nobody is not given up by our timeout."""
        self.rig.factory.settings = type(self.rig.factory.settings)(0)
        association = self.open(timeout_s=8)
        self.rig.clock.pump([1] * 100)
        self.assertTrue(association.is_open)

    def test_garbage(self) -> None:
        """A peer that speaks something else fails the association."""
        opening = self.net.pool.acquire(MODALITY, ECHO)
        requestor, wire, _, _ = self.net.pairs[-1]
        wire.take()
        requestor.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.failureResultOf(opening, errors.AssociationAborted)
        self.assertEqual(pdu.encode_abort(pdu.Abort(2, 1)), wire.take())

    def test_cancel_connecting(self) -> None:
        """Cancelling gives up the association that is being made."""
        opening = self.net.pool.acquire(MODALITY, ECHO)
        self.net.pairs[-1][1].take()
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(pdu.encode_abort(pdu.Abort(0, 0)), self.net.pairs[-1][1].take())

    def test_store(self) -> None:
        """A file is sent as it is, without its meta header."""
        association = self.open((Proposal(CT, (EXPLICIT,)),))
        self.assertEqual([EXPLICIT], association.accepted(CT))
        storing = association.store(instance(), MoveOriginator("MOVER", 7))
        self.net.pump()
        self.assertEqual(0, self.successResultOf(storing).status)
        (content,) = self.storage.files.values()
        self.assertTrue(content.endswith(INSTANCE))
        self.assertTrue(content.startswith(meta_header(CT, "1.2.3", EXPLICIT)))

    def test_store_large(self) -> None:
        """A file of many chunks arrives whole; who takes nothing holds it back."""
        pixels = bytes(range(256)) * 4096  # 1 MB
        tail = b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
        association = self.open((Proposal(CT, (EXPLICIT,)),))
        requestor, wire, _acceptor, _theirs = self.net.pairs[-1]
        requestor.pauseProducing()
        storing = association.store(instance(FILE + tail))
        self.assertLess(len(wire.sent), 300_000)
        while not storing.called:
            requestor.resumeProducing()
            requestor.pauseProducing()
            self.net.pump()
        self.assertEqual(0, self.successResultOf(storing).status)
        (content,) = self.storage.files.values()
        self.assertTrue(content.endswith(INSTANCE + tail))

    def test_store_failures(self) -> None:
        """No context, a file that is none or lies: errors, and the association goes on."""
        association = self.open((Proposal(CT, (EXPLICIT,)),))
        self.failureResultOf(
            association.store(instance(syntax=IMPLICIT)), errors.NoPresentationContext
        )
        lying = meta_header(CT, "1.2.3", IMPLICIT) + INSTANCE
        error = self.failureResultOf(association.store(instance(lying)), OrthancError).value
        self.assertEqual(ErrorCode.BAD_FILE_FORMAT, error.code)

        def missing() -> Any:
            raise FileNotFoundError

        self.failureResultOf(
            association.store(InstanceFile(CT, "1.2.3", EXPLICIT, missing)), FileNotFoundError
        )
        self.assertTrue(association.is_open)
        storing = association.store(instance())
        self.net.pump()
        self.assertEqual(0, self.successResultOf(storing).status)

    def test_unreadable_amid(self) -> None:
        """A file that breaks off amid the data set aborts the association."""

        class Broken(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell() > 300_000:
                    raise OSError("disk")
                return super().read(size)

        association = self.open((Proposal(CT, (EXPLICIT,)),))
        content = FILE + bytes(1_000_000)
        storing = association.store(InstanceFile(CT, "1.2.3", EXPLICIT, lambda: Broken(content)))
        self.net.pump()
        self.failureResultOf(storing, OSError)
        self.assertFalse(association.is_open)
        self.assertEqual(set(), set(self.storage.spools))

    def test_cancel_store(self) -> None:
        """Cancelling an operation aborts the association."""
        association = self.open()
        echo = association.echo()
        echo.cancel()
        self.failureResultOf(echo, CancelledError)
        self.assertFalse(association.is_open)

    def find(
        self, answer: Any, statuses: tuple[int, ...] = (0xFF00, 0xFF00, 0)
    ) -> tuple[Association, Deferred[Reply]]:
        """A C-FIND that the peer answers so."""
        association = self.open((Proposal(FIND, (IMPLICIT,)),))
        finding = association.find(FIND, lambda syntax: syntax.encode(), answer)
        self.net.pump()
        request, responder, done = self.handler.calls[-1]
        self.assertEqual(Dataset(IMPLICIT, IMPLICIT.encode()), request.dataset)
        for number, status in enumerate(statuses[:-1]):
            responder.pending(Reply(status, dataset=Dataset(IMPLICIT, b"%d" % number)))
        done.callback(Reply(statuses[-1]))
        self.net.pump()
        return association, finding

    def test_find(self) -> None:
        """Each identifier is told, then the final status."""
        answers: list[Dataset] = []
        _, finding = self.find(answers.append)
        self.assertEqual(0, self.successResultOf(finding).status)
        self.assertEqual([b"0", b"1"], [item.content for item in answers])

    def test_find_slowly(self) -> None:
        """A Deferred of the callback holds back the next identifier, then the peer."""
        gates: list[Deferred[None]] = []

        def answer(dataset: Dataset) -> Deferred[None]:
            gates.append(Deferred())
            return gates[-1]

        _, finding = self.find(answer, (0xFF00,) * 300 + (0,))
        self.assertEqual(1, len(gates))
        self.assertFalse(self.net.pairs[-1][1].is_reading)
        for number in range(300):
            gates[number].callback(None)
        self.assertTrue(self.net.pairs[-1][1].is_reading)
        self.assertEqual(0, self.successResultOf(finding).status)

    def test_find_broken(self) -> None:
        """A callback that raises cancels the query; the association goes on."""

        def answer(dataset: Dataset) -> None:
            raise ValueError("enough")

        association, finding = self.find(answer, (0xFF00, 0xFE00))
        self.failureResultOf(finding, ValueError)
        self.assertTrue(association.is_open)

    def test_cancel_find(self) -> None:
        """C-CANCEL reaches the peer, whose final status ends the query."""
        association = self.open((Proposal(FIND, (IMPLICIT,)),))
        finding = association.find(FIND, lambda syntax: b"", lambda dataset: None)
        self.net.pump()
        association.cancel()
        self.net.pump()
        _, responder, done = self.handler.calls[-1]
        self.assertTrue(responder.is_cancelled)
        done.callback(Reply(0xFE00))
        self.net.pump()
        self.assertEqual(0xFE00, self.successResultOf(finding).status)

    def test_get(self) -> None:
        """C-GET: the peer sends instances over the same association, which are stored here."""
        storage = MemoryStorage()
        mine = Rig(instance_store(MemoryIndex(), storage))
        self.net = Net(self.rig, host=mine.host)
        association = self.open(
            (Proposal(GET, (IMPLICIT,)), Proposal(CT, (EXPLICIT,), scp_role=True))
        )
        progress: list[Reply] = []
        getting = association.get(GET, lambda syntax: b"", progress.append)
        self.net.pump()
        _request, responder, done = self.handler.calls[-1]
        self.assertTrue(responder.accepts(CT, EXPLICIT))
        self.assertFalse(responder.accepts(CT, IMPLICIT))
        sub = responder.store(instance())
        responder.pending(Reply(0xFF00, remaining=1, completed=0, failed=0, warning=0))
        self.net.pump()
        self.assertEqual(0, self.successResultOf(sub).status)
        done.callback(Reply(0, completed=1, failed=0, warning=0))
        self.net.pump()
        self.assertEqual(1, self.successResultOf(getting).completed)
        self.assertEqual([1], [reply.remaining for reply in progress])
        (content,) = storage.files.values()
        self.assertTrue(content.endswith(INSTANCE))

    def test_against_the_roles(self) -> None:
        """A peer that sends what it was not asked for is aborted."""
        association = self.open((Proposal(CT, (EXPLICIT,)),))
        requestor, wire, _, _ = self.net.pairs[-1]
        requestor.dataReceived(message(1, {0x0100: 0x0001, 0x0110: 1, 0x0002: CT}, INSTANCE))
        self.assertEqual(pdu.ABORT, wire.take()[0])
        self.assertFalse(association.is_open)

    def test_actions(self) -> None:
        """N-ACTION and N-EVENT-REPORT carry their types, UIDs and information."""

        class Commitment:
            seen: list[ServiceRequest] = []

            async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
                self.seen.append(request)
                return Reply(0)

        uid = "1.2.840.10008.1.20.1"
        handler = Commitment()
        rig = Rig(
            services=tuple(
                Service(command.name, command, (uid,), handler, lambda info: True)
                for command in (Command.N_ACTION, Command.N_EVENT_REPORT)
            )
        )
        self.net = Net(rig)
        association = self.open((Proposal(uid, (IMPLICIT,)),))
        for call, information in (
            (association.action, lambda syntax: b"ab"),
            (association.event_report, None),
        ):
            running = call(uid, uid + ".1", 2, information)
            self.net.pump()
            self.assertEqual(0, self.successResultOf(running).status)
        first, second = handler.seen
        self.assertEqual(
            (Command.N_ACTION, uid, uid + ".1", 2, Dataset(IMPLICIT, b"ab")),
            (
                first.command,
                first.sop_class_uid,
                first.sop_instance_uid,
                first.action_type_id,
                first.dataset,
            ),
        )
        self.assertEqual(
            (Command.N_EVENT_REPORT, 2, None),
            (second.command, second.action_type_id, second.dataset),
        )
