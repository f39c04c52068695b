"""JSON as text, the way Orthanc lays it out: sorted keys, indented by three."""

from __future__ import annotations

import json

import msgspec

from orthanc_tw.model.json_types import JsonValue

_ENCODER = msgspec.json.Encoder(order="sorted")


def pretty(value: JsonValue) -> bytes:
    """UTF-8 without a final line break; lone surrogates become question marks.

    A dozen times faster than the standard library, which indents in Python.
    """
    try:
        return msgspec.json.format(_ENCODER.encode(value), indent=3)
    except UnicodeEncodeError:
        text = json.dumps(value, indent=3, sort_keys=True, ensure_ascii=False)
        return text.encode("utf-8", "replace")
