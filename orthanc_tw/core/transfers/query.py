"""What a client asks the accelerator for: resources, a peer, and how they travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_tw.core.transfers.lookup import TransferResource, parse_resources
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue

NONE = "none"
GZIP = "gzip"


@dataclass(frozen=True, slots=True)
class TransferQuery:
    """A body of ``/transfers/pull`` and ``/transfers/send``.

    :ivar peer: symbolic name
    :ivar compressed: whether buckets travel as gzip
    :ivar originator: UUID of the server that must answer as the peer, '' for any
    :ivar sender_transfer_id: what the sender calls the transfer, '' if it does not
    """

    resources: Sequence[TransferResource]
    peer: str
    compressed: bool = True
    priority: int = 0
    originator: str = ""
    sender_transfer_id: str = ""

    @property
    def compression(self) -> str:
        """As it travels."""
        return GZIP if self.compressed else NONE

    def to_json(self) -> JsonObject:
        """As it travels, and as jobs keep it."""
        value: JsonObject = {
            "Resources": [resource.to_json() for resource in self.resources],
            "Peer": self.peer,
            "Compression": self.compression,
            "Priority": self.priority,
        }
        if self.originator:
            value["Originator"] = self.originator
        if self.sender_transfer_id:
            value["SenderTransferID"] = self.sender_transfer_id
        return value

    @classmethod
    def from_json(cls, body: JsonValue) -> TransferQuery:
        """Of a body.

        :raises OrthancError: BAD_FILE_FORMAT naming the field
        """
        if not isinstance(body, dict):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The body must contain a JSON object")
        for name in ("Resources", "Peer", "Compression"):
            if name not in body:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f'Missing field in JSON: "{name}"')
        priority = body.get("Priority", 0)
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, "Integer value expected in field: Priority"
            )
        return cls(
            parse_resources(body["Resources"]),
            _text(body, "Peer"),
            is_gzip(body["Compression"]),
            priority,
            _text(body, "Originator"),
            _text(body, "SenderTransferID"),
        )


def is_gzip(value: JsonValue) -> bool:
    """Whether a compression is gzip, else none.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE if it is neither
    """
    if value not in (GZIP, NONE):
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f'"{GZIP}" or "{NONE}" expected in field: Compression',
        )
    return value == GZIP


def _text(body: JsonObject, name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"String value expected in field: {name}")
    return value
