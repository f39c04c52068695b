"""HTTPS by the ``Ssl*`` options: a context factory for Twisted's endpoints and ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: ``SslMinimumProtocolVersion``: 0 and 1 were SSL, which no library speaks any more.
_VERSIONS = {2: "TLSv1_0", 3: "TLSv1_1", 4: "TLSv1_2", 5: "TLSv1_3"}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Options of HTTPS.

    :ivar certificate: path of a PEM file with the private key and the certificate chain
    :ivar trusted_clients: path of a PEM file with the certificates that clients must have or
        be signed by (``SslVerifyPeers``), or None if clients need none
    :ivar minimum_version: ``SslMinimumProtocolVersion``: 4 is TLS 1.2, 5 is TLS 1.3
    :ivar ciphers: OpenSSL's names of the accepted ciphers; empty: the library's choice
    """

    certificate: str
    trusted_clients: str | None = None
    minimum_version: int = 4
    ciphers: tuple[str, ...] = ()


def context_factory(settings: TlsSettings) -> Any:
    """The factory of TLS contexts. Reads the files; once, at start.

    :raises ValueError: with one line that names the file or option that cannot be used
    """
    from OpenSSL import SSL, crypto
    from twisted.internet import ssl

    try:
        with open(settings.certificate, "rb") as file:
            pem = file.read()
        certificate = ssl.PrivateCertificate.loadPEM(pem)
        chain = _certificates(pem)[1:]
    except OSError as error:
        raise ValueError(f"SslCertificate: {settings.certificate}: {error.strerror}") from None
    except (crypto.Error, SSL.Error, ValueError) as error:
        raise ValueError(
            f"SslCertificate: {settings.certificate}: a PEM file with a private key and its "
            f"certificate was expected ({type(error).__name__})"
        ) from None
    name = _VERSIONS.get(max(settings.minimum_version, min(_VERSIONS)))
    if name is None:
        raise ValueError(f"SslMinimumProtocolVersion: 0 to 5 expected: {settings.minimum_version}")
    version = getattr(ssl.TLSVersion, name)
    options: dict[str, Any] = {"raiseMinimumTo": version}
    if settings.minimum_version < 4:
        options = {"insecurelyLowerMinimumTo": version}
    if settings.trusted_clients is not None:
        options["trustRoot"] = _trusted(settings.trusted_clients)
    if settings.ciphers:
        ciphers = ":".join(settings.ciphers)
        options["acceptableCiphers"] = ssl.AcceptableCiphers.fromOpenSSLCipherString(ciphers)
    try:
        return ssl.CertificateOptions(
            privateKey=certificate.privateKey.original,
            certificate=certificate.original,
            extraCertChain=[item.original for item in chain],
            **options,
        )
    except ValueError as error:
        raise ValueError(
            f"SslCiphersAccepted: OpenSSL knows none of them: {', '.join(settings.ciphers)}"
        ) from error


def _trusted(path: str) -> Any:
    from twisted.internet import ssl

    try:
        with open(path, "rb") as file:
            found = _certificates(file.read())
    except OSError as error:
        raise ValueError(f"SslTrustedClientCertificates: {path}: {error.strerror}") from None
    except Exception as error:
        raise ValueError(
            f"SslTrustedClientCertificates: {path}: PEM certificates were expected "
            f"({type(error).__name__})"
        ) from None
    if not found:
        raise ValueError(f"SslTrustedClientCertificates: {path}: there is no certificate in it")
    return ssl.trustRootFromCertificates(found)


def _certificates(pem: bytes) -> list[Any]:
    from twisted.internet import ssl

    mark = b"-----BEGIN CERTIFICATE-----"
    return [ssl.Certificate.loadPEM(mark + part) for part in pem.split(mark)[1:]]
