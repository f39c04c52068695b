"""Jobs as earlier versions have saved them: each loads, and goes on where it was.

The texts are rows of the table ``jobs``; whoever has to change one has broken an upgrade.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.modification.plan import Modification
from orthanc_tw.jobs.interface import JobContext, JobKind
from orthanc_tw.jobs.kinds.archive import ARCHIVE, ArchiveKind
from orthanc_tw.jobs.kinds.modification_parameters import ModificationParameters
from orthanc_tw.jobs.kinds.pull_transfer import PullTransferKind
from orthanc_tw.jobs.kinds.push_transfer import PushTransferKind
from orthanc_tw.jobs.kinds.retrieve import GET, MOVE
from orthanc_tw.jobs.kinds.storage_commitment import StorageCommitmentKind
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.net.values import MoveOriginator
from tests.core.archives.fakes import FakeIndex
from tests.jobs.kinds.sending import ModalityStoreCase, PeerStoreCase
from tests.jobs.kinds.test_retrieve import RetrieveCase

_REMOTE = """{"AET": "REMOTE", "Host": "localhost", "Port": 104, "Manufacturer": "Generic",
"AllowEcho": true, "AllowFind": true, "AllowFindWorklist": true, "AllowGet": true,
"AllowMove": true, "AllowStore": true, "AllowNAction": true, "AllowEventReport": true,
"AllowTranscoding": true, "UseDicomTls": false, "LocalAet": "", "Timeout": 0,
"RetrieveMethod": "SystemDefault"}"""
_RESOURCES = """[["2f859814-2cf8fe4f-c7963e7d-d32c018d-66fc8cfa", "Instance"],
["f689ddd2-662f8fe1-8b18180d-ec2a2cee-937917af", "Instance"],
["ff4ab066-ea24d22c-6206dcd5-9d5328b7-32783890", "Instance"]]"""
_SHOWN: list[dict[str, str]] = [
    {"ID": public_id, "Type": level} for public_id, level in json.loads(_RESOURCES)
]


class Stored:
    """A test of one kind."""

    def load(self, kind: JobKind, parameters: str, cursor: str, context: JobContext) -> Any:
        """The job that a kind makes of a row, whose next row has the same cursor."""
        at: JsonObject = json.loads(cursor)
        job = kind.create(json.loads(parameters), at, context)
        assert job.cursor() == at, (job.cursor(), at)
        return job


class ModalityStoreTests(Stored, ModalityStoreCase):
    parameters_text = f"""{{"Remote": {_REMOTE}, "LocalAet": "ME", "Resources": {_RESOURCES},
        "InstancesCount": 3, "Permissive": true, "StorageCommitment": true,
        "Description": "REST API", "Timeout": 7, "MoveOriginatorAET": "MOVER",
        "MoveOriginatorID": 7}}"""
    cursor_text = """{"Resource": 1, "After": "f689ddd2-662f8fe1-8b18180d-ec2a2cee-937917af",
        "Done": 2, "Transaction": ""}"""

    def test_goes_on(self) -> None:
        """The third instance is sent, for the same originator, and then commitment asked for."""
        self.context.failed_instances[self.ids[0]] = "no"
        job = self.load(self.kind, self.parameters_text, self.cursor_text, self.context)
        self.assertEqual(2 / 3, job.progress())
        self.assertEqual(
            {
                "Description": "REST API",
                "FailedInstancesCount": 1,
                "InstancesCount": 3,
                "LocalAet": "ME",
                "RemoteAet": "REMOTE",
                "ParentResources": [one["ID"] for one in _SHOWN],
                "Resources": _SHOWN,
                "MoveOriginatorAET": "MOVER",
                "MoveOriginatorID": 7,
            },
            job.content(),
        )
        self.run_all(job.steps())
        self.assertEqual(1, len(self.sent()))
        self.assertEqual(7, self.pool.log[0][2].message_id)
        self.assertEqual(2, len(self.commitments.asked[0]))
        self.assertEqual(
            {"Resource": 2, "After": self.ids[2], "Done": 3, "Transaction": "2.25.7"},
            job.cursor(),
        )

    def test_parameters(self) -> None:
        """What is saved today is what was saved then."""
        self.assertEqual(
            self.parameters_text.replace("\n        ", " ").replace("\n", " "),
            json.dumps(
                self.parameters(
                    permissive=True,
                    timeout_s=7,
                    originator=MoveOriginator("MOVER", 7),
                    storage_commitment=True,
                )
            ),
        )


class PeerStoreTests(Stored, PeerStoreCase):
    parameters_text = f"""{{"PeerName": "b", "Peer": {{"Url": "http://peer/",
        "Username": "alice", "Password": "tops3cret", "Timeout": 0, "HttpHeaders": {{}}}},
        "Resources": {_RESOURCES}, "InstancesCount": 3, "Compress": false,
        "Transcode": "1.2.840.10008.1.2", "Permissive": true, "Description": "REST API"}}"""
    cursor_text = """{"Resource": 1, "After": "f689ddd2-662f8fe1-8b18180d-ec2a2cee-937917af",
        "Done": 2, "Size": 49000}"""

    def test_goes_on(self) -> None:
        """The third instance is sent, and counted with the bytes of the others."""
        job = self.load(self.kind, self.parameters_text, self.cursor_text, self.context)
        self.assertEqual(2 / 3, job.progress())
        self.assertEqual(
            {
                "Compress": False,
                "Description": "REST API",
                "FailedInstancesCount": 0,
                "InstancesCount": 3,
                "Peer": ["http://peer/", "alice"],
                "Size": "49000",
                "SizeMB": 0,
                "Transcode": "1.2.840.10008.1.2",
                "ParentResources": [one["ID"] for one in _SHOWN],
                "Resources": _SHOWN,
            },
            job.content(),
        )
        self.run_all(job.steps())
        ((_, body, _),) = self.client.sent
        self.assertEqual(
            {"Resource": 2, "After": self.ids[2], "Done": 3, "Size": 49000 + len(body)},
            job.cursor(),
        )

    def test_parameters(self) -> None:
        """What is saved today is what was saved then."""
        self.assertEqual(
            self.parameters_text.replace("\n        ", " ").replace("\n", " "),
            json.dumps(self.parameters(permissive=True, transcode="1.2.840.10008.1.2")),
        )


class RetrieveTests(Stored, RetrieveCase):
    parameters_text = f"""{{"Remote": {_REMOTE}, "Level": "Study", "Queries": [
        {{"0020,000d": "1.1"}}, {{"0020,000d": "1.2"}}], "LocalAet": "ME", "TargetAet": "TARGET",
        "QueryFormat": "short", "Permissive": true, "Description": "REST API", "Timeout": 9}}"""
    cursor_text = """{"Position": 1, "Statuses": [49152, 0], "Received": [["id0"], []]}"""

    def test_goes_on(self) -> None:
        """The second retrieval follows; what the first one came to is not forgotten."""
        for type_name in (MOVE, GET):
            self.pool.log.clear()
            kind = self.kind(type_name)
            job = self.load(kind, self.parameters_text, self.cursor_text, self.context)
            self.assertEqual(0.5, job.progress())
            for step in job.steps():
                self.successResultOf(step)
            self.assertEqual(1, len(self.pool.log))
            self.assertEqual(
                [
                    {
                        "DimseErrorStatus": 49152,
                        "Query": {"0020,000d": "1.1"},
                        "ReceivedInstancesIds": ["id0"],
                    },
                    {
                        "DimseErrorStatus": 0,
                        "Query": {"0020,000d": "1.2"},
                        "ReceivedInstancesIds": [],
                    },
                ],
                job.content()["Details"],
            )


class OtherTests(Stored, SynchronousTestCase):
    """Kinds whose files are in the folder of the job: their own tests take those up."""

    def setUp(self) -> None:
        """A run without a folder."""
        self.context = JobContext("id", self.mktemp(), lambda: None, maybeDeferred)

    def test_archive(self) -> None:
        """The public content of an archive is what it was."""
        index: Any = FakeIndex()
        kind = ArchiveKind(ARCHIVE, index, index.open_file, lambda: index)
        job = self.load(
            kind,
            """{"Resources": ["66a662ce-7430e543-bad44d47-0dc5a943-ec7a538d"], "Level": null,
            "Base": "Study", "Utf8": false, "Extended": false, "Filename": "x.zip",
            "InstancesCount": 7, "UncompressedSize": 2000000, "Description": "REST API"}""",
            """{"Members": 4, "Offset": 900, "Digest": "00", "Durable": 700, "Bytes": 500000}""",
            self.context,
        )
        self.assertEqual(0.25, job.progress())
        self.assertEqual(
            {
                "ArchiveSize": "0",
                "ArchiveSizeMB": 0,
                "Description": "REST API",
                "InstancesCount": 7,
                "UncompressedSize": "2000000",
                "UncompressedSizeMB": 1,
                "Utf8": False,
            },
            job.content(),
        )

    def test_modification(self) -> None:
        """What a modification is to do is read, and would be saved as it is."""
        text = """{"Modification": {"Level": "Study", "Seed": "00ff", "Edition": "2023b",
            "Replace": [["0010,0010", "A"]], "Remove": ["0008,0080", "50xx,xxxx"],
            "Keep": ["0008,103e"], "RemovePrivateTags": true, "PrivateCreator": null,
            "KeepSource": true, "KeepLabels": false, "Transcode": "1.2.840.10008.1.2",
            "LossyQuality": 80, "DropBurnedIn": false, "Conformant": null, "Minimal": false},
            "Resources": [{"ID": "a-b", "Type": "Study"}], "InstancesCount": 2,
            "RemoteIP": "1.2.3.4", "HttpUsername": "alice", "Permissive": true, "Single": true,
            "TargetStudy": null, "TargetStudyUID": null}"""
        found = ModificationParameters.from_json(json.loads(text))
        self.assertIsInstance(found.modification, Modification)
        self.assertEqual(json.loads(text), found.to_json())
        self.assertEqual(list(json.loads(text)), list(found.to_json()))

    def test_storage_commitment(self) -> None:
        """Which instances are verified, and which of them failed, is known."""
        nothing: Any = None
        job = self.load(
            StorageCommitmentKind(nothing, nothing, nothing),
            """{"TransactionUid": "1.2", "RemoteModality": "m", "RemoteAet": "A",
            "RemoteIp": "10.0.0.7", "CalledAet": "ME", "Instances": [["1.3", "1.4"]]}""",
            """{"Next": 1, "Failures": [[0, 274]]}""",
            self.context,
        )
        self.assertEqual(0.5, job.progress())

    def test_transfers(self) -> None:
        """Those of the accelerator know their peer, and how far they are."""
        network: Any = SimpleNamespace(clock=Clock())
        nothing: Any = None
        parameters = """{"Resources": [{"Level": "Study", "ID": "a-b"}], "Peer": "b",
            "Compression": "gzip", "Priority": 3, "Originator": "u", "SenderTransferID": "t"}"""
        kinds: list[tuple[Any, str]] = [
            (PullTransferKind(network, nothing, nothing), '{"Planned": true}'),
            (
                PushTransferKind(network, nothing, nothing, nothing),
                '{"Transaction": "x", "Cookie": "c=1", "Begun": 1, "Done": 5}',
            ),
        ]
        for kind, cursor in kinds:
            self.load(kind, parameters, cursor, self.context)
