from __future__ import annotations

import re
from typing import Any

from orthanc_tw.index import (
    changes,
    deletion,
    main_tags,
    provisional,
    read_transaction,
    store,
    write_transaction,
)
from orthanc_tw.index import expand as expand_sql
from orthanc_tw.index.find import find_statement
from orthanc_tw.index.gateway import FindQuery, TagConstraint
from orthanc_tw.model.levels import ResourceType

from .support import INSTANCE, PATIENT, SERIES, STUDY, MemoryCase


class PlanTests(MemoryCase):
    """With ten million rows, a table that is read whole is an outage: no usual query does."""

    def assertNoScan(self, sql: str, parameters: tuple[object, ...] | None = None) -> None:
        """No step of the plan reads a whole table.

        Reading one in its own order until a LIMIT is met is fine, and so are the one row of
        ``counters``, arguments (``json_each``), FTS5 and what the statement made itself.
        """
        marks = parameters if parameters is not None else tuple("1" * sql.count("?"))

        def explain(tx: Any) -> tuple[list[str], set[str]]:
            execute = tx._connection.execute
            rows = execute(f"EXPLAIN QUERY PLAN {sql}", marks)
            tables = execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return [row[3] for row in rows], {row[0] for row in tables}

        plan, tables = self.read(explain)
        # An alias in the plan is looked up in the statement.
        aliases = {
            alias: table
            for table in tables
            for alias in re.findall(rf"\b{table} (?!USING|WHERE|ORDER|CROSS|SET)(\w+)\b", sql)
        }
        streams = "LIMIT" in sql and not any("FOR ORDER BY" in step for step in plan)
        for step in plan:
            words = step.split()
            if words[0] == "SCAN" and "VIRTUAL" not in words:
                table = aliases.get(words[1], words[1])
                if table in tables and table != "counters":
                    self.assertTrue(streams, f"{step}\n{sql}")

    def test_find(self) -> None:
        """Each way of matching at each level starts from an index."""
        constraints = (
            TagConstraint("0010,0020", PATIENT, False, values=["X"]),
            TagConstraint("0010,0010", PATIENT, False, wildcard="SM*"),
            TagConstraint("0010,0010", PATIENT, False, wildcard="*SMITH*"),
            TagConstraint("0010,0010", PATIENT, True, wildcard="*Smith"),
            TagConstraint("0008,0020", STUDY, False, lower="2020", upper="2021"),
            TagConstraint("0008,0050", STUDY, False, values=["X"]),
            TagConstraint("0008,0060", SERIES, False, values=["CT", "MR"]),
            TagConstraint("0008,0018", INSTANCE, False, values=["1.2"]),
            TagConstraint("0010,0040", PATIENT, False, values=["M"]),
        )
        for level in ResourceType:
            for constraint in constraints:
                for limit in (0, 10):
                    query = FindQuery(level, [constraint], limit=limit)
                    statement = self.read(
                        lambda tx, q=query: find_statement(tx._connection, q, trigrams=True)  # type: ignore[attr-defined]
                    )
                    self.assertNoScan(statement.sql, statement.parameters)

    def test_changes(self) -> None:
        """Whatever the filter, changes are read by number or by type."""
        for since, to in ((None, None), (5, None), (None, 5), (5, 9)):
            for types in ((), (4,), (5, 7), (4, 7)):
                sql, parameters = changes.page_statement(since, to, types, 100)
                self.assertNoScan(sql, tuple(parameters))

    def test_oldest_instance(self) -> None:
        """The instances of a resource are reached by their parents."""
        for level in ResourceType:
            self.assertNoScan(read_transaction.oldest_instance_statement(level))
        self.assertNoScan(read_transaction.LABELLED, ("[]", "[]"))

    def test_the_check_itself(self) -> None:
        """Reading a table whole is noticed, by name and by alias, with and without an index."""
        for sql in (
            "SELECT * FROM resources",
            "SELECT public_id FROM resources r WHERE public_id = 'x'",
            "SELECT uuid FROM attachments a ORDER BY md5 LIMIT 1",
        ):
            with self.assertRaises(self.failureException):
                self.assertNoScan(sql)

    def test_statements(self) -> None:
        """Every named statement of the index."""
        checked = 0
        modules = (
            deletion,
            store,
            provisional,
            main_tags,
            write_transaction,
            read_transaction,
            expand_sql,
        )
        for module in modules:
            for name, value in vars(module).items():
                if isinstance(value, str) and value.lstrip().startswith(
                    ("SELECT", "UPDATE", "DELETE", "WITH", "INSERT")
                ):
                    if name in ("_TREE", "TRANSFERS"):
                        continue
                    self.assertNoScan(value)
                    checked += 1
        self.assertGreater(checked, 20)

    def test_cascades_have_indexes(self) -> None:
        """A deletion looks up each child table by an index on its foreign key."""

        def missing(tx: Any) -> list[tuple[str, str]]:
            execute = tx._connection.execute
            found: list[tuple[str, str]] = []
            for (table,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                for key in execute(f"PRAGMA foreign_key_list({table})").fetchall():
                    sql = f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {key[3]} = 1"
                    steps = [row[3] for row in execute(sql)]
                    if not all(step.startswith("SEARCH") for step in steps):
                        found.append((table, key[3]))
            return found

        self.assertEqual(self.read(missing), [])
