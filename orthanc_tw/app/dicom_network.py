"""Makes the DICOM network of a server: what it accepts, whom it serves, whom it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from twisted.logger import LogLevel

from orthanc_tw.app import dicom_settings
from orthanc_tw.app.base import Base
from orthanc_tw.config import Configuration
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.net.associations import Modalities
from orthanc_tw.net.dispatcher import Host
from orthanc_tw.net.negotiation import Policy
from orthanc_tw.net.permissions import Permissions
from orthanc_tw.net.scp.acceptor import AcceptorFactory
from orthanc_tw.net.scp.echo import VERIFICATION, EchoHandler
from orthanc_tw.net.scu.connect import connector
from orthanc_tw.net.scu.pool import Associations
from orthanc_tw.net.service import Service
from orthanc_tw.net.slots import Slots
from orthanc_tw.net.tls import client_contexts
from orthanc_tw.net.tracing import Trace
from orthanc_tw.net.values import AssociationInfo, Command, Reply, Status


@dataclass(frozen=True, slots=True)
class DicomNetwork:
    """The network of a server.

    :ivar permissions: who may ask for what; for the services that others add
    :ivar services: what is offered but C-STORE; append before the first association
    :ivar pool: associations to others
    """

    permissions: Permissions
    services: list[Service]
    acceptors: AcceptorFactory
    pool: Associations


def make_dicom_network(base: Base, store: InstanceStore, modalities: Modalities) -> DicomNetwork:
    """Wire it; nothing listens yet."""
    configuration, reactor, runtime = base.configuration, base.reactor, base.runtime
    settings = dicom_settings.network(configuration)
    permissions = Permissions(dicom_settings.permissions(configuration), modalities)
    services = [
        Service(
            "c-echo",
            Command.C_ECHO,
            (VERIFICATION,),
            EchoHandler(),
            lambda info: permissions.may("echo", info),
        )
    ]

    def observe(operation: str, info: AssociationInfo, status: int) -> None:
        # Titles come from outside: only those of known modalities make a series of their own.
        aet = "other" if info.modality is None else info.modality.aet
        base.metrics.count_dicom(operation, aet, _outcome(status))

    traced = Trace.IDENTIFIERS if settings.traces_identifiers else Trace.COMMANDS

    def traces() -> Trace:
        return traced if base.log_levels.shows(LogLevel.debug, "dicom") else Trace.OFF

    host = Host(
        store=None if settings.is_read_only else store,
        may_store=lambda info: permissions.may("store", info),
        services=services,
        slots=Slots(settings.operations),
        observe=observe,
        in_thread=base.in_thread,
    )
    acceptors = AcceptorFactory(
        dicom_settings.acceptor(configuration),
        host,
        permissions,
        lambda: _policy(host, runtime, settings.maximum_length),
        clock=reactor,
        traces=traces,
    )
    base.metrics.add_source(
        lambda: {
            "orthanc_available_dicom_threads": host.slots.storage.tokens,
            "orthanc_tw_dicom_associations": len(acceptors.connections),
        }
    )
    pool = Associations(
        dicom_settings.pool(configuration),
        connector(reactor, _client_contexts(configuration)),
        # What comes in an association that this server opened was asked for.
        replace(host, may_store=lambda info: True),
        clock=reactor,
        traces=traces,
    )
    return DicomNetwork(permissions, services, acceptors, pool)


def _client_contexts(configuration: Configuration) -> Callable[[], Any]:
    """Reads the certificates when the first modality with TLS is asked, and keeps them."""
    kept: list[Any] = []

    def contexts() -> Any:
        if not kept:
            tls = dicom_settings.tls(configuration)
            if tls is None:
                raise ValueError("DicomTlsCertificate and DicomTlsPrivateKey were expected")
            kept.append(client_contexts(tls))
        return kept[0]

    return contexts


def _outcome(status: int) -> str:
    if Reply(status).is_success:
        return "success"
    return "cancelled" if status == Status.CANCEL else "failure"


def _policy(host: Host, runtime: RuntimeOptions, maximum_length: int) -> Policy:
    """What is accepted now: the REST API may have changed it."""
    stores = host.store is not None
    return Policy(
        storage_classes=frozenset(runtime.accepted_sop_classes if stores else ()),
        unknown_classes=stores and runtime.unknown_sop_class_accepted,
        storage_syntaxes=frozenset(runtime.accepted_transfer_syntaxes),
        services=frozenset(uid for service in host.services for uid in service.sop_classes),
        sub_operations=any(service.sub_operations for service in host.services),
        maximum_length=maximum_length,
        reporting=frozenset(
            uid
            for service in host.services
            if service.command is Command.N_EVENT_REPORT
            for uid in service.sop_classes
        ),
    )
