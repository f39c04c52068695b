"""JSON that is encoded where it is made.

What a reader of the index makes is thousands of small objects, in the caches of another processor
than that of the reactor thread, which would encode them slowly and keep the interpreter lock for
it. Any thread.
"""

from __future__ import annotations

import json

import msgspec

from orthanc_tw.model.json_types import JsonObject

_ENCODER = msgspec.json.Encoder(order="sorted")


def encoded(value: JsonObject) -> msgspec.Raw:
    """The same value as text, which encoders take as it is; keys sorted, without spaces."""
    try:
        text = _ENCODER.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair
        text = json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
    return msgspec.Raw(text)
