"""``StorageCommitmentScp``: verifies what a modality wants committed, and reports to it.

Every instance is read back and compared with the MD5 of its reception, in threads.
Source: PS3.4 J; topic 43 of the corpus.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.core.storage_commitment import (
    FailedReference,
    FailureReason,
    Reference,
    verify,
)
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import JobContext, JobRequest, TransientFailure
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.net.errors import AssociationError, NoPresentationContext
from orthanc_tw.net.storage_commitment import CommitmentResult
from orthanc_tw.net.values import AssociationInfo
from orthanc_tw.storage.interface import Storage

STORAGE_COMMITMENT_SCP = "StorageCommitmentScp"
_PER_STEP = 20

#: Reports: symbolic name of the modality, own title, result.
Report = Callable[[str, str, CommitmentResult], Awaitable[None]]


def commitment_request(
    requestor: AssociationInfo, transaction_uid: str, references: Sequence[Reference]
) -> JobRequest:
    """The job for one N-ACTION; the requestor is a known modality."""
    return JobRequest(
        STORAGE_COMMITMENT_SCP,
        {
            "TransactionUid": transaction_uid,
            "RemoteModality": requestor.modality_name,
            "RemoteAet": requestor.calling_aet,
            "RemoteIp": requestor.remote_ip,
            "CalledAet": requestor.called_aet,
            "Instances": [list(reference) for reference in references],
        },
    )


class StorageCommitmentKind:
    """See `orthanc_tw.jobs.interface.JobKind`.

    :param report: how the result is sent
    """

    type_name = STORAGE_COMMITMENT_SCP
    is_durable = True

    def __init__(self, index: Index, storage: Storage, report: Report) -> None:
        self.index = index
        self.storage = storage
        self.report = report
        #: Jobs under way by requestor and transaction UID.
        self.open: dict[tuple[str, str], str] = {}

    def create(
        self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext
    ) -> StorageCommitmentJob:
        """One run."""
        return StorageCommitmentJob(self, parameters, cursor, context)


class StorageCommitmentJob:
    """See `orthanc_tw.jobs.interface.Job`."""

    def __init__(
        self,
        kind: StorageCommitmentKind,
        parameters: Any,
        cursor: Any,
        context: JobContext,
    ) -> None:
        self._kind = kind
        self._parameters = parameters
        self._context = context
        self._references = [Reference(*entry) for entry in parameters["Instances"]]
        self._next: int = 0 if cursor is None else cursor["Next"]
        self._failures: dict[int, int] = {}
        if cursor is not None:
            self._failures = {int(place): reason for place, reason in cursor["Failures"]}
        self._key = (parameters["RemoteAet"], parameters["TransactionUid"])
        self._is_reported = False

    def steps(self) -> Iterator[Deferred[Any]]:
        """Verify some instances a step, then report."""
        if self._kind.open.setdefault(self._key, self._context.job_id) != self._context.job_id:
            # Another transaction has the same UID: nothing of this one can be committed.
            reason = int(FailureReason.DUPLICATE_TRANSACTION_UID)
            self._failures = dict.fromkeys(range(len(self._references)), reason)
            self._next = len(self._references)
        while self._next < len(self._references):
            yield self._context.in_thread(self._verify, self._next).addCallback(self._verified)
        yield Deferred.fromCoroutine(self._report())

    def progress(self) -> float:
        """Share of the instances that were verified; the report is one more."""
        return (self._next + self._is_reported) / (len(self._references) + 1)

    def cursor(self) -> JsonObject | None:
        """Which instance is next, and what failed before it."""
        failures: list[JsonValue] = [[place, why] for place, why in self._failures.items()]
        return {"Next": self._next, "Failures": failures}

    def content(self) -> JsonObject:
        """As recorded."""
        return {
            "CalledAet": self._parameters["CalledAet"],
            "Description": "",
            "RemoteAet": self._parameters["RemoteAet"],
            "RemoteIp": self._parameters["RemoteIp"],
            "TransactionUid": self._parameters["TransactionUid"],
        }

    def abandon(self) -> None:
        """The transaction UID is free for the next run."""
        self._release()

    def _release(self) -> None:
        if self._kind.open.get(self._key) == self._context.job_id:
            del self._kind.open[self._key]

    def _verify(self, start: int) -> dict[int, int]:
        """In a thread: places of the instances that cannot be committed, and why."""
        failures = {}
        for place, reference in enumerate(self._references[start : start + _PER_STEP], start):
            reason = verify(
                reference,
                self._kind.index.read_in_thread,
                self._kind.storage,
                lambda: self._context.cancelled,
            )
            if self._context.cancelled:
                return {}
            if reason is not None:
                failures[place] = int(reason)
        return failures

    def _verified(self, failures: dict[int, int]) -> None:
        if not self._context.cancelled:  # else it is verified anew by the next run
            self._failures.update(failures)
            self._next = min(self._next + _PER_STEP, len(self._references))

    async def _report(self) -> None:
        result = CommitmentResult(
            self._parameters["TransactionUid"],
            [one for place, one in enumerate(self._references) if place not in self._failures],
            [
                FailedReference(*self._references[place], reason)
                for place, reason in sorted(self._failures.items())
            ],
        )
        try:
            await self._kind.report(
                self._parameters["RemoteModality"], self._parameters["CalledAet"], result
            )
        except NoPresentationContext:
            raise
        except AssociationError as error:
            raise TransientFailure(error.code, error.details) from error
        self._is_reported = True
        self._release()
