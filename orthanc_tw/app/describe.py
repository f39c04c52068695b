"""The REST API described without a server: nothing is opened, nothing listens."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from orthanc_tw.app import settings
from orthanc_tw.app.base import Base
from orthanc_tw.app.routes import RouteParts, route_providers
from orthanc_tw.config import load
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.rest.openapi import document
from orthanc_tw.rest.routes.job_events import JobEventsRoutes


class _Absent:
    """Stands for a part of the server that a description needs not."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self


def openapi_document() -> JsonObject:
    """What ``/openapi.json`` answers on a server with the default configuration.

    :raises ConfigurationError: never, unless the defaults are wrong
    """
    configuration = load((), {})
    absent: Any = _Absent()
    known: dict[str, Any] = {
        "configuration": configuration,
        "main_tags": settings.main_tags(configuration),
        "runtime": settings.runtime(configuration),
        "log_levels": LogLevels(),
    }
    base = Base(**{field.name: known.get(field.name, absent) for field in fields(Base)})
    parts = dict.fromkeys((field.name for field in fields(RouteParts)), absent)
    parts |= {"base": base, "events": JobEventsRoutes(absent, absent, absent)}
    providers = route_providers(RouteParts(**parts))
    return document(route for provider in providers for route in provider.routes())
