"""TLS towards peers: whom this server trusts (``Https*`` options), and what it shows of itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from orthanc_tw import tls

_log = Logger()


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """Options.

    :ivar verify: ``HttpsVerifyPeers``: whether certificates, and the hosts they are for, are
        looked at
    :ivar authorities: ``HttpsCACertificates``: path of a PEM file, '' for the system's
    """

    verify: bool = True
    authorities: str = ""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What this server shows of itself; paths of PEM files, '' for none.

    :ivar key_file: '' if the key is in the file of the certificate
    """

    certificate_file: str = ""
    key_file: str = ""
    key_password: str = field(default="", repr=False)


def client_policy(trust: TrustSettings, own: ClientCertificate) -> Any:
    """An `IPolicyForHTTPS`. Reads the files (blocks).

    :raises ValueError: with one line that names the option or field, and the file
    """
    from twisted.internet import ssl

    options: dict[str, Any] = {"verify": False}
    if trust.verify:
        root: Any = ssl.platformTrust()
        if trust.authorities:
            root = tls.trust_root("HttpsCACertificates", trust.authorities)
        options = {"trustRoot": root}
    if own.certificate_file:
        key, certificate, chain = tls.identity(
            "CertificateFile", own.certificate_file, _pem_of(own)
        )
        options.update(privateKey=key, certificate=certificate, extraCertChain=chain)
    return _Policy(ssl.CertificateOptions(**options).getContext(), trust.verify)


def _pem_of(own: ClientCertificate) -> bytes:
    """Key and certificates, as if they were in a file without a password."""
    from cryptography.hazmat.primitives import serialization

    certificates = tls.read("CertificateFile", own.certificate_file)
    if not own.key_file and not own.key_password:
        return certificates
    path = own.key_file or own.certificate_file
    pem = tls.read("CertificateKeyFile", path)
    password = own.key_password.encode() if own.key_password else None
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"CertificateKeyFile: {path}: a PEM file with a private key, and its "
            f"CertificateKeyPassword if it has one, were expected ({type(error).__name__})"
        ) from None
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return plain + certificates


@implementer(IPolicyForHTTPS)
class _Policy:
    def __init__(self, context: Any, verify: bool) -> None:
        self._context = context
        self._verify = verify

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See `IPolicyForHTTPS`."""
        return _Creator(self._context, hostname.decode("ascii").strip("[]"), self._verify)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Connections to one host.

    Not `twisted.internet.ssl.optionsForClientTLS`: with Twisted 26.10 that takes a certificate
    without subjectAltName for that of any host, if its authority is trusted.
    """

    def __init__(self, context: Any, hostname: str, verify: bool) -> None:
        self._context = context
        self._is_address = isIPAddress(hostname) or isIPv6Address(hostname)
        self._hostname = hostname
        self._verify = verify

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """See `IOpenSSLClientConnectionCreator`."""
        from OpenSSL import SSL

        connection = SSL.Connection(self._context, None)
        if not self._is_address:
            connection.set_tlsext_host_name(self._hostname.encode("ascii"))
        if self._verify:
            required = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
            connection.set_verify(required, self._verifier(weakref.ref(tlsProtocol)))
        return connection

    def _verifier(self, protocol: Callable[[], Any]) -> Callable[..., bool]:
        service: Any = (IPAddress_ID if self._is_address else DNS_ID)(self._hostname)

        def verify(connection: Any, certificate: Any, error: int, depth: int, ok: int) -> bool:
            # Only the certificate of the host itself names it.
            if depth == 0 and ok:
                try:
                    verify_service_identity(extract_patterns(certificate), [service], [])
                except (VerificationError, CertificateError) as mismatch:
                    handshaking = protocol()
                    if handshaking is not None:
                        handshaking.failVerification(Failure(mismatch))
                    return False
                except Exception:
                    _log.failure("A certificate cannot be looked at")
                    return False
            return bool(ok)

        return verify
