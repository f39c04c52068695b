"""One run of a job that modifies instances: its steps, its cursor, its content.

Plan, then the instances, several at a time, then what follows when all results are durable. New
identifiers are functions of a seed in the parameters, so a step done twice makes the same
files. Whatever fails before the last phase leaves the sources as they were; results that are
there already stay, as in Orthanc, and a resubmission meets them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from orthanc_tw.core.modification.aftermath import pairs, shared_parents
from orthanc_tw.core.modification.instances import Ids, Modified
from orthanc_tw.core.modification.members import find_members, write_members
from orthanc_tw.core.modification.plan import PlannedInstance, plan_instances
from orthanc_tw.jobs.interface import CHECKPOINT, JobContext
from orthanc_tw.jobs.kinds.modification_content import modification_content, study_content
from orthanc_tw.jobs.kinds.modification_journal import (
    Journal,
    members_path,
    read_plan,
    write_plan,
)
from orthanc_tw.jobs.kinds.modification_parameters import (
    RESOURCE_MODIFICATION,
    ModificationParameters,
)
from orthanc_tw.jobs.sliding_window import SlidingWindow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject

if TYPE_CHECKING:
    from orthanc_tw.jobs.kinds.modification import ModificationKind

_PER_STEP = 16
_PHASE = "Phase"
_MODIFY = "Modify"
_FINISH = "Finish"

_log = Logger()


class ModificationJob:
    """One run of one job. See `Job`."""

    def __init__(
        self,
        kind: ModificationKind,
        parameters: JsonObject,
        cursor: JsonObject | None,
        context: JobContext,
    ) -> None:
        self._kind = kind
        self._context = context
        self._parameters = ModificationParameters.from_json(parameters)
        self._phase = None if cursor is None else str(cursor[_PHASE])
        self._is_resumed = cursor is not None
        # An anonymization replaces all UIDs, whether they are of the job or not
        is_anonymization = self._parameters.modification.is_anonymization
        self._members = None if is_anonymization else members_path(context.folder)
        self._order = kind.modifier.order(
            self._parameters.modification,
            self._parameters.origin,
            keep_origin=kind.type_name == RESOURCE_MODIFICATION,
            members=self._members,
        )
        self._planned: list[PlannedInstance] | None = None
        self._done: dict[int, Modified] = {}
        self._failed_numbers: set[int] = set()
        self._taken: dict[str, int] = {}
        self._dropped: dict[str, str] = {}
        self._journal = Journal(context.folder)
        self._window: SlidingWindow[int] | None = None
        self._is_finished = False

    def steps(self) -> Iterator[Deferred[Any]]:
        """Plan, instances, aftermath."""
        yield Deferred.fromCoroutine(self._begin())
        assert self._planned is not None
        known = {*self._done, *self._failed_numbers}
        window = self._window = SlidingWindow(
            [number for number in range(len(self._planned)) if number not in known],
            self._start,
            self._ended,
            limit=self._kind.at_once,
            per_step=_PER_STEP,
            is_stopping=lambda: self._context.cancelled,
        )
        if self._phase != _FINISH:
            while not window.is_done:
                yield window.step()
            if not self._parameters.modification.keep_source:
                # Nothing is removed unless a restart would find that everything was done.
                yield self._context.in_thread(self._journal.sync).addCallback(self._modified)
        yield from self._finish()
        self._journal.close()
        self._is_finished = True

    def progress(self) -> float:
        """Share of the instances that were modified."""
        if self._is_finished:
            return 1.0
        if not self._planned:
            return 0.0
        done = len(self._done) + len(self._context.failed_instances)
        return min(done / len(self._planned), 1.0)

    def cursor(self) -> JsonObject | None:
        """The phase; what was done in it stands in the journal."""
        return None if self._phase is None else {_PHASE: self._phase}

    def content(self) -> JsonObject:
        """As recorded."""
        instances = self._parameters.instances if self._planned is None else len(self._planned)
        failed = len(self._context.failed_instances)
        if self._kind.type_name != RESOURCE_MODIFICATION:
            return study_content(self._parameters, instances=instances, failed=failed)
        is_over = self._planned is not None and (len(self._done) + failed >= len(self._planned))
        return modification_content(
            self._parameters,
            instances=instances,
            failed=failed,
            dropped=self._dropped,
            results=(one.result for one in self._done.values() if one.result is not None),
            is_finished=self._is_finished or is_over,
        )

    def abandon(self) -> None:
        """Give up what is under way. Results that arrive late are those of the next run too."""
        if self._window is not None:
            self._window.abandon()
        self._journal.close()

    # The plan

    async def _begin(self) -> object:
        if self._phase is None:
            resources = self._parameters.resources
            planned = await self._kind.index.read(lambda tx: plan_instances(tx, resources))
            members = None
            if self._members is not None:
                members = await self._kind.index.read(lambda tx: find_members(tx, planned))
            await self._context.in_thread(self._write_plan, planned, members)
            self._phase = _MODIFY
        else:
            planned = await self._context.in_thread(read_plan, self._context.folder)
        self._context.failed_instances.clear()
        for number, outcome in await self._context.in_thread(self._journal.open):
            self._note(planned, number, outcome)
        self._planned = planned
        return CHECKPOINT

    def _write_plan(
        self, planned: Sequence[PlannedInstance], members: Sequence[tuple[int, str]] | None
    ) -> None:
        self._context.make_folder()
        if members is not None and self._members is not None:
            write_members(self._members, members)
        write_plan(self._context.folder, planned)

    # The instances

    def _start(self, number: int) -> Deferred[object]:
        assert self._planned is not None
        planned = self._planned[number]
        if self._is_resumed and self._kind.modifier.was_replaced(self._order, planned):
            return succeed(Modified(planned.file, planned.ids))
        modifying: Deferred[Any] = self._kind.modifier.modify(
            self._order, planned, lambda result: self._claim(number, result)
        )
        return modifying

    def _claim(self, number: int, result: str) -> None:
        """A second instance must not take the place of the first one's result."""
        if self._taken.setdefault(result, number) != number:
            raise OrthancError(ErrorCode.DUPLICATE_RESOURCE, f"Two instances would become {result}")

    def _ended(self, number: int, result: object) -> None:
        assert self._planned is not None
        planned = self._planned[number]
        outcome: Modified | str
        if isinstance(result, Failure):
            outcome = self._forgiven(planned, result)
        else:
            assert isinstance(result, Modified)
            outcome = result
        self._journal.add(number, outcome)
        self._note(self._planned, number, outcome)

    def _forgiven(self, planned: PlannedInstance, failure: Failure) -> str:
        """Why an instance failed, if the job goes on all the same."""
        error = failure.value
        if not self._parameters.permissive:
            failure.raiseException()
        if not isinstance(error, OrthancError):
            _log.failure("Modifying {public_id}", failure, public_id=planned.public_id)
            return ErrorCode.INTERNAL_ERROR.description
        return str(error)

    def _note(
        self, planned: Sequence[PlannedInstance], number: int, outcome: Modified | str
    ) -> None:
        public_id = planned[number].public_id
        if isinstance(outcome, str):
            self._failed_numbers.add(number)
            self._context.failed_instances[public_id] = outcome
            return
        self._done[number] = outcome
        if outcome.result is not None:
            self._taken[outcome.result[3]] = number
        elif outcome.dropped is not None:
            self._dropped[public_id] = outcome.dropped

    def _modified(self, _: object) -> object:
        self._phase = _FINISH
        return CHECKPOINT

    # What follows

    def _finish(self) -> Iterator[Deferred[Any]]:
        results = self._results()
        aftermath = self._kind.aftermath
        size = aftermath.per_transaction
        if self._parameters.modification.keep_labels:
            labelled = pairs(results)
            for at in range(0, len(labelled), size):
                yield aftermath.copy_labels(labelled[at : at + size])
        for instance, resources in shared_parents(results).items():
            yield Deferred.fromCoroutine(aftermath.refresh(instance, resources))
        if not self._parameters.modification.keep_source:
            removed = self._removed()
            for at in range(0, len(removed), size):
                yield aftermath.remove_sources(removed[at : at + size])

    def _results(self) -> list[tuple[Ids, Ids]]:
        assert self._planned is not None
        return [
            (self._planned[number].ids, one.result)
            for number, one in sorted(self._done.items())
            if one.result is not None
        ]

    def _removed(self) -> list[tuple[str, str]]:
        """Sources that have a result which is not in their place, and the files that were read."""
        assert self._planned is not None
        return [
            (self._planned[number].public_id, one.file)
            for number, one in sorted(self._done.items())
            if one.result is not None and self._planned[number].public_id not in self._taken
        ]
