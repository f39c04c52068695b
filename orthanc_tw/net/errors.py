"""What goes wrong in the DICOM network, as errors with Orthanc's codes.

A route or a job may let them pass: they are `OrthancError`.
"""

from __future__ import annotations

from orthanc_tw.model.errors import ErrorCode, OrthancError


class AssociationError(OrthancError):
    """An association that could not be made, or ended too early."""

    def __init__(self, details: str, code: ErrorCode = ErrorCode.NETWORK_PROTOCOL) -> None:
        super().__init__(code, details)


class ConnectionRefused(AssociationError):
    """There is no TCP connection: nobody listens, the host is unknown, TLS failed."""


class AssociationTimeout(AssociationError):
    """The peer was silent for too long, or did not take what was sent."""


class AssociationRejected(AssociationError):
    """A-ASSOCIATE-RJ. Source: PS3.8 section 9.3.4.

    :ivar result: 1 rejected-permanent, 2 rejected-transient
    :ivar source: 1 service-user, 2 service-provider (ACSE), 3 service-provider (presentation)
    :ivar reason: depends on the source
    """

    def __init__(self, details: str, result: int, source: int, reason: int) -> None:
        super().__init__(details)
        self.result = result
        self.source = source
        self.reason = reason


class AssociationAborted(AssociationError):
    """A-ABORT of the peer, or a connection that was closed without release."""


class NoPresentationContext(AssociationError):
    """The peer accepted no presentation context for what is to be done."""

    def __init__(self, details: str) -> None:
        super().__init__(details, ErrorCode.NO_PRESENTATION_CONTEXT)


class ProtocolError(AssociationError):
    """The peer sent what PS3.7 or PS3.8 forbid; the association was aborted."""
