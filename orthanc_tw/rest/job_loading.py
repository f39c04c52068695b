"""Requests about jobs wait until the saved jobs are loaded; all others need not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any

from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.rest.http import Body, Handler, Route


def once_loaded(engine: JobsEngine, routes: Iterable[Route]) -> Iterator[Route]:
    """The same routes: nobody is told that a job is unknown which the engine has yet to load.

    While it does, their answers wait; they fail if the jobs cannot be loaded.
    """
    for route in routes:
        yield replace(route, handler=_waiting(engine, route.handler))


def _waiting(engine: JobsEngine, handler: Handler) -> Handler:
    async def later(*args: Any, **kwargs: Any) -> Body:
        await engine.when_ready()
        answer = handler(*args, **kwargs)
        return await answer if isinstance(answer, Awaitable) else answer

    @wraps(handler)
    def handle(*args: Any, **kwargs: Any) -> Any:
        call: Callable[..., Any] = handler if engine.is_ready else later
        return call(*args, **kwargs)

    return handle
