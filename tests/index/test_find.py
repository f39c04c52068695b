from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from orthanc_tw.index import find as find_module
from orthanc_tw.index.gateway import FindQuery, TagConstraint, public_ids
from orthanc_tw.index.normalize import normalize
from orthanc_tw.model.levels import ResourceType

from .support import (
    INSTANCE,
    PATIENT,
    SERIES,
    STUDY,
    IndexCase,
    MemoryCase,
    SqliteCase,
    public_id,
)

NAME, PATIENT_ID, SEX = "0010,0010", "0010,0020", "0010,0040"
DATE, ACCESSION, DESCRIPTION = "0008,0020", "0008,0050", "0008,1030"
MODALITY, STATION, SOP, NUMBER = "0008,0060", "0008,1010", "0008,0018", "0020,0013"


def where(
    tag: str,
    level: ResourceType,
    *values: str,
    case_sensitive: bool = False,
    **how: Any,
) -> TagConstraint:
    """A constraint, normalized as callers do."""

    def clean(text: str | None) -> str | None:
        return text if text is None or case_sensitive else normalize(text)

    for name in ("wildcard", "lower", "upper"):
        if name in how:
            how[name] = clean(how[name])
    cleaned = [clean(value) or "" for value in values]
    return TagConstraint(tag, level, case_sensitive, values=cleaned, **how)


