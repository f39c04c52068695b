from __future__ import annotations

from orthanc_tw.model.errors import OrthancError

from .support import (
    DATE,
    IndexCase,
    MemoryCase,
    SqliteCase,
    attachment,
)


class DeletionTests(IndexCase):
    def test_down_and_up(self) -> None:
        """Deleting the only series of a study deletes the study, and names what remains."""
        self.store("p/s/e/i")
        self.store("p/s/e/j")
        self.store("p/t/f/k")
        series, patient = self.row("p/s/e"), self.row("p")
        outcome = self.write(lambda tx: tx.delete_resource(series, DATE))
        self.assertEqual(
            sorted(outcome.removed),
            sorted([attachment("p/s/e/i").uuid, attachment("p/s/e/j").uuid]),
        )
        self.assertEqual(outcome.remaining_ancestor, patient)
        self.assertFalse(self.exists("p/s"))
        self.assertTrue(self.exists("p/t"))

    def test_whole_patient(self) -> None:
        """Nothing remains of a patient, in no table, and its changes are gone."""
        self.store("p/s/e/i")
        self.store("q/s/e/i")
        patient, inst = self.row("p"), self.row("p/s/e/i").internal_id
        outcome = self.write(lambda tx: tx.delete_resource(patient, DATE))
        self.assertIsNone(outcome.remaining_ancestor)
        self.assertEqual([seq for seq, _, _ in self.log()], [5, 6, 7, 8])
        self.assertEqual(self.read(lambda tx: tx.metadata(inst)), {})
        self.assertEqual(self.read(lambda tx: tx.attachments(inst)), [])
        self.assertEqual(self.read(lambda tx: tx.lookup_identifier("0010,0020", "p")), [])

    def test_twice(self) -> None:
        """A row that is gone deletes nothing."""
        self.store("p/s/e/i")
        patient = self.row("p")
        self.write(lambda tx: tx.delete_resource(patient, DATE))
        again = self.write(lambda tx: tx.delete_resource(patient, DATE))
        self.assertEqual((again.removed, again.remaining_ancestor), ((), None))

    def test_internal_ids_are_not_used_again(self) -> None:
        """An identifier kept from before a deletion never names another resource."""
        self.store("p/s/e/i")
        old = self.row("p")
        self.write(lambda tx: tx.delete_resource(old, DATE))
        self.store("q/s/e/i")
        self.assertGreater(self.row("q").internal_id, old.internal_id)
        error = self.error(self.index.write(lambda tx: tx.add_label(old.internal_id, "x")))
        self.assertIsInstance(error, OrthancError)


class MemoryDeletionTests(DeletionTests, MemoryCase):
    pass


class SqliteDeletionTests(DeletionTests, SqliteCase):
    pass


del DeletionTests
