"""Jobs ``DicomModalityStore``, step by step, over associations in memory."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from orthanc_tw.jobs.interface import TransientFailure
from orthanc_tw.jobs.kinds.modality_store import store_parameters
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource
from orthanc_tw.net.errors import AssociationRejected, ConnectionRefused, NoPresentationContext
from orthanc_tw.net.values import MoveOriginator, Reply
from tests.jobs.kinds.sending import ModalityStoreCase
from tests.net.fakes import MODALITY


class StoreJobTests(ModalityStoreCase):
    """Three instances."""

    def test_all(self) -> None:
        """Each instance is a step; progress and content say how far it is."""
        job = self.kind.create(self.parameters(), None, self.context)
        seen = []
        for step in job.steps():
            self.successResultOf(step)
            seen.append(round(job.progress(), 2))
        self.assertEqual([0.33, 0.67, 1.0], sorted(set(seen) - {0.0}))
        self.assertEqual(3, len(set(self.sent())))
        content = job.content()
        self.assertEqual(
            (3, 0, "ME", "REMOTE"),
            tuple(
                content[name]
                for name in ("InstancesCount", "FailedInstancesCount", "LocalAet", "RemoteAet")
            ),
        )
        self.assertEqual(self.pool.given_back, len(self.pool.opened))

    def test_cursor(self) -> None:
        """A job goes on after the last instance that was sent, in another process."""
        job = self.kind.create(self.parameters(), None, self.context)
        for step in job.steps():
            self.successResultOf(step)
            if len(self.sent()) == 2:
                break
        cursor = job.cursor()
        job.abandon()
        again = self.kind.create(self.parameters(), cursor, self.context)
        self.run_all(again.steps())
        self.assertEqual(3, len(self.sent()))
        self.assertEqual(3, len(set(self.sent())))
        self.assertEqual(1.0, again.progress())

    def test_resources_of_levels(self) -> None:
        """A patient stands for its instances."""
        (patient, *_) = self.server.index.read_now(lambda tx: tx.page(ResourceType.PATIENT))
        resources = [Resource(ResourceType.PATIENT, patient.public_id)]
        parameters = store_parameters(MODALITY, resources, 1, local_aet="ME")
        self.run_all(self.kind.create(parameters, None, self.context).steps())
        self.assertEqual(1, len(self.sent()))

    def test_gone(self) -> None:
        """A resource that was deleted meanwhile is passed over."""
        parameters = self.parameters()
        self.server.ask("DELETE", f"/instances/{self.ids[1]}")
        self.run_all(self.kind.create(parameters, None, self.context).steps())
        self.assertEqual(2, len(self.sent()))

    def test_transient(self) -> None:
        """What may pass is told as such, what will not is not."""
        for error, is_transient in (
            (ConnectionRefused("nobody"), True),
            (AssociationRejected("busy", 2, 3, 1), True),
            (AssociationRejected("who?", 1, 1, 3), False),
            (NoPresentationContext("no"), False),
        ):
            self.pool.refused = [error]
            job = self.kind.create(self.parameters(), None, self.context)
            steps = job.steps()
            self.successResultOf(next(steps))
            found = self.failureResultOf(next(steps), OrthancError).value
            self.assertEqual(is_transient, isinstance(found, TransientFailure), error)
            self.assertEqual((error.code, error.details), (found.code, found.details))

    def test_out_of_resources(self) -> None:
        """A peer that is full may have room later; one that cannot understand never will."""
        for status, is_transient in ((0xA700, True), (0xC000, False)):
            self.pool.replies = [Reply(status)]
            steps = self.kind.create(self.parameters(), None, self.context).steps()
            self.successResultOf(next(steps))
            found = self.failureResultOf(next(steps), OrthancError).value
            self.assertEqual(is_transient, isinstance(found, TransientFailure))

    def test_permissive(self) -> None:
        """With ``Permissive`` an instance that fails is counted, with its reason."""
        self.pool.replies = [Reply(0), Reply(0xC000)]
        job = self.kind.create(self.parameters(permissive=True), None, self.context)
        self.run_all(job.steps())
        self.assertEqual([self.ids[1]], list(self.context.failed_instances))
        self.assertIn("0xC000", self.context.failed_instances[self.ids[1]])
        self.assertEqual(1, job.content()["FailedInstancesCount"])

    def test_originator(self) -> None:
        """The originator of a C-MOVE is passed on, and shown."""
        parameters = self.parameters(originator=MoveOriginator("MOVER", 7))
        job = self.kind.create(parameters, None, self.context)
        self.run_all(job.steps())
        self.assertEqual(MoveOriginator("MOVER", 7), self.pool.log[0][2])
        self.assertEqual("MOVER", job.content()["MoveOriginatorAET"])

    def test_commitment(self) -> None:
        """Commitment is asked for what was sent, once."""
        self.pool.replies = [Reply(0xC000)]
        parameters = self.parameters(permissive=True, storage_commitment=True)
        job = self.kind.create(parameters, None, self.context)
        self.run_all(job.steps())
        (asked,) = self.commitments.asked
        self.assertEqual(self.sent()[1:], [uid for _, uid in asked])
        self.assertEqual("2.25.7", job.content()["StorageCommitmentTransactionUID"])
        self.run_all(self.kind.create(parameters, job.cursor(), self.context).steps())
        self.assertEqual(1, len(self.commitments.asked))

    def test_cancel(self) -> None:
        """Cancelling a step cancels what it waits for; even a permissive job does not go on."""
        cancelled: list[object] = []
        self.pool.replies = [Deferred(cancelled.append)]
        job = self.kind.create(self.parameters(permissive=True), None, self.context)
        steps = job.steps()
        self.successResultOf(next(steps))
        step = next(steps)
        self.assertNoResult(step)
        step.cancel()
        self.failureResultOf(step, CancelledError)
        self.assertEqual(1, len(cancelled))
        self.assertTrue(self.context.pause_interrupts)

    def test_bad_parameters(self) -> None:
        """A modality that cannot be understood any more fails the job, not the engine."""
        parameters = {**self.parameters(), "Remote": ["A"]}
        error = self.assertRaises(OrthancError, self.kind.create, parameters, None, self.context)
        self.assertIs(ErrorCode.BAD_FILE_FORMAT, error.code)
