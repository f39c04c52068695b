"""Measures requests from the start of their handler to the last byte of their answer."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from orthanc_tw.metrics import Metrics

ACTIVE = "orthanc_rest_api_active_requests"
DURATION = "orthanc_rest_api_duration_ms"


class RequestMeter:
    """Keeps the metrics of requests. Called in the reactor thread."""

    def __init__(self, metrics: Metrics, clock: IReactorTime) -> None:
        self._metrics = metrics
        self._clock = clock

    def __call__(self, request: Request) -> None:
        """A request has begun."""
        started_s = self._clock.seconds()
        self._metrics.inc(ACTIVE)

        def ended(reason: object) -> None:
            self._metrics.dec(ACTIVE)
            self._metrics.observe(DURATION, 1000 * (self._clock.seconds() - started_s))

        request.notifyFinish().addBoth(ended)
