"""This server with one job, of the highest priority, that never ends and holds a slot.

``python -m benchmarks.holding_server CONFIGURATION``: for `benchmarks.pending_jobs`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from orthanc_tw.app import server as server_module
from orthanc_tw.app.parts import Parts, make_parts
from orthanc_tw.config import load
from orthanc_tw.jobs.interface import JobContext, JobRequest
from orthanc_tw.log_levels import LogLevels
from orthanc_tw.model.json_types import JsonObject

PRIORITY = 2**31 - 1


class HoldKind:
    """A `JobKind` whose only step never ends."""

    type_name = "Hold"
    is_durable = False

    def create(
        self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext
    ) -> HoldJob:
        """See `JobKind`."""
        return HoldJob()


class HoldJob:
    """See `Job`."""

    def steps(self) -> Iterator[Deferred[Any]]:
        """One, for ever."""
        yield Deferred()

    def progress(self) -> float:
        """None is made."""
        return 0.0

    def cursor(self) -> JsonObject | None:
        """There is nothing to go on with."""
        return None

    def content(self) -> JsonObject:
        """Nothing is known."""
        return {}

    def abandon(self) -> None:
        """Nothing is held."""


def main(reactor: Any) -> Deferred[None]:
    """Run until killed."""

    def with_hold(*args: Any, **kwargs: Any) -> Parts:
        parts = make_parts(*args, **kwargs)
        parts.engine.register(HoldKind())
        # Waits for the saved jobs, and is in the queue before the first of them is taken.
        parts.engine.submit(JobRequest("Hold", {}, PRIORITY))
        return parts

    server_module.make_parts = with_hold  # type: ignore[attr-defined]
    configuration = load([Path(sys.argv[1])], os.environ)
    service = server_module.make_service(
        configuration, reactor, jobs_enabled=True, log_levels=LogLevels()
    )
    service.privilegedStartService()
    service.startService()
    return Deferred()


if __name__ == "__main__":
    react(main)
