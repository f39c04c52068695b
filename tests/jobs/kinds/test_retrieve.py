"""Jobs ``DicomMoveScu`` and ``DicomGetScu``, step by step, over associations in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.attributes import parse_attributes
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.jobs.interface import CHECKPOINT, Job, JobContext, TransientFailure
from orthanc_tw.jobs.kinds.retrieve import GET, MOVE, RetrieveKind, retrieve_parameters
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.associations import Proposal
from orthanc_tw.net.values import Reply
from tests.net.fakes import EXPLICIT, MODALITY, FakePool

STUDY = 0x0020000D
CT = "1.2.840.10008.5.1.4.1.1.2"


class FakeArrivals:
    """`Arrivals` that a test brings in."""

    def __init__(self) -> None:
        self.listening: list[tuple[object, object, Callable[[str], object]]] = []

    def listen_move(
        self, remote_aet: str, originator_aet: str, arrived: Callable[[str], object]
    ) -> Callable[[], None]:
        return self._listen((remote_aet, originator_aet, arrived))

    def listen_get(
        self, association_id: int, arrived: Callable[[str], object]
    ) -> Callable[[], None]:
        return self._listen((association_id, None, arrived))

    def _listen(self, entry: tuple[object, object, Callable[[str], object]]) -> Callable[[], None]:
        self.listening.append(entry)
        return lambda: self.listening.remove(entry)


class RetrieveCase(SynchronousTestCase):
    """Two studies."""

    def setUp(self) -> None:
        """A pool, and what arrives."""
        self.pool = FakePool()
        self.arrivals = FakeArrivals()
        self.known: Sequence[str] | None = None
        self.context = JobContext("id", "", lambda: None, maybeDeferred)

    async def sop_classes(self, modality: object, query: object) -> Sequence[str]:
        """What the modality tells."""
        if self.known is None:
            raise OrthancError(ErrorCode.NETWORK_PROTOCOL, "refused")
        return self.known

    def job(self, kind: str, cursor: JsonObject | None = None, **more: Any) -> Job:
        """A job that retrieves the studies 1.1 and 1.2."""
        queries = [{STUDY: "1.1"}, {STUDY: "1.2"}]
        parameters = retrieve_parameters(
            MODALITY,
            ResourceType.STUDY,
            queries,
            local_aet="ME",
            target_aet="TARGET",
            **more,
        )
        return self.kind(kind).create(parameters, cursor, self.context)

    def kind(self, type_name: str) -> RetrieveKind:
        """`MOVE` or `GET`."""
        return RetrieveKind(
            type_name,
            self.pool,
            self.arrivals,
            EXPLICIT,
            lambda: Encoding.ASCII,
            lambda classes: [
                [Proposal(uid, (EXPLICIT,), scp_role=True)]
                for uid in classes or (CT, "1.2.3", "1.2.4")
            ],
            self.sop_classes,
        )


class RetrieveTests(RetrieveCase):
    """What is sent, and what becomes of it."""

    def test_move(self) -> None:
        """A C-MOVE for each, to the target; what arrives for it is told to it alone."""
        self.pool.during = lambda progress: [
            arrived(f"id{len(self.pool.log)}") for _, _, arrived in self.arrivals.listening
        ]
        job = self.job(MOVE)
        for step in job.steps():
            self.assertIs(CHECKPOINT, self.successResultOf(step))
        self.assertEqual(["TARGET", "TARGET"], [asked[2] for asked in self.pool.log])
        sent = parse_attributes(self.pool.log[1][3], EXPLICIT, Encoding.ASCII)
        self.assertEqual(("STUDY", "1.2"), (sent[0x00080052].text, sent[STUDY].text))
        content: Any = job.content()
        self.assertEqual(
            [["id0"], ["id1"]], [one["ReceivedInstancesIds"] for one in content["Details"]]
        )
        self.assertEqual("TARGET", content["TargetAet"])
        self.assertEqual([], self.arrivals.listening)
        self.assertEqual(2, self.pool.given_back)

    def test_listening(self) -> None:
        """A C-MOVE listens for its originator, a C-GET for what comes over its own association."""
        for kind, expected in ((MOVE, ("REMOTE", "ME")), (GET, (2, None))):
            self.pool.replies = [Deferred()]
            step = next(iter(self.job(kind).steps()))
            self.assertEqual(expected, self.arrivals.listening[-1][:2])
            step.cancel()
            self.failureResultOf(step)
            self.assertEqual([], self.arrivals.listening)

    def test_get(self) -> None:
        """A C-GET offers to store, and has no target."""
        job = self.job(GET)
        for step in job.steps():
            self.successResultOf(step)
        self.assertEqual(["get", "get"], [asked[0] for asked in self.pool.log])
        self.assertTrue(self.pool.opened[0][1][-1].scp_role)
        self.assertNotIn("TargetAet", job.content())

    def arrive(self, *public_ids: str) -> None:
        """What comes over the next association."""

        def during(progress: Callable[[Reply], object]) -> None:
            for public_id in public_ids:
                self.arrivals.listening[0][2](public_id)

        self.pool.during = during

    def test_get_rounds(self) -> None:
        """What cannot be sent is asked for over further associations, until all has come."""
        job = self.job(GET)
        came = iter((["a"], ["a"], ["b", "a"], []))
        self.pool.during = lambda progress: [
            self.arrivals.listening[0][2](public_id) for public_id in next(came)
        ]
        self.pool.replies = [
            Reply(0xB000, completed=1, failed=1, warning=0),
            Reply(0xA702, completed=0, failed=2, warning=0),
            Reply(0xB000, completed=1, failed=1, warning=0),
        ]
        self.successResultOf(next(iter(job.steps())))
        content: Any = job.content()
        self.assertEqual(["a", "b"], content["Details"][0]["ReceivedInstancesIds"])
        self.assertEqual(0, content["Details"][0]["DimseErrorStatus"])
        offered = [opened[1][-1].abstract_syntax for opened in self.pool.opened]
        self.assertEqual([CT, "1.2.3", "1.2.4"], offered)
        self.assertEqual([], self.arrivals.listening)

    def test_get_rounds_in_vain(self) -> None:
        """If it never comes, the first response counts."""
        job = self.job(GET)
        self.arrive("a")
        self.pool.replies = [Reply(0xB000, completed=1, failed=1, warning=0)] * 3
        self.failureResultOf(next(iter(job.steps())), OrthancError)
        content: Any = job.content()
        self.assertEqual(0xB000, content["Details"][0]["DimseErrorStatus"])
        self.assertEqual(3, len(self.pool.opened))

    def test_get_rounds_known(self) -> None:
        """If the modality tells its SOP classes, they alone are offered."""
        self.known = ["1.9"]
        self.pool.replies = [Reply(0xB000, completed=1, failed=1, warning=0)] * 2
        self.failureResultOf(next(iter(self.job(GET).steps())), OrthancError)
        offered = [opened[1][-1].abstract_syntax for opened in self.pool.opened]
        self.assertEqual([CT, "1.9"], offered)

    def test_progress(self) -> None:
        """By retrievals, and in each by its sub-operations."""
        job = self.job(MOVE)
        seen = []

        def during(progress: Callable[[Reply], object]) -> None:
            progress(Reply(0xFF00, remaining=3, completed=1, failed=0, warning=0))
            seen.append(job.progress())

        self.pool.during = during
        for step in job.steps():
            self.successResultOf(step)
            seen.append(job.progress())
        self.assertEqual([0.125, 0.5, 0.625, 1.0], seen)

    def test_failure(self) -> None:
        """A refusal fails the job with its status; the content says which it was."""
        for reply in (Reply(0xC000), Reply(0xB000, completed=1, failed=1)):
            self.pool.replies = [reply]
            job = self.job(MOVE)
            error = self.failureResultOf(next(iter(job.steps())), OrthancError).value
            self.assertIn(f"0x{reply.status:04X}", str(error))
            content: Any = job.content()
            self.assertEqual(
                [reply.status, 0], [one["DimseErrorStatus"] for one in content["Details"]]
            )

    def test_permissive(self) -> None:
        """With ``Permissive`` the next one is retrieved all the same."""
        self.pool.replies = [Reply(0xA801)]
        job = self.job(MOVE, permissive=True)
        for step in job.steps():
            self.successResultOf(step)
        content: Any = job.content()
        self.assertEqual([0xA801, 0], [one["DimseErrorStatus"] for one in content["Details"]])

    def test_out_of_resources(self) -> None:
        """A peer that is busy may be asked again."""
        self.pool.replies = [Reply(0xA701)]
        self.failureResultOf(next(iter(self.job(GET).steps())), TransientFailure)

    def test_cursor(self) -> None:
        """A job goes on with the retrieval that was under way, and knows what came before."""
        job = self.job(MOVE)
        self.pool.during = lambda progress: self.arrivals.listening[0][2]("first")
        steps = iter(job.steps())
        self.successResultOf(next(steps))
        self.pool.replies = [Deferred()]
        step = next(steps)
        cursor = job.cursor()
        step.cancel()
        self.failureResultOf(step)
        self.pool.during = lambda progress: self.arrivals.listening[0][2]("second")
        again = self.job(MOVE, cursor)
        for step in again.steps():
            self.successResultOf(step)
        content: Any = again.content()
        self.assertEqual(
            [["first"], ["second"]], [one["ReceivedInstancesIds"] for one in content["Details"]]
        )
        self.assertEqual(3, len(self.pool.log))
