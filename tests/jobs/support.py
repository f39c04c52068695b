"""A bench for the engine: everything it is handed, in memory, and kinds that tests script."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock

from orthanc_tw.jobs.engine import JobsEngineService
from orthanc_tw.jobs.interface import JobContext, JobKind, JobRequest, Output
from orthanc_tw.jobs.query import JobPage, JobQuery
from orthanc_tw.jobs.settings import JobsSettings
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.testing.jobs import MemoryJobStore, Pump

START_S = 1_795_292_099.103546


class Held:
    """A kind of one job whose steps fire when the test says so: ``kind.steps[i].callback``.

    :ivar log: what happened, in order
    """

    is_durable = True

    def __init__(self, name: str = "Held", count: int = 3) -> None:
        self.type_name = name
        self.count = count
        self.runs: list[HeldJob] = []
        self.log: list[str] = []

    def create(
        self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext
    ) -> HeldJob:
        job = HeldJob(self, parameters, cursor, context)
        self.runs.append(job)
        return job


class HeldJob:
    def __init__(
        self, kind: Held, parameters: JsonObject, cursor: JsonObject | None, context: JobContext
    ) -> None:
        self.kind = kind
        self.parameters = parameters
        self.context = context
        self.done = int(cursor["done"]) if cursor else 0  # type: ignore[arg-type, call-overload]
        self.waiting: list[Deferred[Any]] = []
        self.abandoned = 0
        self.cancelled = 0

    @property
    def name(self) -> str:
        return str(self.parameters.get("name", "job"))

    def steps(self) -> Iterator[Deferred[Any]]:
        while self.done < self.kind.count:
            self.kind.log.append(f"{self.name} {self.done}")
            step: Deferred[Any] = Deferred(self._cancel)
            self.waiting.append(step)
            yield step.addCallback(self._stepped)

    def _stepped(self, result: object) -> object:
        self.done += 1
        return result

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def go(self, result: object = None) -> None:
        """Let the step under way end."""
        self.waiting[-1].callback(result)

    def progress(self) -> float:
        return self.done / self.kind.count

    def cursor(self) -> JsonObject | None:
        return {"done": self.done}

    def content(self) -> JsonObject:
        return {"Description": "REST API", "Done": self.done}

    def abandon(self) -> None:
        self.abandoned += 1


class Scripted:
    """A kind whose jobs do ``script(job)``: an iterator of Deferreds, or of plain results."""

    is_durable = True

    def __init__(
        self,
        script: Callable[[ScriptedJob], Iterator[Any]] = lambda job: iter(()),
        name: str = "Scripted",
        durable: bool = True,
    ) -> None:
        self.type_name = name
        self.is_durable = durable
        self.script = script
        self.created: list[ScriptedJob] = []

    def create(
        self, parameters: JsonObject, cursor: JsonObject | None, context: JobContext
    ) -> ScriptedJob:
        job = ScriptedJob(self, parameters, cursor, context)
        self.created.append(job)
        return job


class ScriptedJob:
    def __init__(
        self,
        kind: Scripted,
        parameters: JsonObject,
        cursor: JsonObject | None,
        context: JobContext,
    ) -> None:
        self.kind = kind
        self.parameters = parameters
        self.context = context
        self.at = cursor
        self.part = 0.0
        self.shown: JsonObject = {"Description": "REST API"}
        self.abandoned = 0

    def steps(self) -> Iterator[Deferred[Any]]:
        for result in self.kind.script(self):
            yield result if isinstance(result, Deferred) else succeed(result)

    def progress(self) -> float:
        return self.part

    def cursor(self) -> JsonObject | None:
        return self.at

    def content(self) -> JsonObject:
        return self.shown

    def abandon(self) -> None:
        self.abandoned += 1


def leaves_file(job: ScriptedJob) -> Iterator[Any]:
    """A script that leaves an output named ``archive``."""
    job.context.make_folder()
    path = os.path.join(job.context.folder, "archive.zip")
    with open(path, "wb") as file:
        file.write(b"PK")
    job.context.outputs["archive"] = Output(path, "application/zip", "out.zip")
    yield None


def found_now(finding: Deferred[JobPage], clock: Clock) -> JobPage:
    """The result of a search that takes turns of the reactor."""
    results: list[JobPage] = []
    finding.addCallback(results.append)
    for _ in range(1000):
        if results:
            break
        clock.advance(0)
    [page] = results
    return page


class Bench:
    """An engine in memory.

    :ivar held_threads: functions that wait to be run, while ``hold_threads``
    """

    def __init__(
        self,
        folder: str,
        *kinds: JobKind,
        store: MemoryJobStore | None = None,
        start: bool = True,
        make_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        job_ended: Callable[[str, str, float, float], None] = lambda *times: None,
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.pump = Pump()
        self.store = MemoryJobStore() if store is None else store
        self.folder = folder
        self.hold_threads = False
        self.chance = 1.0
        self.labels: dict[str, set[str]] = {}
        self.held_threads: list[Callable[[], None]] = []
        self.engine = JobsEngineService(
            JobsSettings(folder=folder, **settings),
            kinds,
            self.store,
            clock=self.clock,
            cooperator=self.pump.cooperator,
            in_thread=self.in_thread,
            random=lambda: self.chance,
            labels=self,
            job_ended=job_ended,
            make_id=make_id,
            now_s=lambda: START_S + self.clock.seconds(),
        )
        if start:
            self.engine.startService()
            self.pump.run()

    def in_use(self) -> Deferred[Any]:
        return succeed(set().union(*self.labels.values()))

    def having(self, public_ids: Sequence[str], labels: Sequence[str]) -> Deferred[Any]:
        wanted = set(labels)
        return succeed([one for one in public_ids if wanted & self.labels.get(one, set())])

    def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        if not self.hold_threads:
            return maybeDeferred(function, *args, **kwargs)
        done: Deferred[Any] = Deferred()
        self.held_threads.append(
            lambda: maybeDeferred(function, *args, **kwargs).chainDeferred(done)
        )
        return done

    def submit(
        self,
        kind: str = "Held",
        name: str = "job",
        priority: int = 0,
        run: bool = True,
        **more: Any,
    ) -> str:
        """Submit a job, and let it start if it may; its id."""
        parameters = {"name": name, **more}
        fired: list[str] = []
        self.engine.submit(JobRequest(kind, parameters, priority)).addCallback(fired.append)
        if run:
            self.pump.run()
        [job_id] = fired
        return job_id

    def find(self, **query: Any) -> list[str]:
        """The ids of a page of the list."""
        return found_now(self.engine.find(JobQuery(**query)), self.clock).job_ids

    def state(self, job_id: str) -> str:
        job = self.engine.describe(job_id)
        return "gone" if job is None else str(job["State"])

    def field(self, job_id: str, name: str) -> Any:
        job = self.engine.describe(job_id)
        assert job is not None
        return job[name]

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.pump.run()

    def stop(self) -> Deferred[None]:
        stopped = self.engine.stopService()
        self.pump.run()
        return stopped
