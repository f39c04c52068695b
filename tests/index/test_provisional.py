"""What a transfer has stored goes again if it fails, unless somebody else has stored it too."""

from __future__ import annotations

from orthanc_tw.model.registries import OverwriteInstances, StoreStatus

from .support import DATE, IndexCase, MemoryCase, SqliteCase, attachment, public_id

ONE, TWO = "p/s/e/i", "p/s/e/j"


class ProvisionalTests(IndexCase):
    def transferred(self, transfer: str, *paths: str) -> None:
        """Store instances for a transfer."""
        for path in paths:
            self.store(path, transfer=transfer)

    def keep(self, transfer: str) -> None:
        self.write(lambda tx: tx.keep_transfer(transfer))

    def take_back(self, transfer: str, limit: int = 100) -> tuple[list[str], bool]:
        """Files to remove, and whether it is over."""
        taken = self.write(lambda tx: tx.take_back(transfer, limit))
        return list(taken.removed), taken.is_over

    def transfers(self) -> list[str]:
        return list(self.read(lambda tx: tx.transfers()))

    def is_kept(self, path: str, transfer: str = "") -> bool:
        identifier = public_id(path)
        return self.read(lambda tx: tx.is_kept(identifier, transfer))

    def test_taken_back(self) -> None:
        """All of it goes, with the parents that it has made, and nothing else."""
        self.store("p/t/e/k")
        self.transferred("a", ONE, TWO, "q/s/e/i")
        self.assertEqual(self.transfers(), ["a"])
        removed, is_over = self.take_back("a")
        self.assertEqual(
            sorted(removed), sorted(attachment(path).uuid for path in (ONE, TWO, "q/s/e/i"))
        )
        self.assertTrue(is_over)
        self.assertEqual([self.exists(path) for path in ("p/s", "q", "p/t/e/k")], [0, 0, 1])
        self.assertEqual(self.transfers(), [])
        self.assertEqual(self.take_back("a"), ([], True))

    def test_in_steps(self) -> None:
        """A few at a time, until nothing is left."""
        self.transferred("a", ONE, TWO, "p/s/e/k")
        self.assertFalse(self.take_back("a", 2)[1])
        self.assertEqual(self.transfers(), ["a"])
        self.assertTrue(self.take_back("a", 2)[1])
        self.assertFalse(self.exists("p"))

    def test_kept(self) -> None:
        """What has succeeded stays."""
        self.transferred("a", ONE)
        self.assertEqual((self.is_kept(ONE), self.is_kept(ONE, "a")), (False, True))
        self.keep("a")
        self.assertTrue(self.is_kept(ONE))
        self.assertEqual(self.take_back("a"), ([], True))
        self.assertTrue(self.exists(ONE))
        self.assertFalse(self.is_kept(TWO, "a"))

    def test_there_before(self) -> None:
        """What was there before the transfer stays."""
        self.store(ONE)
        self.transferred("a", ONE)
        self.assertEqual(self.transfers(), [])
        self.store(TWO, overwrite=OverwriteInstances.ALWAYS)
        self.store(TWO, overwrite=OverwriteInstances.ALWAYS, transfer="a")
        self.take_back("a")
        self.assertTrue(self.exists(ONE))
        self.assertTrue(self.exists(TWO))

    def test_stored_by_others(self) -> None:
        """What somebody else was told is stored stays, by whatever way it was stored."""
        for how in OverwriteInstances:
            self.transferred("a", ONE, TWO)
            outcome = self.store(ONE, overwrite=how)
            overwritten = how is OverwriteInstances.ALWAYS
            expected = StoreStatus.SUCCESS if overwritten else StoreStatus.ALREADY_STORED
            self.assertEqual(outcome.status, expected)
            self.assertTrue(self.is_kept(ONE))
            self.take_back("a")
            self.assertEqual((self.exists(ONE), self.exists(TWO)), (True, False))
            row = self.row("p")
            self.write(lambda tx, row=row: tx.delete_resource(row, DATE))

    def test_two_transfers(self) -> None:
        """An instance of two transfers goes with the last that fails, stays if one succeeds."""
        for how in OverwriteInstances:
            for outcome in ("fail", "first", "second"):
                for transfer in ("a", "b"):
                    self.store(ONE, overwrite=how, transfer=transfer)
                self.assertEqual(self.transfers(), ["a", "b"])
                self.assertFalse(self.is_kept(ONE))
                if outcome == "second":
                    self.keep("b")
                self.take_back("a")
                self.assertTrue(self.exists(ONE))
                if outcome == "first":
                    self.keep("b")
                self.take_back("b")
                self.assertEqual(self.exists(ONE), outcome != "fail")
                self.assertEqual(self.transfers(), [])
                if outcome != "fail":
                    row = self.row("p")
                    self.write(lambda tx, row=row: tx.delete_resource(row, DATE))

    def test_again(self) -> None:
        """A transfer that goes on after a restart may store its instances once more."""
        for how in OverwriteInstances:
            for _ in range(2):
                self.store(ONE, overwrite=how, transfer="a")
            self.assertEqual(self.transfers(), ["a"])
            self.take_back("a")
            self.assertFalse(self.exists(ONE))

    def test_deleted(self) -> None:
        """What its user deletes meanwhile is no transfer's any more; stored anew, it stays."""
        self.transferred("a", ONE)
        row = self.row(ONE)
        self.write(lambda tx: tx.delete_resource(row, DATE))
        self.assertEqual(self.transfers(), [])
        self.store(ONE)
        self.assertEqual(self.take_back("a"), ([], True))
        self.assertTrue(self.exists(ONE))


class MemoryProvisionalTests(ProvisionalTests, MemoryCase):
    pass


class SqliteProvisionalTests(ProvisionalTests, SqliteCase):
    def test_restart(self) -> None:
        """It is remembered."""
        self.transferred("a", ONE)
        self.reopen()
        self.assertEqual(self.transfers(), ["a"])
        self.take_back("a")
        self.assertFalse(self.exists(ONE))


del ProvisionalTests
