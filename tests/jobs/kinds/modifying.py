"""What tests of modifications share: a storage area, an index, an engine, and held workers."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.data import make_instance
from orthanc_tw.core.delete import ResourceDeleter
from orthanc_tw.core.ingest_metadata import StoreOrigin
from orthanc_tw.core.modification import task
from orthanc_tw.core.modification.aftermath import Aftermath
from orthanc_tw.core.modification.instances import InstanceModifier
from orthanc_tw.core.reconstruct import Reconstructor
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.request import parse_anonymize
from orthanc_tw.jobs.interface import JobRequest
from orthanc_tw.jobs.kinds.modification import ModificationKind
from orthanc_tw.jobs.kinds.modification_parameters import (
    MERGE_STUDY,
    RESOURCE_MODIFICATION,
    SPLIT_STUDY,
    ModificationParameters,
)
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import OverwriteInstances, RequestOrigin
from orthanc_tw.model.resource import Resource
from orthanc_tw.storage.filesystem import FilesystemStorage
from tests.jobs.support import Bench
from tests.rest.composition import NOW_S, Composition, in_thread

SETTINGS = ModificationSettings()
SEED = "5a" * 32
STUDY = ResourceType.STUDY
INSTANCE = ResourceType.INSTANCE


class Workers:
    """Does what a pool does, when the test says so.

    :ivar limit: tasks that are done; the others wait
    :ivar failures: what a task on a file that holds these bytes raises
    """

    def __init__(self) -> None:
        self.limit = 1_000_000
        self.done = 0
        self.waiting: list[tuple[Deferred[Any], Any]] = []
        self.failures: dict[bytes, OrthancError] = {}

    def run(self, function: str, args: Any = (), *, deadline_s: float | None = None) -> Any:
        assert function == task.MODIFY_FILE
        deferred: Deferred[Any] = Deferred()
        self.waiting.append((deferred, args))
        self.go()
        return deferred

    def go(self) -> None:
        while self.waiting and self.done < self.limit:
            deferred, args = self.waiting.pop(0)
            self.done += 1
            maybeDeferred(self._work, *args).chainDeferred(deferred)

    def _work(self, *args: Any) -> Any:
        with open(args[1], "rb") as file:
            content = file.read()
        for mark, error in self.failures.items():
            if mark in content:
                raise error
        return task.modify_file(*args)


class ModificationCase(SynchronousTestCase):
    count = 12

    def setUp(self) -> None:
        numbers = iter(range(1_000_000))
        self.storage = FilesystemStorage(
            self.mktemp(),
            sync=False,
            with_md5=True,
            uuid_source=lambda: f"00000000-0000-4000-8000-{next(numbers):012x}",
        )
        self.composition = Composition(storage=self.storage, overwrite=OverwriteInstances.NEVER)
        self.index = self.composition.index
        self.workers = Workers()
        self.folder = self.mktemp()
        self.removed: list[Any] = []
        self.bench = self.new_bench()
        for number in range(self.count):
            self.upload(number)

    def upload(self, number: int) -> str:
        sample = make_instance(1, number % 2, number, 8)
        return str(self.composition.upload(sample.content).json()["ID"])

    def new_bench(self, store: Any = None) -> Bench:
        store_ = self.composition.store
        reconstructor = Reconstructor(self.index, self.storage, store_._read_summary, in_thread, {})
        deleter = ResourceDeleter(self.index, self.storage, in_thread, lambda: NOW_S)
        modifier = InstanceModifier(
            self.index,
            self.storage,
            store_,
            self.workers.run,
            lambda: SETTINGS,
            pseudonym_key=None,
            with_md5=True,
        )
        self.aftermath = Aftermath(self.index, deleter, reconstructor, per_transaction=5)
        kinds = [
            ModificationKind(type_name, self.index, modifier, self.aftermath, 3)
            for type_name in (RESOURCE_MODIFICATION, SPLIT_STUDY, MERGE_STUDY)
        ]
        return Bench(self.folder, *kinds, store=store, save_interval_s=0.0)

    def ids(self, level: ResourceType = INSTANCE) -> list[str]:
        return [row.public_id for row in self.index.read_now(lambda tx: tx.page(level))]

    def anonymization(self, **body: Any) -> Modification:
        return parse_anonymize(body, STUDY, SETTINGS, seed=SEED)

    def submit(self, modification: Modification, *resources: Resource, **more: Any) -> str:
        found = list(resources) or [Resource(STUDY, one) for one in self.ids(STUDY)]
        parameters = ModificationParameters(
            modification, found, 0, StoreOrigin(RequestOrigin.REST_API, "1.2.3.4"), **more
        )
        fired: list[str] = []
        request = JobRequest(RESOURCE_MODIFICATION, parameters.to_json())
        self.bench.engine.submit(request).addCallback(fired.append)
        self.bench.pump.run()
        [job_id] = fired
        return job_id

    def job(self, job_id: str) -> Any:
        return self.bench.engine.describe(job_id)

    def file(self, public_id: str) -> bytes:
        found = self.index.read_now(lambda tx: tx.attachment_of(INSTANCE, public_id, 1))
        assert found is not None
        with self.storage.open(found.uuid, found.compression) as file:
            return file.read()

    def spooled(self) -> list[str]:
        return os.listdir(os.path.dirname(self.storage.new_path()))
