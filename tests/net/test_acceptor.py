"""An association as its acceptor sees it: negotiation, storage, violations, silence."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.net import dimse, pdu
from orthanc_tw.net.machine import State
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.pdu import AssociateRequest, ProposedContext
from orthanc_tw.net.scp.acceptor import Acceptor
from orthanc_tw.net.sender import fragments
from orthanc_tw.net.user_items import Role, UserInformation
from orthanc_tw.net.values import Status
from orthanc_tw.testing.memory_index import MemoryIndex
from orthanc_tw.testing.memory_storage import MemoryStorage
from tests.net.messages import (
    FIND,
    INSTANCE,
    VERIFICATION,
    commands,
    echo,
    message,
    pdus,
    request,
    store,
)
from tests.net.support import CT, EXPLICIT, IMPLICIT, Rig, Wire, instance_store, lose


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
