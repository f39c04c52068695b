"""``OrderBy`` in SQL against the order that core makes of the same rows, by every way to it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from orthanc_tw.core.ordering import order_values, sorted_rows
from orthanc_tw.index import find as find_module
from orthanc_tw.index import searches
from orthanc_tw.index.find import find_statement
from orthanc_tw.index.gateway import (
    FindQuery,
    OrderKey,
    ReadTransaction,
    ResourceRow,
    TagConstraint,
)
from orthanc_tw.model.levels import ResourceType
from tests.index.support import INSTANCE, PATIENT, SERIES, STUDY, MemoryCase, SqliteCase, public_id

NAME, SEX, DATE, MODALITY, NUMBER = "0010,0010", "0010,0040", "0008,0020", "0008,0060", "0020,0013"
LAST_UPDATE = 7
KEYS = [
    OrderKey(NAME, None, "Text", False, PATIENT),
    OrderKey(NAME, None, "Text", True, PATIENT),
    OrderKey(SEX, None, "Text", True, None),
    OrderKey(DATE, None, "Text", False, STUDY),
    OrderKey(DATE, None, "Text", True, STUDY),
    OrderKey(DATE, None, "Int", False, STUDY),
    OrderKey("0020,000d", None, "Text", False, STUDY),
    OrderKey(MODALITY, None, "Text", False, SERIES),
    OrderKey(NUMBER, None, "Float", True, INSTANCE),
    OrderKey(None, LAST_UPDATE, "Text", True),
    OrderKey(None, LAST_UPDATE, "Text", False),
    OrderKey(None, 1024, "Int", True),
]
#: Those that studies may be walked over in the order of.
INDEXED = [KEYS[3], KEYS[4], KEYS[6], KEYS[9], KEYS[10]]
FILTERS = [
    TagConstraint(NAME, PATIENT, False, wildcard="*MITH*"),
    TagConstraint(DATE, STUDY, False, lower="20200102", upper="20200106"),
    TagConstraint(MODALITY, SERIES, False, values=["CT"]),
]


class OrderTests(MemoryCase):
    def setUp(self) -> None:
        """60 instances; some studies have no date, some an empty one; values repeat."""
        super().setUp()
        for number in range(60):
            study = number % 20
            tags: dict[ResourceType, dict[str, str]] = {
                PATIENT: {NAME: ["Smith^a", "SMITH^B", "äbc", "Jones"][study % 4]},
                STUDY: {} if study % 5 == 4 else {DATE: f"2020010{study % 8}" if study % 7 else ""},
                SERIES: {MODALITY: ["CT", "MR"][number % 2]},
                INSTANCE: {NUMBER: ["1.5", "x", "10", "9e1", " 2"][number % 5]},
            }
            if study % 3:
                tags[PATIENT][SEX] = "MF"[study % 2]
            self.store(
                f"p{study % 12}/s{study}/e{number % 30}x{study}/i{number}",
                tags=tags,
                date=f"202601{study % 6 + 10}T000000",
            )
        for number in range(0, 20, 2):
            row = self.row(f"p{number % 12}/s{number}")
            self.write(
                lambda tx, r=row, n=number: tx.set_metadata(r.internal_id, 1024, str(n % 7), n % 3)
            )

    def expected(self, query: FindQuery) -> list[ResourceRow]:
        """Everything that matches, ordered in Python."""

        def read(tx: ReadTransaction) -> list[ResourceRow]:
            rows = tx.find(replace(query, order=(), since=0, limit=0))
            return sorted_rows(order_values(tx, rows, query.order), query.order)

        rows = self.read(read)
        return rows[query.since : query.since + query.limit if query.limit else None]

    def test_same_order(self) -> None:
        """Random keys, constraints and pages; broad and narrow, with and without an index."""
        generator = random.Random(11)
        walked = 0
        for number in range(200):
            is_indexed = number % 2
            first = generator.choice(INDEXED if is_indexed else KEYS)
            query = FindQuery(
                STUDY if is_indexed else generator.choice(list(ResourceType)),
                generator.sample(FILTERS, generator.randint(0, 2)),
                order=[first, *generator.sample(KEYS, generator.randint(0, 1))],
                since=generator.choice([0, 0, 3]),
                limit=generator.choice([0, 4, 50]),
            )
            expected = self.expected(query)
            for bound in (1, 2000):
                with patch.object(find_module, "BOUND", bound):
                    found = self.read(lambda tx, q=query: tx.find(q))
                    self.assertEqual(list(found), expected, (query, bound))
                    walked += "d.value AS k0" in self.statement(query)
        self.assertGreater(walked, 10)

    def statement(self, query: FindQuery) -> str:
        """SQL of a query."""

        def sql(tx: Any) -> str:
            return find_statement(tx._connection, query, trigrams=True).sql

        return self.read(sql)

    def test_walk_ends_early(self) -> None:
        """The newest studies are read from an index, and no more of them than are asked for."""
        for key in (KEYS[4], KEYS[9]):
            query = FindQuery(STUDY, order=[key], limit=3)

            def plan(tx: Any, query: FindQuery = query) -> str:
                statement = find_statement(tx._connection, query, trigrams=True)
                rows = tx._connection.execute(
                    f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters
                )
                return "\n".join(row[3] for row in rows)

            steps = self.read(plan)
            # Of the order, only what is equal is left to be put in order.
            self.assertNotIn("TEMP B-TREE FOR ORDER BY", steps)


class KeptPageTests(SqliteCase):
    readers = 1

    def page(self, query: FindQuery) -> tuple[list[str], int]:
        """Public identifiers, and how many statements put something in order."""
        statements: list[str] = []

        def read(tx: Any) -> list[str]:
            tx._connection.set_trace_callback(statements.append)
            try:
                return [row.public_id for row in tx.find(query)]
            finally:
                tx._connection.set_trace_callback(None)

        found = self.read(read)
        return found, sum("ORDER BY k0" in statement for statement in statements)

    def test_kept(self) -> None:
        """A page of a whole level in order is found once, until something is committed."""
        for name in "cbd":
            self.store(f"{name}/{name}/e/i")
        first = FindQuery(STUDY, order=[KEYS[0]], limit=2)
        second = replace(first, since=2)
        self.assertEqual(self.page(first), ([public_id("b/b"), public_id("c/c")], 1))
        self.assertEqual(self.page(first), ([public_id("b/b"), public_id("c/c")], 0))
        self.assertEqual(self.page(second), ([public_id("d/d")], 1))
        self.assertEqual(self.page(replace(first, order=[KEYS[1]]))[0][0], public_id("d/d"))
        self.store("a/a/e/i")
        self.assertEqual(self.page(first), ([public_id("a/a"), public_id("b/b")], 1))

    def test_of_some(self) -> None:
        """What is searched for is no page of the whole level, nor is a page of another level."""
        for name in "ab":
            self.store(f"{name}/{name}/e/i")
        query = FindQuery(STUDY, order=[KEYS[0]], limit=5)
        self.assertEqual(len(self.page(query)[0]), 2)
        one = TagConstraint("0010,0020", PATIENT, False, values=["B"])
        self.assertEqual(self.page(replace(query, constraints=[one]))[0], [public_id("b/b")])
        below = replace(query, parent=(PATIENT, public_id("a")))
        self.assertEqual(self.page(below)[0], [public_id("a/a")])
        patients = replace(query, level=PATIENT)
        self.assertEqual(self.page(patients)[0], [public_id("a"), public_id("b")])

    def test_few_are_kept(self) -> None:
        """Pages are forgotten when there are many of them, and right for all that."""
        self.store("a/a/e/i")
        with patch.object(searches, "MOST_ORDERED", 2):
            for since in (0, 1, 2, 0, 1, 2):
                query = FindQuery(STUDY, order=[KEYS[0]], limit=5, since=since)
                self.assertEqual(self.page(query)[1], 1)
                self.assertEqual(len(self.page(query)[0]), since == 0)
