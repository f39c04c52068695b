"""Wires the network up without sockets: both ends in memory, time by `Clock`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from orthanc_tw.core.store import InstanceStore, StoreSettings
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.net.dispatcher import Host
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.negotiation import Policy
from orthanc_tw.net.permissions import Permissions, PermissionSettings
from orthanc_tw.net.scp.acceptor import Acceptor, AcceptorFactory, AcceptorSettings
from orthanc_tw.net.scp.echo import VERIFICATION, EchoHandler
from orthanc_tw.net.service import Service
from orthanc_tw.net.slots import Slots
from orthanc_tw.net.tracing import Trace
from orthanc_tw.net.values import Command

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


class Wire:
    """A transport whose bytes a test takes away."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.producer: Any = None
        self.is_closing = False
        self.is_aborted = False
        self.is_reading = True

    def write(self, data: bytes) -> None:
        """Keep it."""
        assert isinstance(data, bytes)
        self.sent += data

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self.sent)
        self.sent.clear()
        return taken

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.is_reading = False

    def resumeProducing(self) -> None:
        self.is_reading = True

    def loseConnection(self) -> None:
        self.is_closing = True

    def abortConnection(self) -> None:
        self.is_aborted = self.is_closing = True

    def getHandle(self) -> object:
        return None

    def getPeer(self) -> Any:
        class Address:
            host = "10.0.0.9"

        return Address()


def at_once(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """`in_thread` without a thread."""
    return maybeDeferred(function, *args)


def lose(protocol: Any) -> None:
    """The connection is closed."""
    protocol.connectionLost(Failure(ConnectionDone()))


class Rig:
    """An acceptor factory, and connections to it."""

    def __init__(
        self,
        store: InstanceStore | None = None,
        modalities: dict[str, RemoteModality] | None = None,
        services: tuple[Service, ...] = (),
        operations: int = 4,
        timeout_s: float = 30,
        **permissions: Any,
    ) -> None:
        self.clock = Clock()
        self.trace = Trace.OFF
        self.observed: list[tuple[str, int]] = []
        known = modalities or {}
        self.permissions = Permissions(PermissionSettings("ORTHANC", **permissions), lambda: known)
        echo = Service(
            "c-echo",
            Command.C_ECHO,
            (VERIFICATION,),
            EchoHandler(),
            lambda info: self.permissions.may("echo", info),
        )
        self.host = Host(
            store=store,
            may_store=lambda info: self.permissions.may("store", info),
            services=[echo, *services],
            slots=Slots(operations),
            observe=lambda name, info, status: self.observed.append((name, status)),
            in_thread=at_once,
        )
        self.policy = Policy(
            storage_classes=frozenset({CT}),
            unknown_classes=False,
            storage_syntaxes=frozenset({IMPLICIT, EXPLICIT}),
            services=frozenset(uid for item in self.host.services for uid in item.sop_classes),
            sub_operations=any(item.sub_operations for item in self.host.services),
            maximum_length=16384,
        )
        self.factory = AcceptorFactory(
            AcceptorSettings(timeout_s),
            self.host,
            self.permissions,
            lambda: self.policy,
            clock=self.clock,
            traces=lambda: self.trace,
        )

    def connect(self) -> tuple[Acceptor, Wire]:
        """A new connection."""
        acceptor = self.factory.buildProtocol(None)
        wire = Wire()
        acceptor.makeConnection(wire)  # type: ignore[arg-type]
        return acceptor, wire


def instance_store(index: Any, storage: Any) -> InstanceStore:
    """Ingest without threads."""
    tags = MainDicomTags.from_configuration()

    def spawn(work: Callable[[], None], failed: Callable[[Failure], object]) -> None:
        try:
            work()
        except Exception:
            failed(Failure())

    return InstanceStore(
        index,
        storage,
        StoreSettings(),
        read_summary=lambda file, size: read_summary(file, size, tags, Encoding.LATIN1),
        in_thread=at_once,
        spawn=spawn,
        clock=lambda: 0.0,
        timer=lambda: 0.0,
    )
