"""JSON that is encoded where it is made.

What a reader of the index makes is thousands of small objects, in the caches of another processor
than that of the reactor thread, which would encode them slowly and keep the interpreter lock for
it. Any thread.
"""

from __future__ import annotations

import json

import msgspec

from orthanc_tw.model.json_types import JsonObject, JsonValue

_ENCODER = msgspec.json.Encoder(order="sorted")


def json_text(value: JsonValue) -> bytes:
    """UTF-8, keys sorted, without spaces; lone surrogates become question marks."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        return text.encode("utf-8", "replace")


def encoded(value: JsonObject) -> msgspec.Raw:
    """The `json_text` of a value, which encoders take as it is."""
    return msgspec.Raw(json_text(value))
