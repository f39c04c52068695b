"""HTTPS by the ``Ssl*`` options: a context factory for Twisted's endpoints and ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orthanc_tw import tls


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
    path = settings.certificate
    own = tls.identity("SslCertificate", path, tls.read("SslCertificate", path))
    options = tls.versions("SslMinimumProtocolVersion", settings.minimum_version, default=4)
    if settings.trusted_clients is not None:
        options["trustRoot"] = tls.trust_root(
            "SslTrustedClientCertificates", settings.trusted_clients
        )
    return tls.certificate_options(own, "SslCiphersAccepted", settings.ciphers, **options)
