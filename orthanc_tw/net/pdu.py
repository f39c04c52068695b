"""Protocol data units of the upper layer: values, their bytes, and back.

Own code and not pynetdicom's, which raises KeyError at items it does not know (PS3.8 9.3.1 has
them ignored) and checks no length. Source: PS3.8 section 9.3 and annex D, PS3.7 annex D.3.3.
All integers are big-endian; a length never counts the header that it is in.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from orthanc_tw.net.user_items import (
    APPLICATION_CONTEXT,
    Malformed,
    UserInformation,
    decode_user_information,
    encode_user_information,
    item,
    items,
    uid_text,
)

RQ, AC, RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

HEADER = struct.Struct(">BxL")  # type, reserved, length
PDV_HEADER = struct.Struct(">LBB")  # length of the rest, presentation context, control header
#: Bits of the control header (PS3.8 E.2).
IS_COMMAND, IS_LAST = 1, 2

# 128 presentation contexts of all known transfer syntaxes take 200 KB.
_MAXIMUM_ASSOCIATE = 512 * 1024
# The largest PDU that an option may announce, and what some peers send all the same.
_MAXIMUM_P_DATA = 256 * 1024
_FIXED = 4

_ITEM_APPLICATION_CONTEXT = 0x10
_ITEM_CONTEXT_RQ = 0x20
_ITEM_CONTEXT_AC = 0x21
_ITEM_ABSTRACT_SYNTAX = 0x30
_ITEM_TRANSFER_SYNTAX = 0x40
_ITEM_USER_INFORMATION = 0x50

_ASSOCIATE = struct.Struct(">HH16s16s32x")  # version, reserved, called, calling, reserved


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """Presentation context of an A-ASSOCIATE-RQ. ``id`` is odd, 1 to 255."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """Presentation context of an A-ASSOCIATE-AC.

    :ivar result: 0 accepted, 1 rejected by the user, 2 no reason, 3 abstract syntax not
        supported, 4 transfer syntaxes not supported
    :ivar transfer_syntax: significant only if it was accepted
    """

    id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. AE titles without the spaces around them."""

    called_aet: str
    calling_aet: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. The titles are those of the request, and not to be tested."""

    called_aet: str
    calling_aet: str
    contexts: tuple[ContextResult, ...]
    user: UserInformation


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ: result 1 permanent, 2 transient; source and reason of PS3.8 table 9-21."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT: source 0 service-user, 2 service-provider; reason of PS3.8 table 9-26."""

    source: int
    reason: int


def limit(pdu_type: int) -> int:
    """The longest PDU of a type that is taken, without its header, in bytes; -1: unknown type."""
    if pdu_type == P_DATA:
        return _MAXIMUM_P_DATA
    if pdu_type in (RQ, AC):
        return _MAXIMUM_ASSOCIATE
    return _FIXED if pdu_type in (RJ, RELEASE_RQ, RELEASE_RP, ABORT) else -1


def encode_request(request: AssociateRequest) -> bytes:
    """The whole PDU."""
    contexts = b"".join(
        item(
            _ITEM_CONTEXT_RQ,
            bytes((context.id, 0, 0, 0))
            + item(_ITEM_ABSTRACT_SYNTAX, context.abstract_syntax.encode("ascii"))
            + b"".join(
                item(_ITEM_TRANSFER_SYNTAX, uid.encode("ascii"))
                for uid in context.transfer_syntaxes
            ),
        )
        for context in request.contexts
    )
    return _associate(RQ, request, contexts)


def encode_accept(accept: AssociateAccept) -> bytes:
    """The whole PDU."""
    contexts = b"".join(
        item(
            _ITEM_CONTEXT_AC,
            bytes((context.id, 0, context.result, 0))
            + item(_ITEM_TRANSFER_SYNTAX, context.transfer_syntax.encode("ascii")),
        )
        for context in accept.contexts
    )
    return _associate(AC, accept, contexts)


def _associate(pdu_type: int, pdu: AssociateRequest | AssociateAccept, contexts: bytes) -> bytes:
    body = b"".join(
        (
            _ASSOCIATE.pack(1, 0, _title(pdu.called_aet), _title(pdu.calling_aet)),
            item(_ITEM_APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode("ascii")),
            contexts,
            item(_ITEM_USER_INFORMATION, encode_user_information(pdu.user)),
        )
    )
    return HEADER.pack(pdu_type, len(body)) + body


def encode_reject(reject: AssociateReject) -> bytes:
    """The whole PDU."""
    return HEADER.pack(RJ, 4) + bytes((0, reject.result, reject.source, reject.reason))


