"""`WorkerPool.run` without processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.reflect import namedAny

from orthanc_tw.model.errors import OrthancError


def run_here(
    function: str, args: Sequence[Any] = (), *, deadline_s: float | None = None
) -> Deferred[Any]:
    """Call the function here and now; see `WorkerPool.run`.

    :raises OrthancError: (as failure) what the function raises
    """
    module, _, name = function.partition(":")
    try:
        return succeed(namedAny(f"{module}.{name}")(*args))
    except OrthancError as error:
        return fail(error)
