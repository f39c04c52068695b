from __future__ import annotations

from orthanc_tw.index.gateway import (
    ExpandParts,
    ResourceRow,
)

from .support import (
    DATE,
    IndexCase,
    MemoryCase,
    SqliteCase,
)


class StabilityTests(IndexCase):
    def mark(self, older_than_s: float, limit: int = 100) -> int:
        """Call mark_stable."""
        return self.write(
            lambda tx: tx.mark_stable(older_than_s=older_than_s, date=DATE, limit=limit)
        )

    def is_stable(self, path: str) -> bool:
        """Of a resource."""
        rows: list[ResourceRow] = [self.row(path)]
        (record,) = self.read(lambda tx: tx.expand(rows, ExpandParts()))
        return record.is_stable

    def test_order(self) -> None:
        """Series, study, patient become stable in that order, once."""
        self.store("p/s/e/i", now_s=100.0)
        self.assertFalse(self.is_stable("p/s"))
        self.assertEqual(self.mark(99.9), 0)
        self.assertEqual(self.mark(100.0), 3)
        self.assertEqual(
            [kind for _, kind, _ in self.log(since=4)],
            ["StableSeries", "StableStudy", "StablePatient"],
        )
        self.assertTrue(self.is_stable("p/s"))
        self.assertEqual(self.mark(1e9), 0)

    def test_each_in_its_time(self) -> None:
        """A series that got nothing new is stable before its study is."""
        self.store("p/s/e/i", now_s=100.0)
        self.store("p/s/f/j", now_s=200.0)
        self.assertEqual(self.mark(150.0), 1)
        self.assertTrue(self.is_stable("p/s/e"))
        self.assertFalse(self.is_stable("p/s"))

    def test_unstable_again(self) -> None:
        """A new instance makes its ancestors unstable again."""
        self.store("p/s/e/i", now_s=100.0)
        self.mark(100.0)
        self.store("p/s/e/j", now_s=300.0)
        self.assertFalse(self.is_stable("p"))
        self.assertEqual(self.mark(300.0), 3)

    def test_limit(self) -> None:
        """At most ``limit`` a call, the rest the next time."""
        self.store("p/s/e/i", now_s=100.0)
        self.assertEqual(self.mark(100.0, limit=2), 2)
        self.assertEqual(self.mark(100.0, limit=2), 1)


class MemoryStabilityTests(StabilityTests, MemoryCase):
    pass


class SqliteStabilityTests(StabilityTests, SqliteCase):
    def test_survives_a_restart(self) -> None:
        """What was unstable when the server stopped becomes stable after the next start."""
        self.store("p/s/e/i", now_s=100.0)
        self.reopen()
        self.assertEqual(self.mark(100.0), 3)


del StabilityTests
