"""The query string of a request: ``&`` separates, and a name may stand alone (``?expand``)."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

MAXIMUM_ARGUMENTS = 1000


def query_arguments(query: bytes) -> dict[bytes, list[bytes]]:
    """Values by name, percent-decoded; a name without a value has an empty one.

    ``;`` separates nothing: it stands between the tags of ``requested-tags``. What exceeds
    `MAXIMUM_ARGUMENTS` is left out.
    """
    arguments: dict[bytes, list[bytes]] = {}
    for part in query.split(b"&", MAXIMUM_ARGUMENTS)[:MAXIMUM_ARGUMENTS]:
        if part:
            name, _, value = part.partition(b"=")
            arguments.setdefault(_decoded(name), []).append(_decoded(value))
    return arguments


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