class FindTests(IndexCase):
    def fill(self) -> None:
        """Three patients, four studies, five series, six instances."""
        anna = {PATIENT: {NAME: "Müller^Anna", SEX: "F"}}
        bert = {PATIENT: {NAME: "SMITH^BERT", SEX: "M"}}
        carl = {PATIENT: {NAME: "Smithers^Carl"}}
        self.store(
            "a/a1/a11/a111",
            tags={**anna, STUDY: {DATE: "20200101", DESCRIPTION: "Chest CT"}},
        )
        self.store("a/a1/a11/a112", tags={INSTANCE: {NUMBER: "2"}})
        self.store(
            "a/a2/a21/a211",
            tags={STUDY: {DATE: "20210101", DESCRIPTION: "Knee"}, SERIES: {MODALITY: "MR"}},
        )
        self.store(
            "b/b1/b11/b111",
            tags={
                **bert,
                STUDY: {DATE: "", DESCRIPTION: "chest x-ray", ACCESSION: "X[1]"},
                SERIES: {MODALITY: "CR", STATION: "Stätion"},
            },
        )
        self.store("b/b1/b12/b121", tags={SERIES: {MODALITY: "SR"}})
        self.store("c/c1/c11/c111", tags=carl)

    def find(self, level: ResourceType, *constraints: TagConstraint, **how: Any) -> list[str]:
        """Last DICOM identifiers of the resources found, sorted."""
        query = FindQuery(level, constraints, **how)
        rows = self.read(lambda tx: tx.find(query))
        identifiers = public_ids(rows)
        self.assertEqual(identifiers, sorted(identifiers))
        if not (query.since or query.limit or query.after):
            self.assertEqual(self.read(lambda tx: tx.count(query)), len(rows))
        paths = ["a", "b", "c", "a/a1", "a/a2", "b/b1", "c/c1", "a/a1/a11", "a/a2/a21"]
        paths += ["b/b1/b11", "b/b1/b12", "c/c1/c11", "a/a1/a11/a111", "a/a1/a11/a112"]
        paths += ["a/a2/a21/a211", "b/b1/b11/b111", "b/b1/b12/b121", "c/c1/c11/c111"]
        names = {public_id(path): path.rpartition("/")[2] for path in paths}
        return sorted(names[identifier] for identifier in identifiers)

    def test_everything(self) -> None:
        """No constraint: the whole level, counted from the counters."""
        self.fill()
        self.assertEqual(self.find(STUDY), ["a1", "a2", "b1", "c1"])

    def test_equality(self) -> None:
        """Case and accents do not matter unless asked for."""
        self.fill()
        self.assertEqual(self.find(PATIENT, where(NAME, PATIENT, "MULLER^anna")), ["a"])
        exact = where(NAME, PATIENT, "MULLER^anna", case_sensitive=True)
        self.assertEqual(self.find(PATIENT, exact), [])
        exact = where(NAME, PATIENT, "Müller^Anna", case_sensitive=True)
        self.assertEqual(self.find(PATIENT, exact), ["a"])
        self.assertEqual(self.find(PATIENT, where(NAME, PATIENT, "SMITH")), [])

    def test_list(self) -> None:
        """Any of the values."""
        self.fill()
        self.assertEqual(self.find(PATIENT, where(PATIENT_ID, PATIENT, "a", "C")), ["a", "c"])

    def test_wildcards(self) -> None:
        """Prefix, infix, suffix, single characters; nothing else is special."""
        self.fill()
        for wildcard, expected in (
            ("smith*", ["b", "c"]),
            ("*ITH*", ["b", "c"]),
            ("*bert", ["b"]),
            ("Sm?th^*", ["b"]),
            ("?mithers^Carl", ["c"]),
            ("*", ["a", "b", "c"]),
            ("*x", []),
            ("S_ith*", []),
            ("Smith%", []),
            ("[S]mith*", []),
            ("*[a-z]*", []),
        ):
            found = self.find(PATIENT, where(NAME, PATIENT, wildcard=wildcard))
            self.assertEqual(found, expected, wildcard)
        bracket = where(ACCESSION, STUDY, wildcard="*x[1*")
        self.assertEqual(self.find(STUDY, bracket), ["b1"])

    def test_case_sensitive_wildcard(self) -> None:
        """The index narrows, the true value decides."""
        self.fill()
        for wildcard, expected in (
            ("Chest*", ["a1"]),
            ("chest*", ["b1"]),
            ("*hest*", ["a1", "b1"]),
        ):
            constraint = where(DESCRIPTION, STUDY, wildcard=wildcard, case_sensitive=True)
            self.assertEqual(self.find(STUDY, constraint), expected, wildcard)

    def test_ranges(self) -> None:
        """Bounds belong to the range; an empty value is less than all, an absent one is out."""
        self.fill()
        for how, expected in (
            ({"lower": "20200101", "upper": "20200101"}, ["a1"]),
            ({"lower": "20200102"}, ["a2"]),
            ({"upper": "20200101"}, ["a1", "b1"]),
        ):
            self.assertEqual(self.find(STUDY, where(DATE, STUDY, **how)), expected, how)

    def test_absent_and_empty(self) -> None:
        """A star wants the tag to be there, be it empty; optional constraints let it be absent."""
        self.fill()
        present = where(DESCRIPTION, STUDY, wildcard="*")
        self.assertEqual(self.find(STUDY, present), ["a1", "a2", "b1"])
        self.assertEqual(self.find(STUDY, where(DATE, STUDY, wildcard="*")), ["a1", "a2", "b1"])
        optional = where(DESCRIPTION, STUDY, wildcard="chest*", mandatory=False)
        self.assertEqual(self.find(STUDY, optional), ["a1", "b1", "c1"])
        self.assertEqual(self.find(PATIENT, where(SEX, PATIENT, "F", mandatory=False)), ["a", "c"])
        self.assertEqual(self.find(STUDY, TagConstraint(DESCRIPTION, STUDY, False)), [
            "a1", "a2", "b1", "c1",
        ])  # fmt: skip

    def test_tags_without_an_index(self) -> None:
        """Any main DICOM tag can be named, with the same rules."""
        self.fill()
        self.assertEqual(self.find(PATIENT, where(SEX, PATIENT, "f")), ["a"])
        self.assertEqual(self.find(SERIES, where(STATION, SERIES, wildcard="STAT*")), ["b11"])
        exact = where(STATION, SERIES, "STATION", case_sensitive=True)
        self.assertEqual(self.find(SERIES, exact), [])
        self.assertEqual(self.find(INSTANCE, where(NUMBER, INSTANCE, "2")), ["a112"])

    def test_levels_above(self) -> None:
        """Constraints of the levels above the one that is asked for."""
        self.fill()
        name = where(NAME, PATIENT, wildcard="sm*")
        self.assertEqual(self.find(INSTANCE, name), ["b111", "b121", "c111"])
        study = where(DESCRIPTION, STUDY, wildcard="*chest*")
        self.assertEqual(self.find(SERIES, name, study), ["b11", "b12"])
        sex = where(SEX, PATIENT, "F")
        self.assertEqual(self.find(SERIES, sex, where(MODALITY, SERIES, "mr")), ["a21"])

    def test_levels_below(self) -> None:
        """Constraints of the levels below: one descendant must meet them, found once."""
        self.fill()
        self.assertEqual(self.find(STUDY, where(MODALITY, SERIES, "CR", "SR")), ["b1"])
        self.assertEqual(self.find(PATIENT, where(SOP, INSTANCE, "a112")), ["a"])
        self.assertEqual(self.find(PATIENT, where(NUMBER, INSTANCE, "1")), ["a", "b", "c"])
        both = (where(MODALITY, SERIES, "MR"), where(DATE, STUDY, "20200101"))
        self.assertEqual(self.find(PATIENT, *both), [])

    def test_paging(self) -> None:
        """Offset and limit count after the constraints; the key too."""
        self.fill()
        name = where(NAME, PATIENT, wildcard="sm*")
        query = FindQuery(INSTANCE, [name])
        everything = public_ids(self.read(lambda tx: tx.find(query)))
        for how, expected in (
            ({"limit": 2}, everything[:2]),
            ({"since": 1}, everything[1:]),
            ({"since": 1, "limit": 1}, everything[1:2]),
            ({"since": 9, "limit": 1}, []),
            ({"after": everything[0], "limit": 1}, everything[1:2]),
        ):
            paged = FindQuery(INSTANCE, [name], **how)
            found = public_ids(self.read(lambda tx, q=paged: tx.find(q)))
            self.assertEqual(found, expected, how)
            found = self.read(lambda tx, q=paged: tx.find_identifiers(q))
            self.assertEqual(list(found), expected, how)
        limited = FindQuery(INSTANCE, [name], limit=1)
        self.assertEqual(self.read(lambda tx: tx.count(limited)), 3)

    def test_labels(self) -> None:
        """All, Any, None of the labels of the resources themselves."""
        self.fill()
        for path, labels in (("a/a1", "xy"), ("a/a2", "x"), ("b/b1", "z")):
            number = self.row(path).internal_id
            for label in labels:
                self.write(lambda tx, n=number, x=label: tx.add_label(n, x))
        for labels, how, expected in (
            (["x", "y"], "All", ["a1"]),
            (["y", "z"], "Any", ["a1", "b1"]),
            (["x", "y"], "None", ["b1", "c1"]),
            (["x"], "All", ["a1", "a2"]),
            (["nope"], "Any", []),
        ):
            found = self.find(STUDY, labels=labels, labels_constraint=how)
            self.assertEqual(found, expected, (labels, how))
        found = self.find(STUDY, where(DATE, STUDY, "20210101"), labels=["x"])
        self.assertEqual(found, ["a2"])
        bad = FindQuery(STUDY, labels=["x"], labels_constraint="Some")
        self.assertIsInstance(self.error(self.index.read(lambda tx: tx.find(bad))), ValueError)

    def test_parent(self) -> None:
        """Descendants of one resource of a level; of none, of a wrong level: nothing."""
        self.fill()
        self.assertEqual(self.find(INSTANCE, parent=(PATIENT, public_id("b"))), ["b111", "b121"])
        self.assertEqual(self.find(STUDY, parent=(STUDY, public_id("b/b1"))), ["b1"])
        self.assertEqual(self.find(SERIES, parent=(STUDY, public_id("b"))), [])
        self.assertEqual(self.find(PATIENT, parent=(STUDY, public_id("b/b1"))), [])
        mr = where(MODALITY, SERIES, "MR")
        self.assertEqual(self.find(INSTANCE, mr, parent=(PATIENT, public_id("a"))), ["a211"])

    def test_deleted_and_overwritten(self) -> None:
        """Names of what was deleted find nothing, not even by trigrams."""
        self.fill()
        row = self.row("b")
        self.write(lambda tx: tx.delete_resource(row, "20260101T000000"))
        self.assertEqual(self.find(PATIENT, where(NAME, PATIENT, wildcard="*mith*")), ["c"])

    def test_inside_the_writing_transaction(self) -> None:
        """A write sees what it wrote; what others of its group wrote survives its failure."""
        self.fill()
        query = FindQuery(PATIENT, [where(NAME, PATIENT, wildcard="*ith*")])
        found = self.write(lambda tx: public_ids(tx.find(query)))
        self.assertEqual(len(found), 2)


