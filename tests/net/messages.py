"""What a client sends to an acceptor, what it reads, and a handler that a test steers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.net import dimse, pdu
from orthanc_tw.net.pdu import AssociateRequest, ProposedContext
from orthanc_tw.net.sender import fragments
from orthanc_tw.net.service import Responder, ServiceRequest
from orthanc_tw.net.user_items import UserInformation
from orthanc_tw.net.values import Command, Reply
from tests.net.support import CT, EXPLICIT, IMPLICIT

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
