"""What goes wrong with a peer, as errors with Orthanc's codes that name it.

A route or a job may let them pass: they are `OrthancError`. None tells a secret: URLs of peers
have none, and what a peer answers is looked through for its password.
"""

from __future__ import annotations

from orthanc_tw.model.errors import ErrorCode, OrthancError


class PeerError(OrthancError):
    """A request to a peer that failed.

    :ivar peer: symbolic name of the peer
    :ivar is_transient: whether it may pass by itself, so that another try is worth it
    """

    is_transient = False

    def __init__(
        self, peer: str, reason: str, code: ErrorCode = ErrorCode.NETWORK_PROTOCOL
    ) -> None:
        # Whatever the code: it is no mistake of who asked this server.
        super().__init__(code, f"Peer {peer}: {reason}", http_status=500)
        self.peer = peer
        self.reason = reason


class PeerUnreachable(PeerError):
    """No connection, or one that was lost: refused, unknown host, closed amid the answer."""

    is_transient = True


class PeerTimeout(PeerError):
    """The peer was silent for too long, or did not take what was sent."""

    is_transient = True

    def __init__(self, peer: str, reason: str) -> None:
        super().__init__(peer, reason, ErrorCode.TIMEOUT)


class PeerTlsError(PeerError):
    """Its certificate is not trusted, or of another host; ours cannot be used, or is refused."""

    def __init__(self, peer: str, reason: str) -> None:
        super().__init__(peer, reason, ErrorCode.SSL_INITIALIZATION)


class PeerStatusError(PeerError):
    """The peer answered with a status other than 2xx.

    :ivar status: HTTP status
    :ivar body: of its answer, the first kilobytes
    """

    def __init__(
        self,
        peer: str,
        reason: str,
        status: int,
        body: bytes = b"",
        code: ErrorCode = ErrorCode.NETWORK_PROTOCOL,
    ) -> None:
        super().__init__(peer, reason, code)
        self.status = status
        self.body = body
        self.is_transient = status in (408, 425, 429, 502, 503, 504)


class PeerUnauthorized(PeerStatusError):
    """401 or 403: user name or password are wrong, or may not do this."""

    def __init__(self, peer: str, reason: str, status: int, body: bytes = b"") -> None:
        super().__init__(peer, reason, status, body, ErrorCode.UNAUTHORIZED)


class PeerFull(PeerStatusError):
    """507, or any status with the code of Orthanc for it: the peer has no room."""

    def __init__(self, peer: str, reason: str, status: int, body: bytes = b"") -> None:
        super().__init__(peer, reason, status, body, ErrorCode.FULL_STORAGE)


class PeerAnswerError(PeerError):
    """The peer answered what it should not: too much, or no JSON."""
