"""Tells of every failure of a request which peer, what happened, and never a secret."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from twisted.web.http import PotentialDataLoss

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.peers.answer import AnswerTooLarge
from orthanc_tw.peers.errors import (
    PeerAnswerError,
    PeerError,
    PeerFull,
    PeerStatusError,
    PeerTimeout,
    PeerTlsError,
    PeerUnauthorized,
    PeerUnreachable,
)
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.proxy import ProxyError
from orthanc_tw.peers.silence import Silence

_MAXIMUM_TEXT = 300
_HIDDEN = "***"


def peer_failure(peer: OrthancPeer, url: str, error: Exception, silence: Silence) -> BaseException:
    """The error to raise for what a request has ended with."""
    if silence.is_over:
        return PeerTimeout(
            peer.name, f"no answer within {silence.timeout_s:g} seconds while accessing {url}"
        )
    if isinstance(error, (CancelledError, OrthancError)):
        return error
    causes = list(_causes(error))
    for cause in causes:
        # What a body could not be read for, or its consumer said.
        if isinstance(cause, (OrthancError, CancelledError)):
            return cause
    for cause in causes:
        found = _known(peer, url, cause)
        if found is not None:
            return found
    return PeerUnreachable(peer.name, f"{_scrubbed(peer, str(causes[-1]))} while accessing {url}")


def status_error(peer: OrthancPeer, url: str, status: int, body: bytes) -> PeerStatusError:
    """The error for an answer whose status is not 2xx."""
    code, text = _error_body(body)
    said = f" ({_scrubbed(peer, text)})" if text else ""
    if status in (401, 403):
        reason = "its user name or password is wrong" if status == 401 else "it does not allow this"
        if status == 401 and not peer.username:
            reason = "it asks for a user name and a password"
        return PeerUnauthorized(
            peer.name, f"HTTP status {status} while accessing {url}: {reason}", status, body
        )
    if status == 507 or code == ErrorCode.FULL_STORAGE:
        return PeerFull(
            peer.name, f"it has no room: HTTP status {status} while accessing {url}{said}",
            status, body,
        )  # fmt: skip
    if status == 407:
        said = ": the proxy asks for a user name and a password"
    if 300 <= status < 400:
        said = ": redirections are not followed, name the URL that it redirects to"
    return PeerStatusError(
        peer.name, f"HTTP status {status} while accessing {url}{said}", status, body
    )


def was_never_answered(error: Exception) -> bool:
    """Whether the connection was lost before there was any answer."""
    if not isinstance(error, ResponseNeverReceived):
        return False
    return all(
        isinstance(cause, ConnectionClosed) for cause in _causes(error) if cause is not error
    )


def _known(peer: OrthancPeer, url: str, error: BaseException) -> PeerError | None:
    """What of it can be said in words."""
    if isinstance(error, (VerificationError, CertificateError)):
        return PeerTlsError(peer.name, f"its certificate is not that of the host of {url}")
    if isinstance(error, SSL.Error):
        return PeerTlsError(peer.name, f"TLS failed while accessing {url}: {_openssl(error)}")
    if isinstance(error, ProxyError):
        return PeerUnreachable(peer.name, f"{error} while accessing {url}")
    if isinstance(error, ConnectionRefusedError):
        return PeerUnreachable(peer.name, f"connection refused while accessing {url}")
    if isinstance(error, DNSLookupError):
        return PeerUnreachable(peer.name, f"unknown host while accessing {url}")
    if isinstance(error, TimeoutError):
        return PeerTimeout(peer.name, f"no connection in time while accessing {url}")
    if isinstance(error, ConnectError):
        return PeerUnreachable(peer.name, f"no connection while accessing {url}: {error}")
    if isinstance(error, (ConnectionClosed, PotentialDataLoss)):
        return PeerUnreachable(peer.name, f"the connection was lost while accessing {url}")
    if isinstance(error, AnswerTooLarge):
        return PeerAnswerError(peer.name, f"its answer is too large while accessing {url}")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that it was wrapped around."""
    yield error
    for reason in getattr(error, "reasons", ()):
        if isinstance(reason, Failure) and isinstance(reason.value, BaseException):
            yield from _causes(reason.value)


def _openssl(error: SSL.Error) -> str:
    """Its last words, such as ``certificate verify failed``."""
    try:
        return str(error.args[0][-1][2])
    except (IndexError, TypeError):
        return "the connection was closed"


def _error_body(body: bytes) -> tuple[int, str]:
    """Code and text of an error body of Orthanc, (0, '') if it is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return 0, ""
    if not isinstance(value, dict):
        return 0, ""
    code, text = value.get("OrthancStatus"), value.get("Details") or value.get("Message")
    return code if isinstance(code, int) else 0, text if isinstance(text, str) else ""


def _scrubbed(peer: OrthancPeer, text: str) -> str:
    """A text of the peer's, in one line, without what this server sent to authenticate."""
    login = base64.b64encode(f"{peer.username}:{peer.password}".encode()).decode("ascii")
    secrets = (login, peer.password, peer.certificate_key_password, *peer.headers.values())
    for secret in secrets:
        if secret:
            text = text.replace(secret, _HIDDEN)
    if peer.username:
        # Short ones are parts of other words.
        text = re.sub(rf"(?<!\w){re.escape(peer.username)}(?!\w)", _HIDDEN, text)
    return " ".join(text.split())[:_MAXIMUM_TEXT]
