"""Who may talk to the server: Basic authentication (RFC 7617) and loopback-only access.

Looked at as soon as the headers of a request are there, before its body is received.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

REALM = b'Basic realm="Orthanc Secure Area"'


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """``AuthenticationEnabled``, ``RegisteredUsers`` (with passwords), ``RemoteAccessAllowed``."""

    enabled: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    remote_access_allowed: bool = True


class Authenticator:
    """Decides over requests by their ``Authorization`` header and the address of their client."""

    def __init__(self, settings: AuthSettings) -> None:
        self._enabled = settings.enabled
        self._remote_access_allowed = settings.remote_access_allowed
        # Only digests of what a client has to send are kept; they are all of one length.
        self._users = [
            _digest(base64.b64encode(f"{name}:{password}".encode()))
            for name, password in settings.users.items()
        ]

    def is_allowed(self, authorization: bytes | None, client_ip: str) -> bool:
        """Whether the request may go on; if not, it is answered 401."""
        if not self._remote_access_allowed and not is_loopback(client_ip):
            return False
        if not self._enabled:
            return True
        # As in Orthanc the scheme is compared exactly: one blank, and case matters.
        if authorization is None or not authorization.startswith(b"Basic "):
            return False
        digest = _digest(authorization[6:])
        return any(hmac.compare_digest(known, digest) for known in self._users)


def user_name(authorization: bytes | None) -> str:
    """The user name that an ``Authorization`` header claims, '' if there is none.

    Also of use without authentication: it is kept as the metadata ``HttpUsername``.
    """
    if authorization is None or not authorization.startswith(b"Basic "):
        return ""
    try:
        pair = base64.b64decode(authorization[6:], validate=True)
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(b":")[0].decode("utf-8", "replace")


def is_loopback(address: str) -> bool:
    """Whether an IPv4 or IPv6 address (also an IPv4-mapped one) is this machine's own."""
    if address == "127.0.0.1":
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        # The peer of a UNIX socket has no address, and is on this machine.
        return not address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return parsed.is_loopback or (mapped is not None and mapped.is_loopback)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
