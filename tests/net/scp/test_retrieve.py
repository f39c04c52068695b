"""C-MOVE and C-GET over index and storage in memory."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pydicom import dcmread
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.index.gateway import ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.datasets import decode
from orthanc_tw.net.errors import ConnectionRefused
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.scp.get import GetHandler, Transcoder
from orthanc_tw.net.scp.identifiers import Identifiers
from orthanc_tw.net.scp.move import MoveHandler, SubmitStore
from orthanc_tw.net.values import Command, InstanceFile, MoveOriginator, Reply, Status
from tests.net.scp.fakes import FakeResponder, dataset, request
from tests.rest.browsing import DATA, Server

CT, MR, JPEG = (f"test_files/{n}.dcm" for n in ("CT_small", "MR_small", "SC_rgb_jpeg_dcmtk"))
PETER = tuple(
    f"test_files/dicomdirtests/98892003/{name}"
    for name in ("MR1/15820", "MR1/4919", "MR1/5641", "MR2/15970", "MR2/4950")
)
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


def uid(name: str, keyword: str) -> str:
    """A UID of a test file."""
    return str(dcmread(DATA / name, stop_before_pixels=True)[keyword].value)


class Case(SynchronousTestCase):
    """Seven instances and a compressed one."""

    def setUp(self) -> None:
        """Store the instances."""
        self.server = Server()
        for name in (CT, MR, JPEG, *PETER):
            self.server.upload(name)
        self.identifiers = Identifiers(self.server.runtime)
        self.responder = FakeResponder()


class GetTests(Case):
    """`GetHandler`."""

    def get(self, transcoder: Transcoder | None = None, **keys: Any) -> Reply:
        """Ask for instances."""
        handler = GetHandler(self.server.index, self.server.storage, self.identifiers, transcoder)
        asked = request(dataset(**keys), Command.C_GET)
        return self.successResultOf(Deferred.fromCoroutine(handler.handle(asked, self.responder)))

    def stored(self) -> list[str]:
        """SOP instance UIDs of what arrived."""
        return sorted(instance.sop_instance_uid for instance, _ in self.responder.stored)

    def test_levels(self) -> None:
        """Each level has its unique key; what arrives are the files, byte for byte."""
        ct = uid(CT, "SOPInstanceUID")
        for level, keyword in (
            ("PATIENT", "PatientID"),
            ("STUDY", "StudyInstanceUID"),
            ("SERIES", "SeriesInstanceUID"),
            ("IMAGE", "SOPInstanceUID"),
        ):
            self.responder = FakeResponder()
            keys = {"QueryRetrieveLevel": level, keyword: uid(CT, keyword)}
            reply = self.get(**keys)
            self.assertEqual(reply.status, Status.SUCCESS, level)
            self.assertEqual(self.stored(), [ct])
            self.assertEqual(self.responder.stored[0][1], (DATA / CT).read_bytes())

    def test_no_level(self) -> None:
        """Without level it is the lowest one whose key is there."""
        keys = {"StudyInstanceUID": uid(CT, "StudyInstanceUID")}
        self.get(**keys, SOPInstanceUID=uid(CT, "SOPInstanceUID"), PatientID="else")
        self.assertEqual(self.stored(), [uid(CT, "SOPInstanceUID")])

    def test_list(self) -> None:
        """All resources of a list are sent, those that are not there aside."""
        uids = [uid(CT, "StudyInstanceUID"), uid(MR, "StudyInstanceUID"), "1.2.3"]
        reply = self.get(QueryRetrieveLevel="STUDY", StudyInstanceUID=uids)
        self.assertEqual((reply.completed, reply.failed, reply.warning), (2, 0, 0))
        expected = sorted(uid(name, "SOPInstanceUID") for name in (CT, MR))
        self.assertEqual(self.stored(), expected)

    def test_counters(self) -> None:
        """Each pending response says what remains and what is done."""
        self.get(QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual(
            [(reply.remaining, reply.completed) for reply in self.responder.replies],
            [(4, 1), (3, 2), (2, 3), (1, 4), (0, 5)],
        )

    def test_order(self) -> None:
        """The instances of a series come by their numbers."""
        for name in ("4981", "5011"):
            self.server.upload(f"test_files/dicomdirtests/98892003/MR2/{name}")
        series = uid(PETER[4], "SeriesInstanceUID")
        self.get(QueryRetrieveLevel="SERIES", SeriesInstanceUID=series)
        numbers = [
            int(dcmread(BytesIO(content)).InstanceNumber) for _, content in self.responder.stored
        ]
        self.assertEqual([1, 2, 3], numbers)

    def test_accession_number(self) -> None:
        """A study may be named by its accession number."""
        number = uid(PETER[0], "AccessionNumber")
        reply = self.get(QueryRetrieveLevel="STUDY", AccessionNumber=number)
        self.assertEqual(reply.status, Status.SUCCESS)
        self.assertNotEqual(self.stored(), [])

    def test_above(self) -> None:
        """A series of another study than the identifier says is none."""
        series = uid(CT, "SeriesInstanceUID")
        keys = {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": series}
        reply = self.get(**keys, StudyInstanceUID=uid(MR, "StudyInstanceUID"))
        self.assertEqual(reply.status, Status.CANNOT_UNDERSTAND)
        self.assertEqual(self.stored(), [])

    def test_no_key(self) -> None:
        """Without the unique key of the level the request is an error that names it."""
        handler = GetHandler(self.server.index, self.server.storage, self.identifiers)
        asked = request(dataset(QueryRetrieveLevel="SERIES", PatientID="1"), Command.C_GET)
        failure = self.failureResultOf(
            Deferred.fromCoroutine(handler.handle(asked, self.responder)), OrthancError
        )
        self.assertIn("0020,000e", str(failure.value.details))

    def test_failures(self) -> None:
        """What the peer refuses is counted, and named at the end."""
        uids = [uid(name, "StudyInstanceUID") for name in (CT, MR, JPEG)]
        refused, warned = uid(CT, "SOPInstanceUID"), uid(MR, "SOPInstanceUID")
        self.responder.statuses = {refused: 0xA700, warned: 0xB000}
        reply = self.get(QueryRetrieveLevel="STUDY", StudyInstanceUID=uids)
        self.assertEqual(reply.status, Status.WARNING_SUB_OPERATIONS)
        self.assertEqual((reply.completed, reply.failed, reply.warning), (1, 1, 1))
        assert reply.dataset is not None
        self.assertEqual(decode(reply.dataset).FailedSOPInstanceUIDList, refused)

    def test_all_fail(self) -> None:
        """If nothing could be sent the status is a failure."""
        self.responder.accepted = set()
        reply = self.get(QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual(reply.status, Status.OUT_OF_RESOURCES_SUB_OPERATIONS)
        self.assertEqual(reply.failed, 5)
        assert reply.dataset is not None
        self.assertEqual(len(decode(reply.dataset).FailedSOPInstanceUIDList), 5)

    def test_cancel(self) -> None:
        """After C-CANCEL nothing more is sent, and the response says what remains."""
        self.responder.cancel_after = 2
        reply = self.get(QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual((reply.status, reply.remaining), (Status.CANCEL, 3))
        self.assertEqual(len(self.responder.stored), 2)

    def test_transcoding(self) -> None:
        """What the peer does not take as it is goes through the transcoder."""
        implicit = "1.2.840.10008.1.2"
        asked: list[Sequence[str]] = []

        class Fake:
            async def transcode(
                self, instance: InstanceFile, syntaxes: Sequence[str]
            ) -> InstanceFile | None:
                asked.append(syntaxes)
                return InstanceFile(
                    instance.sop_class_uid, instance.sop_instance_uid, implicit, instance.open
                )

        self.responder.accepted = {(CT_STORAGE, implicit)}
        keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid(CT, "StudyInstanceUID")}
        reply = self.get(Fake(), **keys)
        self.assertEqual(reply.status, Status.SUCCESS)
        self.assertEqual(asked, [[implicit]])
        self.assertEqual(self.responder.stored[0][0].transfer_syntax, implicit)

    def test_lost_file(self) -> None:
        """An instance whose file is lost is a failed sub-operation, the others are sent."""
        self.server.storage.delete(list(self.server.storage.uuids())[:1])
        uids = [uid(name, "StudyInstanceUID") for name in (CT, MR, JPEG)]
        uids += [uid(name, "StudyInstanceUID") for name in PETER]
        reply = self.get(QueryRetrieveLevel="STUDY", StudyInstanceUID=uids)
        self.assertEqual((reply.completed, reply.failed), (7, 1))


class Sender:
    """Keeps what is sent.

    :ivar errors: what each send fails with, None to succeed
    """

    def __init__(self) -> None:
        self.sent: list[
            tuple[InstanceFile, tuple[tuple[str, str], ...], MoveOriginator | None]
        ] = []
        self.errors: list[Exception | None] = []
        self.given_back = 0
        self.tries = 0

    async def send(
        self,
        instance: InstanceFile,
        upcoming: Sequence[tuple[str, str]] = (),
        originator: MoveOriginator | None = None,
    ) -> Reply:
        """Keep it."""
        self.tries += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.sent.append((instance, tuple(upcoming), originator))
        return Reply(0)

    def give_back(self) -> None:
        """Count."""
        self.given_back += 1


class MoveTests(Case):
    """`MoveHandler`."""

    def setUp(self) -> None:
        """A modality."""
        super().setUp()
        self.sender = Sender()
        self.target = RemoteModality("TARGET", "10.0.0.1", 104)
        self.called: list[RemoteModality] = []

    def handler(self, submit: SubmitStore | None = None) -> MoveHandler:
        """A handler that knows one modality."""

        def sender(modality: RemoteModality) -> Sender:
            self.called.append(modality)
            return self.sender

        return MoveHandler(
            self.server.index,
            self.server.storage,
            self.identifiers,
            lambda: {"target": self.target},
            sender,
            lambda one, other: one == other,
            submit,
        )

    def move(
        self, destination: str = "TARGET", submit: SubmitStore | None = None, **keys: Any
    ) -> Reply:
        """Move instances."""
        asked = request(dataset(**keys), Command.C_MOVE, move_destination=destination)
        work = self.handler(submit).handle(asked, self.responder)
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_move(self) -> None:
        """Instances go to the modality that has the title, with who asked for it."""
        reply = self.move(QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual((reply.status, reply.completed), (Status.SUCCESS, 5))
        self.assertEqual(self.called, [self.target])
        self.assertEqual({sent[2] for sent in self.sender.sent}, {MoveOriginator("CALLER", 5)})
        self.assertEqual([sent[1] for sent in self.sender.sent][-1], ())
        self.assertEqual(len(self.sender.sent[0][1]), 1)
        self.assertEqual(self.sender.given_back, 1)
        self.assertEqual(len(self.responder.replies), 5)

    def test_unknown_destination(self) -> None:
        """A title that no modality has is 0xC000, as for Orthanc."""
        reply = self.move("NOBODY", QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual(reply.status, 0xC000)
        self.assertIn("NOBODY", reply.comment)

    def test_nothing(self) -> None:
        """Nothing found is a failure, as in Orthanc, and nobody is called."""
        reply = self.move(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
        self.assertEqual(reply.status, Status.CANNOT_UNDERSTAND)
        self.assertEqual(self.sender.sent, [])

    def test_failure(self) -> None:
        """An instance that is refused does not keep the others back."""
        self.sender.errors = [OrthancError(ErrorCode.NETWORK_PROTOCOL, "0xA700")]
        reply = self.move(QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual(reply.status, Status.WARNING_SUB_OPERATIONS)
        self.assertEqual((reply.completed, reply.failed), (4, 1))

    def test_dead_destination(self) -> None:
        """Nobody there: after two tries the rest has failed without a try."""
        self.sender.errors = [ConnectionRefused("nobody")] * 9
        reply = self.move(QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual(reply.status, Status.OUT_OF_RESOURCES_SUB_OPERATIONS)
        self.assertEqual((reply.completed, reply.failed, self.sender.tries), (0, 5, 2))

    def test_cancel(self) -> None:
        """After C-CANCEL nothing more is sent; the association is given back."""
        self.responder.cancel_after = 1
        reply = self.move(QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual((reply.status, reply.remaining), (Status.CANCEL, 4))
        self.assertEqual(self.sender.given_back, 1)

    def test_association_ends(self) -> None:
        """If the one who asked goes away the transfer ends."""
        self.responder.blocked = fail(ConnectionRefused("gone"))
        asked = request(
            dataset(QueryRetrieveLevel="PATIENT", PatientID="98890234"),
            Command.C_MOVE,
            move_destination="TARGET",
        )
        work = self.handler().handle(asked, self.responder)
        self.failureResultOf(Deferred.fromCoroutine(work), ConnectionRefused)
        self.assertEqual((self.sender.tries, self.sender.given_back), (1, 1))

    def test_job(self) -> None:
        """Without SynchronousCMove a job gets it all, and the answer comes at once."""
        submitted = []

        def submit(
            modality: RemoteModality,
            rows: Sequence[ResourceRow],
            count: int,
            originator: MoveOriginator,
        ) -> Deferred[str]:
            submitted.append((modality, [row.level for row in rows], count, originator))
            return succeed("job")

        reply = self.move(submit=submit, QueryRetrieveLevel="PATIENT", PatientID="98890234")
        self.assertEqual(reply.status, Status.SUCCESS)
        self.assertEqual(
            submitted, [(self.target, [ResourceType.PATIENT], 5, MoveOriginator("CALLER", 5))]
        )
        self.assertEqual((self.sender.sent, self.responder.replies), ([], []))
