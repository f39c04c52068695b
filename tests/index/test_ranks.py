"""Pages by number are those of walking over all that comes before."""

from __future__ import annotations

from orthanc_tw.index import searches
from orthanc_tw.index.gateway import FindQuery, StorageLimits, public_ids
from orthanc_tw.model.levels import ResourceType
from tests.index.support import INSTANCE, STUDY, MemoryCase, SqliteCase, instance


class RankTests(MemoryCase):
    def setUp(self) -> None:
        """300 instances of 60 studies, of which some are deleted again."""
        super().setUp()
        for number in range(300):
            self.store(f"p{number % 20}/s{number % 60}/e{number % 120}/i{number}")
        for path in ("p3", "p4/s24", "p5/s5/e5", "p6/s6/e6/i6"):
            row = self.row(path)
            self.write(lambda tx, r=row: tx.delete_resource(r, "20260101T000000"))
        self.store("p3/s3/e3/i3")
        self.patch(searches, "SKIPPED", 0)

    def test_pages(self) -> None:
        """At each level, from each place, also beyond the end."""
        for level in ResourceType:
            whole = public_ids(self.read(lambda tx, x=level: tx.page(x)))
            for since in range(0, len(whole) + 3, 1 if len(whole) < 70 else 7):
                for limit in (1, 10):
                    page = public_ids(
                        self.read(
                            lambda tx, x=level, s=since, n=limit: tx.page(x, since=s, limit=n)
                        )
                    )
                    self.assertEqual(page, whole[since : since + limit], (level, since, limit))

    def test_find_without_constraints(self) -> None:
        """A search for everything is a page too."""
        whole = public_ids(self.read(lambda tx: tx.page(INSTANCE)))
        query = FindQuery(INSTANCE, since=150, limit=9)
        self.assertEqual(public_ids(self.read(lambda tx: tx.find(query))), whole[150:159])

    def test_after_a_key(self) -> None:
        """With a key, the number counts from there."""
        whole = public_ids(self.read(lambda tx: tx.page(STUDY)))
        page = self.read(lambda tx: tx.page(STUDY, after=whole[4], since=2, limit=3))
        self.assertEqual(public_ids(page), whole[7:10])

    def test_kept_with_the_resources(self) -> None:
        """What was rolled back does not count, nor what was deleted by cascade."""

        def fail(tx: object) -> None:
            tx.store_instance(instance("q/q/q/q"), StorageLimits())  # type: ignore[attr-defined]
            raise ValueError

        self.error(self.index.write(fail))

        def difference(tx: object) -> list[object]:
            execute = tx._connection.execute  # type: ignore[attr-defined]
            counted = "SELECT level, substr(public_id, 1, 3), count(*) FROM resources GROUP BY 1, 2"
            kept = "SELECT level, prefix, amount FROM ranks WHERE amount <> 0"
            return [
                *execute(f"{counted} EXCEPT {kept}"),
                *execute(f"{kept} EXCEPT {counted}"),
            ]

        self.assertEqual(self.read(difference), [])


class KeptRankTests(SqliteCase):
    def test_pages_after_writing(self) -> None:
        """What readers keep of the numbers is not used after the next commit."""
        self.patch(searches, "SKIPPED", 0)
        for number in range(12):
            self.store(f"p{number}/s{number}/e{number}/i{number}")
            for since in (1, number // 2, number):
                whole = public_ids(self.read(lambda tx: tx.page(STUDY)))
                page = public_ids(self.read(lambda tx, s=since: tx.page(STUDY, since=s, limit=3)))
                self.assertEqual(page, whole[since : since + 3], (number, since))
        row = self.row("p3")
        self.write(lambda tx: tx.delete_resource(row, "20260101T000000"))
        whole = public_ids(self.read(lambda tx: tx.page(STUDY)))
        page = public_ids(self.read(lambda tx: tx.page(STUDY, since=5, limit=3)))
        self.assertEqual(page, whole[5:8])