class PlannerTests(IndexCase):
    """The answer does not depend on what the query starts from."""

    def test_all_ways_agree(self) -> None:
        """Random queries: read in order, by index, with and without trigrams: one answer."""
        generator = random.Random(7)
        names = ["SMITH^A", "Smithson^B", "JONES^A", "Ång^C", ""]
        for number in range(60):
            patient = number % 12
            self.store(
                f"p{patient}/s{number % 24}/e{number % 30}x{number % 24}/i{number}",
                tags={
                    PATIENT: {NAME: names[patient % 5], SEX: "MF"[patient % 2]},
                    STUDY: {DATE: f"2020010{number % 24 % 9}", DESCRIPTION: f"desc {number % 24}"},
                    SERIES: {MODALITY: ["CT", "MR"][number % 30 % 2]},
                },
            )
        pool = [
            where(NAME, PATIENT, wildcard="*mith*"),
            where(NAME, PATIENT, wildcard="SM*"),
            where(PATIENT_ID, PATIENT, "p1", "p2", "p3", "p5"),
            where(SEX, PATIENT, "F"),
            where(DATE, STUDY, lower="20200102", upper="20200105"),
            where(DESCRIPTION, STUDY, wildcard="*sc 1*"),
            where(MODALITY, SERIES, "CT"),
            where(SOP, INSTANCE, "i7", "i11", "i33", "i34"),
        ]
        matched = 0
        for _ in range(60):
            constraints = generator.sample(pool, generator.randint(1, 3))
            level = generator.choice(list(ResourceType))
            answers = [
                self.answer(level, constraints, bound, trigrams, limit)
                for bound, trigrams, limit in ((1, True, 500), (2000, True, 0), (2000, False, 0))
            ]
            self.assertEqual(answers[0], answers[1], (level, constraints))
            self.assertEqual(answers[0], answers[2], (level, constraints))
            for limit in (1, 3, 500):
                query = FindQuery(level, constraints, limit=limit)
                found = self.read(lambda tx, q=query: tx.find_identifiers(q))
                self.assertEqual(list(found), answers[0][:limit], (level, constraints))
            matched += bool(answers[0])
        self.assertGreater(matched, 20)

    def answer(
        self,
        level: ResourceType,
        constraints: Sequence[TagConstraint],
        bound: int,
        trigrams: bool,
        limit: int,
    ) -> list[str]:
        """Public identifiers, by one way of planning."""
        query = FindQuery(level, constraints, limit=limit)

        def run(tx: Any) -> list[str]:
            sql = find_module.find_statement(tx._connection, query, trigrams=trigrams)
            return [row[1] for row in tx._connection.execute(sql.sql, sql.parameters)]

        with patch.object(find_module, "BOUND", bound):
            return self.read(run)


class MemoryFindTests(FindTests, MemoryCase):
    pass


class SqliteFindTests(FindTests, SqliteCase):
    pass


class MemoryPlannerTests(PlannerTests, MemoryCase):
    pass


del FindTests, PlannerTests
