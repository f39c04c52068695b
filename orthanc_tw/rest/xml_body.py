"""``Accept: application/xml``: a JSON answer as XML (as recorded in the corpus, topic 51)."""

from __future__ import annotations

import json
import re
from xml.sax.saxutils import escape, quoteattr

from twisted.web.server import Request

from orthanc_tw.rest.accept import likings

XML_TYPE = b"application/xml; charset=utf-8"

_RENDERED = ("application/xml", "application/json")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*\Z")
# Code points that XML 1.0 cannot carry (section 2.2), not even escaped.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def is_wanted(request: Request) -> bool:
    """Whether the client likes nothing better than XML, and did not name JSON first.

    A browser takes XML if there is no page: it gets JSON, as from Orthanc.
    """
    values = request.requestHeaders.getRawHeaders(b"accept")
    if values is None or not any(b"application/xml" in value.lower() for value in values):
        return False
    liked = likings(request)
    best = max((quality for _, quality in liked), default=0.0)
    for media, quality in liked:
        if quality == best and media in _RENDERED:
            return best > 0 and media == "application/xml"
    return False


DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'


def from_json(body: bytes) -> bytes:
    """Render a JSON document as XML: members are elements, items are ``<item>``."""
    return DECLARATION + element("root", json.loads(body), 0)


def element(name: str, value: object, depth: int) -> bytes:
    """One element with all below it, as lines; ``depth`` is that of its indentation."""
    lines: list[str] = []
    _render(lines, name, value, depth)
    return "\n".join((*lines, "")).encode("utf-8", "replace")


def _render(lines: list[str], name: str, value: object, depth: int) -> None:
    indent = "  " * depth
    opening, closing = _element(name)
    if isinstance(value, dict | list) and not value:
        lines.append(f"{indent}<{opening} />")
    elif isinstance(value, dict):
        lines.append(f"{indent}<{opening}>")
        for key, item in value.items():
            _render(lines, key, item, depth + 1)
        lines.append(f"{indent}</{closing}>")
    elif isinstance(value, list):
        lines.append(f"{indent}<{opening}>")
        for item in value:
            _render(lines, "item", item, depth + 1)
        lines.append(f"{indent}</{closing}>")
    else:
        lines.append(f"{indent}<{opening}>{_text(value)}</{closing}>")


def _element(name: str) -> tuple[str, str]:
    """Start and end of an element; a key that is no XML name (``0010,0010``) is an attribute."""
    if _NAME.match(name):
        return name, name
    return f"item name={quoteattr(_FORBIDDEN.sub('', name))}", "item"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _FORBIDDEN.sub("", escape(str(value)))
