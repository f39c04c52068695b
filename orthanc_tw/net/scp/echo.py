"""C-ECHO (PS3.4 annex A)."""

from __future__ import annotations

from orthanc_tw.net.service import Responder, ServiceRequest
from orthanc_tw.net.values import Reply, Status

VERIFICATION = "1.2.840.10008.1.1"


class EchoHandler:
    """`ServiceHandler`: all is well."""

    async def handle(self, request: ServiceRequest, responder: Responder) -> Reply:
        """Say so."""
        return Reply(Status.SUCCESS)
