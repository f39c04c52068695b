"""The composition root: the one place where objects are made and wired."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

from orthanc_tw.config import Configuration
from orthanc_tw.startup import StartupError


def make_service(configuration: Configuration, reactor: Any, *, jobs_enabled: bool) -> IService:
    """Make the whole server, not started."""
    raise StartupError("the services of this server are not assembled yet")
