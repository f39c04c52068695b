"""Translates the options of the DICOM network into the settings of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orthanc_tw.config import Configuration
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.permissions import PermissionSettings
from orthanc_tw.net.scp.acceptor import AcceptorSettings
from orthanc_tw.net.scu.pool import PoolSettings
from orthanc_tw.net.tls import DicomTlsSettings
from orthanc_tw.startup import StartupError


def modalities(configuration: Configuration) -> Mapping[str, RemoteModality]:
    """``DicomModalities``.

    :raises StartupError: naming the modality that is not as it should be
    """
    return {
        name: _modality(name, value)
        for name, value in configuration.mapping("DicomModalities").items()
    }


def _modality(name: str, value: object) -> RemoteModality:
    try:
        return RemoteModality.from_json(value)
    except OrthancError as error:
        raise StartupError(f"DicomModalities.{name}: {error}") from None


def permissions(configuration: Configuration) -> PermissionSettings:
    """Who may ask for what."""
    always = {
        "echo": configuration.boolean("DicomAlwaysAllowEcho"),
        "store": configuration.boolean("DicomAlwaysAllowStore"),
        "find": configuration.boolean("DicomAlwaysAllowFind"),
        "find-worklist": configuration.boolean("DicomAlwaysAllowFindWorklist"),
        "get": configuration.boolean("DicomAlwaysAllowGet"),
        "move": configuration.boolean("DicomAlwaysAllowMove"),
    }
    return PermissionSettings(
        aet=configuration.text("DicomAet"),
        check_called_aet=configuration.boolean("DicomCheckCalledAet"),
        strict_aet_comparison=configuration.boolean("StrictAetComparison"),
        check_modality_host=configuration.boolean("DicomCheckModalityHost"),
        always_allowed=frozenset(
            operation for operation, is_allowed in always.items() if is_allowed
        ),
    )


def acceptor(configuration: Configuration) -> AcceptorSettings:
    """Settings of the DICOM server."""
    return AcceptorSettings(timeout_s=configuration.integer("DicomScpTimeout"))


def tls(configuration: Configuration) -> DicomTlsSettings | None:
    """Settings of DICOM TLS; None if there is no certificate to show."""
    certificate = configuration.path("DicomTlsCertificate")
    private_key = configuration.path("DicomTlsPrivateKey")
    trusted = configuration.path("DicomTlsTrustedCertificates")
    if certificate is None or private_key is None:
        return None
    return DicomTlsSettings(
        certificate=str(certificate),
        private_key=str(private_key),
        trusted="" if trusted is None else str(trusted),
        remote_required=configuration.boolean("DicomTlsRemoteCertificateRequired"),
        minimum_version=configuration.integer("DicomTlsMinimumProtocolVersion"),
        ciphers=(
            configuration.strings("DicomTlsCiphersAccepted")
            if configuration.is_set("DicomTlsCiphersAccepted")
            else ()
        ),
    )


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """What `dicom_network` needs besides.

    :ivar operations: ``DicomThreadsCount``
    :ivar maximum_length: ``MaximumPduLength``, bytes
    :ivar is_read_only: ``ReadOnly``
    :ivar traces_identifiers: ``DicomTraceIdentifiers``
    """

    operations: int
    maximum_length: int
    is_read_only: bool
    traces_identifiers: bool


def network(configuration: Configuration) -> NetworkSettings:
    """Of the options."""
    return NetworkSettings(
        operations=configuration.integer("DicomThreadsCount"),
        maximum_length=configuration.integer("MaximumPduLength"),
        is_read_only=configuration.boolean("ReadOnly"),
        traces_identifiers=configuration.boolean("DicomTraceIdentifiers"),
    )


def pool(configuration: Configuration) -> PoolSettings:
    """Settings of the associations that this server opens."""
    return PoolSettings(
        aet=configuration.text("DicomAet"),
        timeout_s=configuration.integer("DicomScuTimeout"),
        close_delay_s=configuration.integer("DicomAssociationCloseDelay"),
        maximum_length=configuration.integer("MaximumPduLength"),
    )
