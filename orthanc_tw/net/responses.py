"""Makes command sets of responses, and reads them (PS3.7 section 9.3 and 10.3)."""

from __future__ import annotations

from orthanc_tw.net import dimse
from orthanc_tw.net.dimse import CommandSet
from orthanc_tw.net.values import Command, Dataset, Reply

_MOST = 0xFFFF
_COUNTERS = {
    dimse.REMAINING: "remaining",
    dimse.COMPLETED: "completed",
    dimse.FAILED: "failed",
    dimse.WARNING: "warning",
}
# What a response repeats of its request.
_REPEATED = {
    Command.C_STORE: (dimse.AFFECTED_SOP_CLASS_UID, dimse.AFFECTED_SOP_INSTANCE_UID),
    Command.N_ACTION: (dimse.ACTION_TYPE_ID,),
    Command.N_EVENT_REPORT: (
        dimse.AFFECTED_SOP_CLASS_UID,
        dimse.AFFECTED_SOP_INSTANCE_UID,
        dimse.EVENT_TYPE_ID,
    ),
}


def response(request: CommandSet, reply: Reply) -> dict[int, int | str]:
    """The command set that answers a request."""
    field = dimse.number(request, dimse.COMMAND_FIELD)
    command: dict[int, int | str] = {
        dimse.COMMAND_FIELD: field | dimse.RESPONSE,
        dimse.MESSAGE_ID_RESPONDED_TO: dimse.number(request, dimse.MESSAGE_ID),
        dimse.DATA_SET_TYPE: (dimse.NO_DATA_SET if reply.dataset is None else dimse.HAS_DATA_SET),
        dimse.STATUS: reply.status,
    }
    for element in _repeated(field):
        if element in request:
            command[element] = request[element]
    if field == Command.N_ACTION:
        for requested, affected in (
            (dimse.REQUESTED_SOP_CLASS_UID, dimse.AFFECTED_SOP_CLASS_UID),
            (dimse.REQUESTED_SOP_INSTANCE_UID, dimse.AFFECTED_SOP_INSTANCE_UID),
        ):
            if requested in request:
                command[affected] = request[requested]
    if reply.comment:
        command[dimse.ERROR_COMMENT] = _comment(reply.comment)
    for element, name in _COUNTERS.items():
        value: int | None = getattr(reply, name)
        if value is not None:
            command[element] = min(value, _MOST)
    return command


def _repeated(field: int) -> tuple[int, ...]:
    try:
        return _REPEATED.get(Command(field), (dimse.AFFECTED_SOP_CLASS_UID,))
    except ValueError:
        return ()


def _comment(text: str) -> str:
    """At most 64 characters, without what LO must not have."""
    return "".join(c if c.isprintable() and c != "\\" else " " for c in text)[:64]


def reply_of(command: CommandSet, dataset: Dataset | None) -> Reply:
    """Read a response."""
    counters = {
        name: dimse.number(command, element) if element in command else None
        for element, name in _COUNTERS.items()
    }
    return Reply(
        status=dimse.number(command, dimse.STATUS),
        comment=dimse.text(command, dimse.ERROR_COMMENT),
        dataset=dataset,
        **counters,
    )
