"""What the log tells of messages (level ``trace`` of category ``dicom``)."""

from __future__ import annotations

import json
from enum import IntEnum

from orthanc_tw.dicom.attributes import parse_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.identifier import query_json
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.model.errors import OrthancError

# Of an identifier; more says no more.
_MAXIMUM_BYTES = 64 * 1024


class Trace(IntEnum):
    """How much.

    :cvar IDENTIFIERS: commands, and what queries and their answers say: data of patients
    """

    OFF = 0
    COMMANDS = 1
    IDENTIFIERS = 2


def shown(content: bytes, transfer_syntax: str) -> str:
    """An identifier as one line of JSON, by the names of its elements."""
    if len(content) > _MAXIMUM_BYTES:
        return f"an identifier of {len(content)} bytes"
    try:
        attributes = parse_attributes(content, transfer_syntax, Encoding.LATIN1)
    except OrthancError as error:
        return f"an identifier that cannot be read: {error}"
    return json.dumps(query_json(attributes, TagFormat.SIMPLIFY), ensure_ascii=False)
