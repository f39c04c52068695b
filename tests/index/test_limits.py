from __future__ import annotations

from orthanc_tw.index.gateway import (
    StorageLimits,
)
from orthanc_tw.model.registries import StoreStatus

from .support import (
    IndexCase,
    MemoryCase,
    SqliteCase,
    attachment,
)


class LimitTests(IndexCase):
    def test_reject_patients(self) -> None:
        """Without recycling, the patient above the maximum is refused and nothing changes."""
        limits = StorageLimits(maximum_patients=1, recycle=False)
        self.store("p/s/e/i", limits)
        refused = self.store("q/s/e/i", limits)
        self.assertEqual(refused.status, StoreStatus.STORAGE_FULL)
        self.assertIsNone(refused.instance_internal_id)
        self.assertFalse(self.exists("q"))
        more = self.store("p/s/e/j", limits)
        self.assertEqual(more.status, StoreStatus.SUCCESS)

    def test_recycle_patients(self) -> None:
        """The patient touched longest ago goes; its files are named for removal."""
        limits = StorageLimits(maximum_patients=2)
        self.store("p/s/e/i", limits)
        self.store("q/s/e/i", limits)
        self.store("p/s/e/j", limits)
        outcome = self.store("r/s/e/i", limits)
        self.assertEqual(outcome.status, StoreStatus.SUCCESS)
        self.assertEqual(outcome.removed, [attachment("q/s/e/i").uuid])
        self.assertEqual([self.exists(x) for x in "pqr"], [True, False, True])

    def test_protected_patient_is_spared(self) -> None:
        """A protected patient stays; once unprotected, it is the last in line."""
        limits = StorageLimits(maximum_patients=2)
        self.store("p/s/e/i", limits)
        self.store("q/s/e/i", limits)
        patient = self.row("p").internal_id
        self.write(lambda tx: tx.set_protected(patient, True))
        self.assertTrue(self.read(lambda tx: tx.is_protected(patient)))
        self.store("r/s/e/i", limits)
        self.assertEqual([self.exists(x) for x in "pqr"], [True, False, True])
        self.write(lambda tx: tx.set_protected(patient, False))
        self.write(lambda tx: tx.set_protected(patient, False))
        self.assertFalse(self.read(lambda tx: tx.is_protected(patient)))
        self.store("t/s/e/i", limits)
        self.assertEqual([self.exists(x) for x in "prt"], [True, False, True])

    def test_all_protected(self) -> None:
        """Where nothing may be recycled, the storage is full."""
        limits = StorageLimits(maximum_patients=1)
        self.store("p/s/e/i", limits)
        patient = self.row("p").internal_id
        self.write(lambda tx: tx.set_protected(patient, True))
        self.assertEqual(self.store("q/s/e/i", limits).status, StoreStatus.STORAGE_FULL)

    def test_full_gives_back_what_was_recycled(self) -> None:
        """If even recycling makes no room, nothing was deleted."""
        self.store("p/s/e/i", file=attachment("a", size=10))
        self.store("q/s/e/i", file=attachment("b", size=90))
        keep = self.row("q").internal_id
        self.write(lambda tx: tx.set_protected(keep, True))
        limits = StorageLimits(maximum_storage_bytes=100)
        outcome = self.store("r/s/e/i", limits, file=attachment("c", size=20))
        self.assertEqual(outcome.status, StoreStatus.STORAGE_FULL)
        self.assertEqual(outcome.removed, ())
        self.assertTrue(self.exists("p"))
        self.assertEqual(self.read(lambda tx: tx.statistics()).disk_size_bytes, 100)

    def test_recycle_by_size_spares_the_own_patient(self) -> None:
        """The patient being stored is never recycled for itself."""
        limits = StorageLimits(maximum_storage_bytes=100)
        self.store("p/s/e/i", limits, file=attachment("a", size=60))
        refused = self.store("p/s/e/j", limits, file=attachment("b", size=60))
        self.assertEqual(refused.status, StoreStatus.STORAGE_FULL)
        other = self.store("q/s/e/j", limits, file=attachment("b", size=60))
        self.assertEqual(other.status, StoreStatus.SUCCESS)
        self.assertFalse(self.exists("p"))

    def test_larger_than_the_storage(self) -> None:
        """What could never fit recycles nothing."""
        limits = StorageLimits(maximum_storage_bytes=100)
        self.store("p/s/e/i", limits, file=attachment("a", size=60))
        refused = self.store("q/s/e/i", limits, file=attachment("b", size=101))
        self.assertEqual(refused.status, StoreStatus.STORAGE_FULL)
        self.assertTrue(self.exists("p"))


class MemoryLimitTests(LimitTests, MemoryCase):
    pass


class SqliteLimitTests(LimitTests, SqliteCase):
    pass


del LimitTests
