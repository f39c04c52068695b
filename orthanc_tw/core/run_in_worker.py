"""What a use case needs of the pool of worker processes."""

from __future__ import annotations

from typing import Any, Protocol


class RunInWorker(Protocol):
    """`orthanc_tw.workers.pool.WorkerPool.run`."""

    def __call__(self, function: str, args: Any = (), *, deadline_s: float | None = None) -> Any:
        """Deferred of what the function returns."""
