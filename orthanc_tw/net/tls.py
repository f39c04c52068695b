"""DICOM TLS by the ``DicomTls*`` options (PS3.15 annex B): contexts as SCP and as SCU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orthanc_tw import tls


@dataclass(frozen=True, slots=True)
class DicomTlsSettings:
    """Options.

    :ivar certificate: path of a PEM file
    :ivar private_key: path of a PEM file
    :ivar trusted: path of a PEM file with the certificates that others must have or be signed
        by, '' if there is none
    :ivar remote_required: whether clients must show a certificate
    :ivar minimum_version: 0 the profile BCP 195 (TLS 1.2), 4 TLS 1.2, 5 TLS 1.3
    """

    certificate: str
    private_key: str
    trusted: str = ""
    remote_required: bool = True
    minimum_version: int = 0
    ciphers: tuple[str, ...] = ()


def server_contexts(settings: DicomTlsSettings) -> Any:
    """For the port. Reads the files; once, at start.

    :raises ValueError: with one line that names the file or option that cannot be used
    """
    if settings.remote_required and not settings.trusted:
        raise ValueError(
            "DicomTlsTrustedCertificates: a file was expected, since "
            "DicomTlsRemoteCertificateRequired is true"
        )
    return _options(settings, settings.remote_required)


def client_contexts(settings: DicomTlsSettings) -> Any:
    """For what this server opens: the other one must be trusted. Names are not checked, as
    certificates in this field name application entities rather than hosts.

    :raises ValueError: with one line that names the file or option that cannot be used
    """
    if not settings.trusted:
        raise ValueError("DicomTlsTrustedCertificates: a file was expected, to open TLS to others")
    return _options(settings, True)


def _options(settings: DicomTlsSettings, verifies: bool) -> Any:
    # Key first, as a single file would have it.
    key_pem = tls.read("DicomTlsPrivateKey", settings.private_key)
    pem = key_pem + b"\n" + tls.read("DicomTlsCertificate", settings.certificate)
    own = tls.identity("DicomTlsCertificate, DicomTlsPrivateKey", settings.certificate, pem)
    minimum = settings.minimum_version or 4
    options = tls.versions("DicomTlsMinimumProtocolVersion", minimum, default=4)
    if verifies:
        options["trustRoot"] = tls.trust_root("DicomTlsTrustedCertificates", settings.trusted)
    return tls.certificate_options(own, "DicomTlsCiphersAccepted", settings.ciphers, **options)
