"""Modified and anonymized instances over HTTP, and dry runs."""

from __future__ import annotations

import json
import os

from twisted.internet.defer import fail, succeed
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.instances import Instances
from orthanc_tw.core.modification.dry_run import DryRun
from orthanc_tw.core.modification.instance_file import InstanceFiles
from orthanc_tw.dicom.modification.plan import ModificationSettings
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.routes.modify_instance import InstanceModificationRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import InMemorySite
from tests.dicom.modification.support import SEED, dataset, load, save
from tests.rest.browsing import Server, in_thread


class InstanceModificationTests(SynchronousTestCase):
    """``/instances/{id}/modify`` and ``/anonymize``; the worker is a call."""

    key: bytes | None = None

    def setUp(self) -> None:
        self.server = Server()
        self.instance = self.server.upload("test_files/CT_small.dcm")["ID"]
        self.failure: Exception | None = None
        index, storage = self.server.index, self.server.storage
        instances = Instances(index, self.server.documents)
        self.written: list[str] = []
        files = InstanceFiles(storage, self.run_task, ModificationSettings, self.key)
        dry_run = DryRun(instances, storage, self.run_task, ModificationSettings, self.key)
        routes = InstanceModificationRoutes(
            index,
            instances,
            files,
            dry_run,
            Streamer(in_thread),
            ModificationSettings,
            lambda: SEED,
            has_pseudonym_key=self.key is not None,
        )
        self.site = InMemorySite(routes, storage=storage)

    def run_task(self, function, args=(), *, deadline_s=None):
        """`WorkerPool.run`, here and now."""
        if self.failure is not None:
            return fail(self.failure)
        module, _, name = function.partition(":")
        try:
            result = namedAny(f"{module}.{name}")(*args)
        except OrthancError as error:
            return fail(error)
        if name == "modify_file":
            self.written.append(args[3])
        return succeed(result)

    def ask(self, path, body):
        return self.site.ask(
            "POST", f"/instances/{self.instance}/{path}", json.dumps(body).encode()
        )

    def test_file(self) -> None:
        """The answer is the file; nothing is stored, and nothing is left on disk."""
        answer = self.ask("modify", {"Replace": {"PatientName": "X^Y"}})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/dicom")
        self.assertEqual(load(answer.body).PatientName, "X^Y")
        self.assertEqual([os.path.exists(path) for path in self.written], [False])
        self.assertEqual(len(self.server.ask("GET", "/instances").json()), 1)

    def test_names_count(self) -> None:
        """Anonymized patients are numbered; refused requests take no number."""
        names = []
        for body in ({}, {"DicomVersion": "x"}, {"Replace": {"PatientName": "A"}}, {}):
            answer = self.ask("anonymize", body)
            if answer.status == 200:
                names.append(str(load(answer.body).PatientName))
        self.assertEqual(names, ["Anonymized1", "A", "Anonymized2"])

    def test_refusals(self) -> None:
        """Bad bodies, unknown instances and dropped ones are answered as errors."""
        self.assertEqual(self.ask("modify", []).status, 400)
        answer = self.ask("anonymize", {"Replace": {"PatientID": "x"}})
        self.assertIn("PatientID", answer.json()["Details"])
        answer = self.ask("modify", {"DryRun": "x"})
        self.assertIn("DryRun", answer.json()["Details"])
        answer = self.site.ask("POST", f"/instances/{'0' * 8}-x/modify", b"{}")
        self.assertEqual(answer.status, 404)
        answer = self.ask("modify", {"Transcode": "1.2.840.10008.1.2.4.50"})
        self.assertEqual(answer.status, 501)
        self.assertIn("Transcode", answer.json()["Details"])

    def test_dropped(self) -> None:
        """An instance that is dropped is an error that says why."""
        made = save(dataset(BurnedInAnnotation="YES"))
        self.instance = self.server.ask("POST", "/instances", made).json()["ID"]
        answer = self.ask("anonymize", {"DropBurnedIn": True})
        self.assertEqual(answer.status, 406)
        self.assertIn("BurnedInAnnotation is YES", answer.json()["Details"])

    def test_dead_worker(self) -> None:
        """What the pool says is answered."""
        self.failure = OrthancError(ErrorCode.TIMEOUT, "too long")
        self.assertEqual(self.ask("modify", {}).json()["Details"], "too long")

    def test_dry_run(self) -> None:
        """A dry run, by argument or by field, says what would become of each element."""
        for path, body in (("anonymize?dry-run", {}), ("anonymize", {"DryRun": True})):
            answer = self.ask(path, body).json()
            self.assertEqual(answer["InstancesCount"], 1)
            self.assertEqual((answer["Dropped"], answer["Failed"]), ([], []))
            by_tag = {
                entry["Tag"]: (outcome, entry["Name"], entry["Count"])
                for outcome in ("Removed", "Cleared", "Replaced", "Kept")
                for entry in answer[outcome]
            }
            self.assertEqual(by_tag["0010,0010"], ("Replaced", "PatientName", 1))
            self.assertEqual(by_tag["0010,1010"], ("Removed", "PatientAge", 1))
            self.assertEqual(by_tag["0008,0020"], ("Cleared", "StudyDate", 1))
            self.assertEqual(by_tag["0008,0060"], ("Kept", "Modality", 1))
            self.assertEqual(by_tag["0009,1001"][0], "Removed")
        self.assertEqual(self.written, [])

    def test_dry_run_names_what_is_dropped(self) -> None:
        """Objects that would be dropped are named with the reason."""
        made = save(dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
        self.instance = self.server.ask("POST", "/instances", made).json()["ID"]
        answer = self.ask("anonymize?dry-run", {"DropBurnedIn": True}).json()
        self.assertEqual(answer["Dropped"], [{"ID": self.instance, "Reason": "Secondary capture"}])


class PseudonymKeyTests(InstanceModificationTests):
    """The same with a key: names follow from it."""

    key = b"a secret of the configuration"

    def test_names_count(self) -> None:
        """A patient has the same name in each request, and no number is taken."""
        names = {str(load(self.ask("anonymize", {}).body).PatientName) for _ in range(2)}
        self.assertEqual(len(names), 1)
        self.assertRegex(names.pop(), "^Anonymized-[0-9a-f]{16}$")