def encode_abort(abort: Abort) -> bytes:
    """The whole PDU."""
    return HEADER.pack(ABORT, 4) + bytes((0, 0, abort.source, abort.reason))


def encode_release(pdu_type: int) -> bytes:
    """The whole A-RELEASE-RQ or A-RELEASE-RP."""
    return HEADER.pack(pdu_type, 4) + bytes(4)


def decode_request(body: bytes) -> AssociateRequest:
    """Of what follows the header.

    :raises Malformed: if it is no A-ASSOCIATE-RQ
    """
    version, called, calling, parts = _decode_associate(body)
    context_name = ""
    contexts: list[ProposedContext] = []
    user = UserInformation()
    for kind, value in parts:
        if kind == _ITEM_APPLICATION_CONTEXT:
            context_name = uid_text(value)
        elif kind == _ITEM_CONTEXT_RQ:
            contexts.append(_proposed(value))
        elif kind == _ITEM_USER_INFORMATION:
            user = decode_user_information(value)
    if len({context.id for context in contexts}) != len(contexts):
        raise Malformed("two presentation contexts of the same number")
    return AssociateRequest(called, calling, tuple(contexts), user, context_name, version)


def decode_accept(body: bytes) -> AssociateAccept:
    """Of what follows the header.

    :raises Malformed: if it is no A-ASSOCIATE-AC
    """
    _, called, calling, parts = _decode_associate(body)
    contexts: list[ContextResult] = []
    user = UserInformation()
    for kind, value in parts:
        if kind == _ITEM_CONTEXT_AC:
            if len(value) < 4:
                raise Malformed("a presentation context is cut off")
            syntaxes = [
                uid_text(text) for sub, text in items(value[4:]) if sub == _ITEM_TRANSFER_SYNTAX
            ]
            contexts.append(ContextResult(value[0], value[2], syntaxes[0] if syntaxes else ""))
        elif kind == _ITEM_USER_INFORMATION:
            user = decode_user_information(value)
    return AssociateAccept(called, calling, tuple(contexts), user)


def decode_reject(body: bytes) -> AssociateReject:
    """Of what follows the header.

    :raises Malformed: if it is not 4 bytes
    """
    _four(body)
    return AssociateReject(body[1], body[2], body[3])


def decode_abort(body: bytes) -> Abort:
    """Of what follows the header.

    :raises Malformed: if it is not 4 bytes
    """
    _four(body)
    return Abort(body[2], body[3])


def check_release(body: bytes) -> None:
    """Look at what follows the header of an A-RELEASE.

    :raises Malformed: if it is not 4 bytes
    """
    _four(body)


def values(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Presentation data values of a P-DATA-TF: context, control header, fragment.

    :raises Malformed: if a length does not fit
    """
    position, end = 0, len(body)
    if not end:
        raise Malformed("a P-DATA-TF without a value")
    unpack = PDV_HEADER.unpack_from
    while position < end:
        if position + 6 > end:
            raise Malformed("a presentation data value is cut off")
        length, context, control = unpack(body, position)
        after = position + 4 + length
        if length < 2 or after > end:
            raise Malformed(f"a presentation data value of {length} bytes")
        yield context, control, body[position + 6 : after]
        position = after


def _four(body: bytes) -> None:
    if len(body) != _FIXED:
        raise Malformed(f"4 bytes expected: {len(body)}")


def _decode_associate(body: bytes) -> tuple[int, str, str, Iterator[tuple[int, bytes]]]:
    if len(body) < _ASSOCIATE.size:
        raise Malformed("an A-ASSOCIATE is cut off")
    version, _, called, calling = _ASSOCIATE.unpack_from(body)
    return version, _aet(called), _aet(calling), items(body[_ASSOCIATE.size :])


def _proposed(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise Malformed("a presentation context is cut off")
    abstract, syntaxes = "", []
    for kind, text in items(value[4:]):
        if kind == _ITEM_ABSTRACT_SYNTAX:
            abstract = _lenient_uid(text)
        elif kind == _ITEM_TRANSFER_SYNTAX:
            syntaxes.append(_lenient_uid(text))
    if not value[0] & 1:
        raise Malformed(f"a presentation context with the even number {value[0]}")
    return ProposedContext(value[0], abstract, tuple(syntaxes))


def _lenient_uid(value: bytes) -> str:
    """A UID, '' if it is none: then this presentation context is rejected, and no other."""
    try:
        return uid_text(value)
    except Malformed:
        return ""


def _title(aet: str) -> bytes:
    return aet.encode("ascii", "replace")[:16].ljust(16)


def _aet(field: bytes) -> str:
    """Leading and trailing spaces do not count; some peers fill with NUL."""
    return field.decode("ascii", "replace").strip(" \0")
