"""A request to a peer, as it is to be made; nothing here sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from orthanc_tw.peers.body import FileBody
from orthanc_tw.peers.peer import OrthancPeer

_IDEMPOTENT = frozenset(("GET", "PUT", "DELETE"))

#: Takes a piece of an answer; nothing more comes while a Deferred that it returns has not fired.
Consume = Callable[[bytes], "Deferred[Any] | None"]


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """What `PeerClient.request` and `PeerClient.stream` are called with, which describe it.

    :ivar maximum_bytes: of the answer, where nothing consumes it
    """

    peer: OrthancPeer
    method: str
    path: str
    body: bytes | FileBody | None
    headers: Mapping[str, str] | None
    timeout_s: float | None
    is_idempotent: bool | None
    maximum_bytes: int = 0
    consume: Consume | None = None

    @property
    def url(self) -> str:
        """Where it goes."""
        return self.peer.with_path(self.path)

    @property
    def size_bytes(self) -> int:
        """Of the body."""
        return self.body.size_bytes if isinstance(self.body, FileBody) else len(self.body or b"")

    @property
    def may_be_repeated(self) -> bool:
        """Whether it may be sent twice."""
        return self.method in _IDEMPOTENT if self.is_idempotent is None else self.is_idempotent

    def file(self) -> FileBody | None:
        """The body, None if there is none."""
        body = self.body
        if body is None or isinstance(body, FileBody):
            return body
        data = body
        return FileBody(lambda: BytesIO(data), len(data))

    def all_headers(self) -> Headers:
        """Those of the peer, and those of the request."""
        found = Headers()
        for name, value in (*self.peer.headers.items(), *(self.headers or {}).items()):
            found.setRawHeaders(name.encode("ascii"), [value.encode("utf-8")])
        return found
