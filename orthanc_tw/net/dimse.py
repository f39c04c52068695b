"""Command sets of DIMSE messages: their bytes and back, and collecting messages of fragments.

A command set is a mapping of element number (of group 0000) to its value: integers for US, UL
and AT, text for UI, AE and LO. Source: PS3.7 section 6.3 (always implicit VR little endian), annex
E; PS3.8 annex E (fragments).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from orthanc_tw.net.pdu import IS_COMMAND, IS_LAST
from orthanc_tw.net.user_items import Malformed
from orthanc_tw.net.values import Command

CommandSet = Mapping[int, "int | str"]

AFFECTED_SOP_CLASS_UID = 0x0002
REQUESTED_SOP_CLASS_UID = 0x0003
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_RESPONDED_TO = 0x0120
MOVE_DESTINATION = 0x0600
PRIORITY = 0x0700
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000
REQUESTED_SOP_INSTANCE_UID = 0x1001
EVENT_TYPE_ID = 0x1002
ACTION_TYPE_ID = 0x1008
REMAINING = 0x1020
COMPLETED = 0x1021
FAILED = 0x1022
WARNING = 0x1023
MOVE_ORIGINATOR_AET = 0x1030
MOVE_ORIGINATOR_MESSAGE_ID = 0x1031

NO_DATA_SET = 0x0101
HAS_DATA_SET = 0x0001
RESPONSE = 0x8000

_UI = frozenset((0x0002, 0x0003, 0x1000, 0x1001))
_TEXT = frozenset((0x0600, 0x0902, 0x1030))
_US = frozenset(
    int(element, 16)
    for element in (
        "0100 0110 0120 0700 0800 0900 0903 1002 1008 1020 1021 1022 1023 1031".split()  # noqa: SIM905
    )
)
_ELEMENT = struct.Struct("<HHL")
_NUMBER = struct.Struct("<HHLH")
_LENGTH = struct.Struct("<HHLL")
# The longest elements are 64 characters; private ones have no place here.
MAXIMUM_COMMAND_BYTES = 16 * 1024


def encode_command(command: CommandSet) -> bytes:
    """The bytes of a command set, group length first, elements in ascending order."""
    parts = []
    for element in sorted(command):
        value = command[element]
        if isinstance(value, int):
            parts.append(_NUMBER.pack(0, element, 2, value))
            continue
        encoded = value.encode("ascii", "replace")
        if len(encoded) & 1:
            encoded += b"\0" if element in _UI else b" "
        parts.append(_ELEMENT.pack(0, element, len(encoded)) + encoded)
    body = b"".join(parts)
    return _LENGTH.pack(0, 0, 4, len(body)) + body


def decode_command(data: bytes) -> dict[int, int | str]:
    """Read a command set. Elements that are not known are skipped.

    :raises Malformed: if it is none, or lacks Command Field
    """
    command: dict[int, int | str] = {}
    position, end = 0, len(data)
    while position < end:
        if position + 8 > end:
            raise Malformed("a command set is cut off")
        group, element, length = _ELEMENT.unpack_from(data, position)
        position += 8
        if position + length > end:
            raise Malformed("a command set is cut off")
        value = data[position : position + length]
        position += length
        if group:
            # DCMTK puts what a status has to add (FailedSOPInstanceUIDList) behind group 0000.
            continue
        if element in _US:
            if length < 2:
                raise Malformed(f"(0000,{element:04X}) has no value")
            command[element] = value[0] | value[1] << 8
        elif element in _UI:
            command[element] = value.decode("ascii", "replace").strip(" \0")
        elif element in _TEXT:
            command[element] = value.decode("latin-1").strip(" \0")
    if COMMAND_FIELD not in command:
        raise Malformed("a command set without Command Field")
    return command


def number(command: CommandSet, element: int, default: int = 0) -> int:
    """A numeric element."""
    value = command.get(element, default)
    return value if isinstance(value, int) else default


def text(command: CommandSet, element: int) -> str:
    """A textual element, '' if it is not there."""
    value = command.get(element, "")
    return value if isinstance(value, str) else ""


def describe(command: CommandSet) -> str:
    """One line for the log: no data of patients, which is in data sets."""
    field = number(command, COMMAND_FIELD)
    try:
        name = Command(field & ~RESPONSE).name.replace("_", "-")
    except ValueError:
        name = f"0x{field:04X}"
    if not field & RESPONSE:
        sop_class = text(command, AFFECTED_SOP_CLASS_UID) or text(command, REQUESTED_SOP_CLASS_UID)
        return f"{name}-RQ message {number(command, MESSAGE_ID)} {sop_class}".rstrip()
    responded = number(command, MESSAGE_ID_RESPONDED_TO)
    return f"{name}-RSP message {responded} status 0x{number(command, STATUS):04X}"


class DatasetSink(Protocol):
    """Takes the data set of a message."""

    def write(self, fragment: bytes) -> None:
        """Take the next bytes."""
        ...

    def end(self) -> None:
        """That was all."""
        ...

    def discard(self) -> None:
        """The association ended: the rest will not come."""
        ...


class MessageReader:
    """Collects messages of presentation data values.

    :param begin: gets presentation context and command set when the latter is whole, says who
        takes the data set; not asked (but called) if there is none
    """

    def __init__(self, begin: Callable[[int, CommandSet], DatasetSink | None]) -> None:
        self._begin = begin
        self._command = bytearray()
        self._context_id = 0
        self._sink: DatasetSink | None = None

    @property
    def is_amid(self) -> bool:
        """Whether a message has begun and is not whole."""
        return bool(self._command) or self._sink is not None

    def feed(self, context_id: int, control: int, fragment: bytes) -> None:
        """Take a presentation data value.

        :raises Malformed: if it does not belong here
        """
        if self.is_amid and context_id != self._context_id:
            raise Malformed("a message in two presentation contexts")
        sink = self._sink
        if control & IS_COMMAND:
            if sink is not None:
                raise Malformed("a command amid a data set")
            self._context_id = context_id
            self._feed_command(control, fragment)
            return
        if sink is None:
            raise Malformed("a data set without a command")
        sink.write(fragment)
        if control & IS_LAST:
            self._sink = None
            sink.end()

    def _feed_command(self, control: int, fragment: bytes) -> None:
        self._command += fragment
        if len(self._command) > MAXIMUM_COMMAND_BYTES:
            raise Malformed("a command set that is too long")
        if not control & IS_LAST:
            if not self._command:
                raise Malformed("an empty fragment of a command set")
            return
        command = decode_command(bytes(self._command))
        self._command.clear()
        sink = self._begin(self._context_id, command)
        if number(command, DATA_SET_TYPE, NO_DATA_SET) == NO_DATA_SET:
            if sink is not None:
                sink.end()
        else:
            if sink is None:
                raise Malformed("a data set where none belongs")
            self._sink = sink

    def end(self) -> None:
        """The association is over: drop what is not whole."""
        sink, self._sink = self._sink, None
        self._command.clear()
        if sink is not None:
            sink.discard()
