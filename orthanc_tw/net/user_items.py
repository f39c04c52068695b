"""User information of A-ASSOCIATE: its sub-items, their bytes, and back.

Source: PS3.8 annex D.1, PS3.7 annex D.3.3. Items that are not known are skipped, as PS3.8
9.3.1 wants it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from orthanc_tw.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

_MAXIMUM_LENGTH = 0x51
_IMPLEMENTATION_UID = 0x52
_ASYNCHRONOUS = 0x53
_ROLE = 0x54
_IMPLEMENTATION_VERSION = 0x55
_EXTENDED = 0x56
_IDENTITY_RQ = 0x58

_ITEM = struct.Struct(">BxH")  # type, reserved, length
_SHORT = struct.Struct(">H").unpack_from


class Malformed(ValueError):
    """Bytes that are no PDU."""


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection of a SOP class (PS3.7 D.3.3.4), as seen by the requestor."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """User identity (PS3.7 D.3.3.7): 1 name, 2 and passcode, 3 Kerberos, 4 SAML, 5 JWT."""

    type: int
    response_requested: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UserInformation:
    """The user information item.

    :ivar maximum_length: of the P-DATA-TF that are taken, in bytes; 0: any
    :ivar asynchronous: operations invoked and performed at a time, None: not negotiated
    :ivar extended: service class application information by SOP class (PS3.7 D.3.3.5)
    """

    maximum_length: int = 0
    implementation_class_uid: str = IMPLEMENTATION_CLASS_UID
    implementation_version_name: str = IMPLEMENTATION_VERSION_NAME
    asynchronous: tuple[int, int] | None = None
    roles: tuple[Role, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    identity: UserIdentity | None = None


def item(kind: int, value: bytes) -> bytes:
    """An item or sub-item."""
    return _ITEM.pack(kind, len(value)) + value


def items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of items.

    :raises Malformed: if a length does not fit
    """
    position, end = 0, len(data)
    while position < end:
        if position + 4 > end:
            raise Malformed("an item is cut off")
        kind, length = _ITEM.unpack_from(data, position)
        position += 4
        if position + length > end:
            raise Malformed(f"item 0x{kind:02X} is longer than what it is in")
        yield kind, data[position : position + length]
        position += length


def uid_text(value: bytes) -> str:
    """A UID. Padding is wrong here, but seen.

    :raises Malformed: if it is not of 1 to 64 printable ASCII characters
    """
    text = value.decode("latin-1").strip(" \0")
    if not 0 < len(text) <= 64 or not text.isascii() or not text.isprintable():
        raise Malformed("a UID expected")
    return text


def encode_user_information(user: UserInformation) -> bytes:
    """The value of the user information item, sub-items in ascending order."""
    parts = [
        item(_MAXIMUM_LENGTH, struct.pack(">L", user.maximum_length)),
        item(_IMPLEMENTATION_UID, user.implementation_class_uid.encode("ascii")),
    ]
    if user.asynchronous is not None:
        parts.append(item(_ASYNCHRONOUS, struct.pack(">HH", *user.asynchronous)))
    parts += [
        item(_ROLE, _with_uid(role.sop_class_uid, bytes((role.scu, role.scp))))
        for role in user.roles
    ]
    name = user.implementation_version_name
    if name:
        parts.append(item(_IMPLEMENTATION_VERSION, name.encode("ascii")))
    for uid, information in user.extended:
        parts.append(item(_EXTENDED, _with_uid(uid, information)))
    if user.identity is not None:
        identity = user.identity
        parts.append(
            item(
                _IDENTITY_RQ,
                bytes((identity.type, identity.response_requested))
                + struct.pack(">H", len(identity.primary))
                + identity.primary
                + struct.pack(">H", len(identity.secondary))
                + identity.secondary,
            )
        )
    return b"".join(parts)


def decode_user_information(data: bytes) -> UserInformation:
    """Of the value of the item.

    :raises Malformed: if a sub-item that is known is not as it should be
    """
    maximum, uid, version = 0, "", ""
    asynchronous: tuple[int, int] | None = None
    roles: list[Role] = []
    extended: list[tuple[str, bytes]] = []
    identity: UserIdentity | None = None
    for kind, value in items(data):
        if kind == _MAXIMUM_LENGTH:
            (maximum,) = _exactly(">L", value)
        elif kind == _IMPLEMENTATION_UID:
            uid = value.decode("ascii", "replace").strip(" \0")
        elif kind == _ASYNCHRONOUS:
            invoked, performed = _exactly(">HH", value)
            asynchronous = invoked, performed
        elif kind == _ROLE:
            sop_class, rest = _split_uid(value)
            scu, scp = _exactly("BB", rest)
            roles.append(Role(sop_class, scu == 1, scp == 1))
        elif kind == _IMPLEMENTATION_VERSION:
            version = value.decode("ascii", "replace").strip(" \0")
        elif kind == _EXTENDED:
            extended.append(_split_uid(value))
        elif kind == _IDENTITY_RQ:
            identity = _identity(value)
    return UserInformation(
        maximum, uid, version, asynchronous, tuple(roles), tuple(extended), identity
    )


def _with_uid(uid: str, rest: bytes) -> bytes:
    encoded = uid.encode("ascii")
    return struct.pack(">H", len(encoded)) + encoded + rest


def _split_uid(value: bytes) -> tuple[str, bytes]:
    text, rest = _counted(value)
    return uid_text(text), rest


def _counted(value: bytes) -> tuple[bytes, bytes]:
    if len(value) < 2 or len(value) < 2 + _SHORT(value)[0]:
        raise Malformed("a sub-item is cut off")
    end = 2 + _SHORT(value)[0]
    return value[2:end], value[end:]


def _exactly(layout: str, value: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack(layout, value)
    except struct.error:
        raise Malformed(f"a sub-item of {len(value)} bytes") from None


def _identity(value: bytes) -> UserIdentity:
    if len(value) < 2:
        raise Malformed("a user identity is cut off")
    primary, rest = _counted(value[2:])
    secondary, _ = _counted(rest)
    return UserIdentity(value[0], value[1] == 1, primary, secondary)
