"""Broken and hostile peers: whatever comes, no error, no memory, and the next one works."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.net import dimse, pdu
from orthanc_tw.net.machine import State
from orthanc_tw.net.upper_layer import UpperLayer
from orthanc_tw.testing.memory_index import MemoryIndex
from orthanc_tw.testing.memory_storage import MemoryStorage
from tests.net.messages import (
    FIND,
    INSTANCE,
    VERIFICATION,
    Handler,
    commands,
    echo,
    find,
    message,
    request,
    store,
)
from tests.net.support import CT, Rig, instance_store, lose

# Well-formed pieces, so that the fuzzer gets beyond the first PDU.
PIECES = (
    request(VERIFICATION, CT, FIND),
    echo(),
    store(INSTANCE, 1, context=3),
    find(2),
    message(5, {0x0100: 0x0FFF, 0x0120: 2}),
    message(1, {0x0100: 0x8001, 0x0120: 1, 0x0900: 0}),
    pdu.encode_release(pdu.RELEASE_RQ),
    pdu.encode_release(pdu.RELEASE_RP),
    pdu.encode_abort(pdu.Abort(0, 0)),
    pdu.encode_reject(pdu.AssociateReject(1, 1, 1)),
    pdu.HEADER.pack(pdu.P_DATA, 0xFFFFFFFF),
    pdu.HEADER.pack(pdu.RQ, 0xFFFFFFFF),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Pieces in any order, some of their bytes replaced, dropped or inserted."""
    stream = bytearray()
    if draw(st.booleans()):
        stream += PIECES[0]
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=6)):
        broken = bytearray(piece)
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(broken)))
            broken[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
        stream += broken
    return bytes(stream)


class Recorder:
    """`Lower` and `Upper` that keep nothing but the end."""

    def __init__(self) -> None:
        self.layer: UpperLayer | None = None
        self.sent = 0

    def send(self, data: bytes) -> None:
        self.sent += len(data)

    def __getattr__(self, name: str) -> object:
        return lambda *args: None


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=300)
    @given(streams(), st.integers(1, 5000))
    def test_acceptor(self, stream: bytes, size: int) -> None:
        """Any bytes, cut anyhow: no error, no spool, no timer is left, the next one works."""
        storage = MemoryStorage()
        services = Rig(instance_store(MemoryIndex(), storage))
        acceptor, wire = services.connect()
        for start in range(0, len(stream), size):
            acceptor.dataReceived(stream[start : start + size])
        services.clock.pump([10] * 10)
        self.assertIn(acceptor._upper_layer.state, (State.IDLE, State.AWAITING_CLOSE))
        self.assertTrue(wire.is_closing)
        lose(acceptor)
        self.assertEqual(set(), set(storage.spools))
        self.assertEqual([], services.clock.getDelayedCalls())
        self.assertEqual([], self.flushLoggedErrors())
        following, wire = services.connect()
        following.dataReceived(request(VERIFICATION) + echo())
        self.assertEqual(1, len(commands(wire.take())))

    @settings(max_examples=300)
    @given(st.binary(max_size=300), st.booleans())
    def test_upper_layer(self, stream: bytes, is_requestor: bool) -> None:
        """Any bytes at either end: the sans-IO object never raises."""
        recorder = Recorder()
        layer = UpperLayer(recorder, recorder, is_requestor=is_requestor)  # type: ignore[arg-type]
        if is_requestor:
            layer.request(pdu.AssociateRequest("A", "B", (), pdu.UserInformation()))
        layer.connected()
        layer.received(stream)
        layer.artim_expired()
        layer.disconnected()
        self.assertEqual(State.IDLE, layer.state)

    @settings(max_examples=300)
    @given(st.binary(max_size=200))
    def test_commands(self, content: bytes) -> None:
        """Any bytes as a command set or a data set: the answer or an abort."""
        handler = Handler()
        rig = Rig()
        acceptor, _ = rig.connect()
        acceptor.dataReceived(request(VERIFICATION))
        for control in (pdu.IS_COMMAND | pdu.IS_LAST, pdu.IS_LAST):
            value = pdu.PDV_HEADER.pack(len(content) + 2, 1, control) + content
            acceptor.dataReceived(pdu.HEADER.pack(pdu.P_DATA, len(value)) + value)
        lose(acceptor)
        self.assertEqual([], handler.calls)

    def test_memory(self) -> None:
        """A length of 4 GB is refused when it is read; nothing of it is kept."""
        for kind in (pdu.RQ, pdu.P_DATA, pdu.ABORT):
            rig = Rig()
            acceptor, wire = rig.connect()
            acceptor.dataReceived(pdu.HEADER.pack(kind, 0xFFFFFFFF))
            for _ in range(100):
                acceptor.dataReceived(bytes(65536))
            self.assertLess(len(acceptor._upper_layer._reader._rest), 100)
            self.assertEqual(pdu.ABORT, wire.take()[0])

    def test_nested_sequences(self) -> None:
        """Sequences nested 10,000 deep are stored or refused, and the server goes on."""
        open_item = bytes.fromhex("08001511 5351 0000 ffffffff feff00e0 ffffffff")
        close_item = bytes.fromhex("feff0de0 00000000 feffdde0 00000000")
        storage = MemoryStorage()
        acceptor, wire = Rig(instance_store(MemoryIndex(), storage)).connect()
        acceptor.dataReceived(request(CT))
        wire.take()
        for number, nested in enumerate(
            (open_item * 10_000 + close_item * 10_000, open_item * 10_000)
        ):
            head, tail = INSTANCE[:56], INSTANCE[56:]
            acceptor.dataReceived(store(head + nested + tail, number))
            (answer,) = commands(wire.take())
            self.assertIn(answer[dimse.STATUS], (0, 0xC000))
        self.assertEqual(set(), set(storage.spools))
        acceptor.dataReceived(store(INSTANCE, 9))
        (answer,) = commands(wire.take())
        self.assertEqual(0, answer[dimse.STATUS])

    def test_paths_in_uids(self) -> None:
        """A UID with a path in it is no path: it is kept as text, or refused."""
        storage = MemoryStorage()
        acceptor, wire = Rig(instance_store(MemoryIndex(), storage)).connect()
        acceptor.dataReceived(request(CT))
        wire.take()
        acceptor.dataReceived(store(INSTANCE, 1, uid="../../../etc/passwd"))
        (answer,) = commands(wire.take())
        self.assertEqual(0, answer[dimse.STATUS])
        (uuid,) = storage.files
        self.assertRegex(uuid, "^[0-9a-f-]{36}$")
