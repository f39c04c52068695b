"""JSON as text, the way Orthanc lays it out: sorted keys, indented by three."""

from __future__ import annotations

import msgspec

from orthanc_tw.core.encoded import json_text
from orthanc_tw.model.json_types import JsonValue


def pretty(value: JsonValue) -> bytes:
    """UTF-8 without a final line break; lone surrogates become question marks.

    A dozen times faster than the standard library, which indents in Python.
    """
    return msgspec.json.format(json_text(value), indent=3)
