"""Reads JSON that a stranger wrote: text that no UTF-8 can carry is refused at the door."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def read_json(
    text: str | bytes,
    *,
    parse_constant: Callable[[str], Any] | None = None,
    strict: bool = True,
) -> Any:
    r"""The value of a JSON text (RFC 8259). Half of a surrogate pair (``\ud800``) is no text.

    It would pass as a Python string, and then fail wherever it is stored or sent.

    :param parse_constant: makes values of ``NaN``, ``Infinity`` and ``-Infinity``
    :param strict: whether control characters in strings are refused
    :raises ValueError: if it is no JSON
    :raises RecursionError: if it is nested too deeply
    """
    value = json.loads(text, parse_constant=parse_constant, strict=strict)
    is_escaped = b"\\u" in text if isinstance(text, bytes) else "\\u" in text
    if is_escaped or not text.isascii():
        json.dumps(value, ensure_ascii=False, default=str).encode()
    return value
