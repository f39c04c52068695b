"""What jobs have stored that must not stay unless they succeed; see `StoresProvisionally`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger

from orthanc_tw.index.gateway import WriteTransaction
from orthanc_tw.jobs.interface import JobKind, StoresProvisionally
from orthanc_tw.jobs.record import JobEntry

_log = Logger()


class ProvisionalWork:
    """Asks the kinds of jobs. Called in the reactor thread; nothing of it fails.

    What could not be taken back is by the next start, since the row of the job says Failure.
    """

    def __init__(self, kinds: Mapping[str, JobKind]) -> None:
        self._kinds = kinds

    def keeping(self, entry: JobEntry) -> Callable[[WriteTransaction], None] | None:
        """What is to be written with the success of a job, if anything."""
        kind = self._kinds.get(entry.kind)
        return kind.keeping(entry.job_id) if isinstance(kind, StoresProvisionally) else None

    def take_back(self, entry: JobEntry) -> Deferred[None]:
        """A job has ended otherwise than well."""
        kind = self._kinds.get(entry.kind)
        if not isinstance(kind, StoresProvisionally):
            return succeed(None)
        return maybeDeferred(kind.take_back, entry.job_id).addErrback(
            lambda failure: _log.failure(
                "What job {job_id} has stored stays", failure, job_id=entry.job_id
            )
        )

    async def sweep(self) -> None:
        """What is left of jobs that will not go on."""
        for kind in self._kinds.values():
            if isinstance(kind, StoresProvisionally):
                try:
                    await kind.sweep()
                except Exception:
                    _log.failure("What jobs of {kind} have left stays", kind=kind.type_name)
