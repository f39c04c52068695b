"""TLS towards peers: whom this server trusts (``Https*`` options), and what it shows of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from orthanc_tw import tls


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

    root: Any = None
    if trust.verify:
        root = ssl.platformTrust()
        if trust.authorities:
            root = tls.trust_root("HttpsCACertificates", trust.authorities)
    if not own.certificate_file:
        return _Policy(trust.verify, root, None, [])
    key, certificate, chain = tls.identity("CertificateFile", own.certificate_file, _pem_of(own))
    identity = ssl.PrivateCertificate(certificate)
    identity._setPrivateKey(ssl.KeyPair(key))
    return _Policy(trust.verify, root, identity, chain)


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
    def __init__(self, verify: bool, root: Any, identity: Any, chain: list[Any]) -> None:
        self._verify = verify
        self._root = root
        self._identity = identity
        self._chain = chain
        self._unverified: Any = None

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """See `IPolicyForHTTPS`."""
        from twisted.internet import ssl

        name = hostname.decode("ascii")
        if self._verify:
            return ssl.optionsForClientTLS(
                name,
                trustRoot=self._root,
                clientCertificate=self._identity,
                extraCertificateOptions={"extraCertChain": self._chain} if self._identity else None,
            )
        if self._unverified is None:
            options: dict[str, Any] = {}
            if self._identity is not None:
                options = {
                    "privateKey": self._identity.privateKey.original,
                    "certificate": self._identity.original,
                    "extraCertChain": self._chain,
                }
            self._unverified = ssl.CertificateOptions(verify=False, **options).getContext()
        return _Unverified(self._unverified, name)


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """TLS to whoever answers, as ``HttpsVerifyPeers: false`` asks for."""

    def __init__(self, context: Any, hostname: str) -> None:
        self._context = context
        self._hostname = hostname

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        from OpenSSL import SSL
        from twisted.internet.abstract import isIPAddress, isIPv6Address

        connection = SSL.Connection(self._context, None)
        if not isIPAddress(self._hostname) and not isIPv6Address(self._hostname):
            connection.set_tlsext_host_name(self._hostname.encode("ascii"))
        return connection
