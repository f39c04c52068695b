from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from orthanc_tw.index.gateway import (
    ExpandParts,
    JobRow,
    MetadataValue,
    WriteTransaction,
    public_ids,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import ChangeType, MetadataType

from .support import (
    DATE,
    INSTANCE,
    PATIENT,
    SERIES,
    STUDY,
    IndexCase,
    MemoryCase,
    SqliteCase,
    attachment,
    public_id,
)


class BrowseTests(IndexCase):
    def fill(self) -> None:
        """Two patients; p has three instances in two series."""
        for path in ("p/s/e/i", "p/s/e/j", "p/s/f/k", "q/t/g/l"):
            self.store(path)

    def test_page(self) -> None:
        """A level in order of public identifiers; by key, by offset, limited."""
        self.fill()
        everything = sorted(public_id(x) for x in ("p/s/e/i", "p/s/e/j", "p/s/f/k", "q/t/g/l"))
        page = self.read(lambda tx: tx.page(INSTANCE))
        self.assertEqual(public_ids(page), everything)
        page = self.read(lambda tx: tx.page(INSTANCE, after=everything[1]))
        self.assertEqual(public_ids(page), everything[2:])
        page = self.read(lambda tx: tx.page(INSTANCE, since=1, limit=2))
        self.assertEqual(public_ids(page), everything[1:3])
        page = self.read(lambda tx: tx.page(INSTANCE, since=10, limit=2))
        self.assertEqual(page, [])

    def test_lookup_by_level(self) -> None:
        """A look-up at a level does not see the other levels."""
        self.fill()
        found = self.read(lambda tx: tx.lookup(public_id("p/s"), STUDY))
        self.assertIsNotNone(found)
        self.assertIsNone(self.read(lambda tx: tx.lookup(public_id("p/s"), SERIES)))
        self.assertIsNone(self.read(lambda tx: tx.lookup("no such thing")))

    def test_attachment_of(self) -> None:
        """By public identifier, in one statement; None for another level, type or resource."""
        self.fill()
        name = public_id("p/s/e/i")
        row = self.row("p/s/e/i")
        expected = self.read(lambda tx: tx.attachment(row.internal_id, 1))
        self.assertIsNotNone(expected)
        self.assertEqual(
            self.index.read_one(lambda tx: tx.attachment_of(INSTANCE, name, 1)), expected
        )
        for level, public, content in ((SERIES, name, 1), (INSTANCE, name, 2), (INSTANCE, "x", 1)):
            found = self.index.read_one(
                lambda tx, arguments=(level, public, content): tx.attachment_of(*arguments)  # type: ignore[misc]
            )
            self.assertIsNone(found)

    def test_read_one(self) -> None:
        """A look-up without a transaction sees what is committed, before and after."""
        seen = []
        for _ in range(2):
            seen.append(self.index.read_one(lambda tx: tx.lookup(public_id("p"), PATIENT)))
            self.store("p/s/e/i")
        self.assertEqual(seen, [None, self.row("p")])

    def test_descendants(self) -> None:
        """Of any level below, in order, by key; itself at its own level, nothing above."""
        self.fill()
        patient, series = self.row("p"), self.row("p/s/e")
        expected = sorted(public_id(x) for x in ("p/s/e/i", "p/s/e/j", "p/s/f/k"))
        found = self.read(lambda tx: tx.descendants(patient, INSTANCE))
        self.assertEqual(public_ids(found), expected)
        self.assertTrue(all(row.level is INSTANCE for row in found))
        after = self.read(lambda tx: tx.descendants(patient, INSTANCE, after=expected[0], limit=1))
        self.assertEqual(public_ids(after), expected[1:2])
        self.assertEqual(self.read(lambda tx: tx.descendants(series, SERIES)), [series])
        self.assertEqual(self.read(lambda tx: tx.descendants(series, STUDY)), [])

    def test_expand(self) -> None:
        """All that is asked for, in the order of the rows."""
        self.fill()
        series, other = self.row("p/s/e"), self.row("q/t/g")
        self.write(lambda tx: tx.add_label(series.internal_id, "b"))
        self.write(lambda tx: tx.add_label(series.internal_id, "a"))
        parts = ExpandParts(ancestors=frozenset({PATIENT, STUDY}))
        second, first = self.read(lambda tx: tx.expand([other, series], parts))
        self.assertEqual(first.public_id, series.public_id)
        self.assertEqual(first.parent_public_id, public_id("p/s"))
        self.assertEqual(first.tags, {"0020,000e": "e", "0008,0060": "CT"})
        self.assertEqual(first.ancestors_tags[PATIENT]["0010,0020"], "p")
        self.assertEqual(first.ancestors_tags[STUDY]["0020,000d"], "s")
        self.assertEqual(list(first.children), sorted([public_id("p/s/e/i"), public_id("p/s/e/j")]))
        self.assertEqual(list(first.labels), ["a", "b"])
        self.assertEqual(first.last_update, DATE)
        self.assertEqual(dict(first.metadata), {15: "sig3", 7: DATE})
        self.assertFalse(first.is_protected)
        self.assertEqual(second.ancestors_tags[PATIENT]["0010,0020"], "q")
        self.assertEqual(list(second.labels), [])

    def test_expand_metadata(self) -> None:
        """Any values, with and without a revision; LastUpdate is that of the column."""
        values = ["", "12", "[1]", '{"a":[1]}', '"x":["y', "\\", "\u00fc\U0010ff80", "a\0b", "null"]
        self.store("p/s/e/i")
        rows = [self.row("p/s/e/i"), self.row("p/s")]
        for revision in (0, 1):

            def put(tx: WriteTransaction, revision: int = revision) -> None:
                for number, value in enumerate(values, 1024):
                    tx.set_metadata(rows[revision].internal_id, number, value, revision)

            self.write(put)
            for record in self.read(lambda tx: tx.expand(rows, ExpandParts())):
                expected = self.read(lambda tx, r=record: tx.metadata(r.internal_id))
                self.assertEqual(
                    dict(record.metadata), {key: item.value for key, item in expected.items()}
                )
        self.assertEqual([record.metadata[number] for number in range(1024, 1033)], values)

    def test_expand_of_mixed_levels(self) -> None:
        """Rows may be ancestors of one another; each has its own."""
        self.fill()
        rows = [self.row(path) for path in ("p/s/e/i", "p", "p/s/f", "q/t/g/l")]
        parts = ExpandParts(ancestors=frozenset({PATIENT, STUDY}))
        found = self.read(lambda tx: tx.expand(rows, parts))
        self.assertEqual(
            [
                {level: tags.get("0010,0020") for level, tags in record.ancestors_tags.items()}
                for record in found
            ],
            [
                {PATIENT: "p", STUDY: None},
                {},
                {PATIENT: "p", STUDY: None},
                {PATIENT: "q", STUDY: None},
            ],
        )

    def test_expand_instance(self) -> None:
        """An instance has its attachment, no children, no last update, and is stable."""
        self.fill()
        rows = [self.row("p/s/e/i")]
        (record,) = self.read(lambda tx: tx.expand(rows, ExpandParts()))
        self.assertEqual(list(record.attachments), [attachment("p/s/e/i")])
        self.assertEqual(list(record.children), [])
        self.assertEqual((record.last_update, record.is_stable), ("", True))

    def test_expand_nothing_more(self) -> None:
        """Parts that are not asked for stay empty."""
        self.fill()
        rows = [self.row("p/s"), self.row("p")]
        nothing = ExpandParts(children=False, metadata=False, attachments=False, labels=False)
        study, patient = self.read(lambda tx: tx.expand(rows, nothing))
        self.assertEqual((list(study.children), study.metadata), ([], {}))
        self.assertEqual((list(study.attachments), list(study.labels)), ([], []))
        self.assertEqual(patient.tags["0010,0020"], "p")

    def test_expand_many_in_few_statements(self) -> None:
        """A thousand rows take as many statements as two chunks do, not one a row."""
        for number in range(501):
            self.store(f"p/s/e/{number}")
        rows = self.read(lambda tx: tx.page(INSTANCE))
        statements: list[str] = []

        def traced(tx: object) -> int:
            connection = tx._connection  # type: ignore[attr-defined]
            connection.set_trace_callback(statements.append)
            try:
                return len(tx.expand(rows, ExpandParts()))  # type: ignore[attr-defined]
            finally:
                connection.set_trace_callback(None)

        self.assertEqual(self.read(traced), 501)
        self.assertLess(len(statements), 15)

    def test_lookup_identifier(self) -> None:
        """The five identifiers, in any case; blanks count, the empty value finds nothing."""
        self.fill()
        for tag, value, path in (
            ("0010,0020", "P", "p"),
            ("0020,000d", "s", "p/s"),
            ("0020,000e", "g", "q/t/g"),
            ("0008,0018", "k", "p/s/f/k"),
        ):
            found = self.read(lambda tx, t=tag, v=value: tx.lookup_identifier(t, v))
            self.assertEqual(public_ids(found), [public_id(path)])
        self.assertEqual(self.read(lambda tx: tx.lookup_identifier("0010,0020", "p ")), [])
        self.assertEqual(self.read(lambda tx: tx.lookup_identifier("0008,0050", "")), [])
        with self.assertRaises(ValueError):
            self.index.read_now(lambda tx: tx.lookup_identifier("0010,0010", "x"))


class ValueTests(IndexCase):
    def test_metadata(self) -> None:
        """Set, replace with a revision, delete; LastUpdate of a parent is read alike."""
        self.store("p/s/e/i")
        number = self.row("p/s").internal_id
        self.write(lambda tx: tx.set_metadata(number, 1024, "é\n", 0))
        self.write(lambda tx: tx.set_metadata(number, 1025, "x", 3))
        self.write(lambda tx: tx.set_metadata(number, 1024, "y", 1))
        found = self.read(lambda tx: tx.metadata(number))
        self.assertEqual(found[1024], MetadataValue("y", 1))
        self.assertEqual(found[1025], MetadataValue("x", 3))
        self.assertEqual(list(found), [7, 15, 1024, 1025])
        self.assertTrue(self.write(lambda tx: tx.delete_metadata(number, 1024)))
        self.assertFalse(self.write(lambda tx: tx.delete_metadata(number, 1024)))
        last_update = int(MetadataType.LAST_UPDATE)
        self.write(lambda tx: tx.set_metadata(number, last_update, "20300101T000000", 0))
        self.assertEqual(
            self.read(lambda tx: tx.metadata(number))[last_update].value, "20300101T000000"
        )

    def test_unknown_resource(self) -> None:
        """Writing to a resource that is not there is an error that says so."""
        for function in (
            lambda tx: tx.set_metadata(99, 1024, "x", 0),
            lambda tx: tx.add_label(99, "x"),
            lambda tx: tx.put_attachment(99, attachment("x", kind=1024)),
            lambda tx: tx.set_protected(99, True),
        ):
            error = self.error(self.index.write(function))
            self.assertIsInstance(error, OrthancError)
            self.assertEqual(getattr(error, "code", None), ErrorCode.UNKNOWN_RESOURCE)

    def test_attachments(self) -> None:
        """Put, replace (the old file is named), delete; listed by content type."""
        self.store("p/s/e/i")
        number = self.row("p/s/e/i").internal_id
        first = attachment("a", kind=1024, size=10, stored=4)
        second = structs.replace(attachment("b", kind=1024), revision=1)
        self.assertEqual(self.write(lambda tx: tx.put_attachment(number, first)), [])
        self.assertEqual(self.read(lambda tx: tx.attachment(number, 1024)), first)
        self.assertEqual(self.write(lambda tx: tx.put_attachment(number, second)), [first.uuid])
        self.assertEqual(
            self.read(lambda tx: tx.attachments(number)), [attachment("p/s/e/i"), second]
        )
        self.assertEqual(
            self.read(lambda tx: tx.attachment_uuids("", 10)),
            sorted([attachment("p/s/e/i").uuid, second.uuid]),
        )
        self.assertEqual(self.write(lambda tx: tx.delete_attachment(number, 1024)), [second.uuid])
        self.assertEqual(self.write(lambda tx: tx.delete_attachment(number, 1024)), [])
        self.assertIsNone(self.read(lambda tx: tx.attachment(number, 1024)))
        self.assertEqual(self.read(lambda tx: tx.statistics()).disk_size_bytes, 1000)

    def test_labels(self) -> None:
        """Sorted, added and removed without complaint about repetition."""
        self.store("p/s/e/i")
        number = self.row("p").internal_id
        for label in ("b", "a", "b"):
            self.write(lambda tx, x=label: tx.add_label(number, x))
        self.assertEqual(self.read(lambda tx: tx.labels(number)), ["a", "b"])
        self.assertEqual(self.read(lambda tx: tx.all_labels()), ["a", "b"])
        for _ in range(2):
            self.write(lambda tx: tx.remove_label(number, "a"))
        self.assertEqual(self.read(lambda tx: tx.all_labels()), ["b"])

    def test_protection_is_for_patients(self) -> None:
        """No other level can be protected."""
        self.store("p/s/e/i")
        study = self.row("p/s").internal_id
        error = self.error(self.index.write(lambda tx: tx.set_protected(study, True)))
        self.assertIsInstance(error, OrthancError)
        self.assertFalse(self.read(lambda tx: tx.is_protected(study)))

    def test_global_properties(self) -> None:
        """Absent is None; a second value replaces the first."""
        self.assertIsNone(self.read(lambda tx: tx.global_property("x")))
        for value in ("1", "2"):
            self.write(lambda tx, v=value: tx.set_global_property("x", v))
        self.assertEqual(self.read(lambda tx: tx.global_property("x")), "2")


class ChangesTests(IndexCase):
    def fill(self) -> None:
        """The uploads of the recorded exchanges 2 to 5 of 18-changes-exports."""
        for path in ("ct/s/e/i", "mr/s/e/i", "cr/s/e/i", "cr/s/f/i"):
            self.store(path)

    def seqs(self, **how: object) -> tuple[list[int], bool, int]:
        """Numbers of a page, Done, Last."""
        page = self.changes(**{"since": None, **how})
        return [c.seq for c in page.changes], page.done, page.last_seq

    def test_empty(self) -> None:
        """An empty log is done and ends at 0."""
        self.assertEqual(self.seqs(), ([], True, 0))
        self.assertIsNone(self.read(lambda tx: tx.last_change()))

    def test_windows(self) -> None:
        """since, to and limit as recorded from Orthanc."""
        self.fill()
        everything = list(range(1, 15))
        for how, expected in (
            ({}, (everything, True, 14)),
            ({"since": 3}, (everything[3:], True, 14)),
            ({"since": 0, "limit": 2}, ([1, 2], False, 2)),
            ({"limit": 3}, ([1, 2, 3], False, 3)),
            ({"since": 1000}, ([], True, 14)),
            ({"to": 5}, ([1, 2, 3, 4, 5], True, 5)),
            ({"to": 5, "limit": 2}, ([4, 5], False, 5)),
            ({"since": 2, "to": 6}, ([3, 4, 5, 6], True, 6)),
            ({"to": 0}, ([], True, 14)),
            ({"limit": 0}, ([], False, 14)),
            ({"since": -1}, (everything, True, 14)),
            ({"limit": -1}, ([], True, 14)),
        ):
            self.assertEqual(self.seqs(**how), expected, how)

    def test_types(self) -> None:
        """Filtered by one or several types."""
        self.fill()
        instance, study = int(ChangeType.NEW_INSTANCE), int(ChangeType.NEW_STUDY)
        patient, series = int(ChangeType.NEW_PATIENT), int(ChangeType.NEW_SERIES)
        for how, expected in (
            ({"types": [study]}, ([3, 7, 11], True, 11)),
            ({"types": [study, patient]}, ([3, 4, 7, 8, 11, 12], True, 12)),
            ({"types": [instance], "limit": 1}, ([1], False, 1)),
            ({"types": [instance], "since": 4}, ([5, 9, 13], True, 13)),
            ({"types": [instance, series], "limit": 3}, ([1, 2, 5], False, 5)),
            ({"types": [series], "to": 5}, ([2], True, 2)),
            ({"types": [study, patient], "to": 12, "limit": 3}, ([8, 11, 12], False, 12)),
        ):
            self.assertEqual(self.seqs(**how), expected, how)

    def test_clear(self) -> None:
        """The log is emptied, the numbers go on."""
        self.fill()
        self.write(lambda tx: tx.clear_changes())
        self.assertEqual(self.seqs(), ([], True, 14))
        self.store("rt/s/e/i")
        self.assertEqual(self.seqs(), ([15, 16, 17, 18], True, 18))

    def test_last_change(self) -> None:
        """The newest change, with its resource and date."""
        self.fill()
        study = self.row("cr/s")
        self.write(lambda tx: tx.log_change(ChangeType.UPDATED_METADATA, study, DATE))
        last = self.read(lambda tx: tx.last_change())
        assert last is not None
        self.assertEqual(
            (last.seq, last.change_type, last.level, last.public_id, last.date),
            (15, 18, STUDY, public_id("cr/s"), DATE),
        )


class LabelledTests(IndexCase):
    def test_labelled_resources(self) -> None:
        """Resources that have one of the labels, or whose ancestor has; nothing else."""
        self.store("cr/s/e/i")
        self.store("ct/s/e/i")
        study = self.row("cr/s")
        series = self.row("ct/s/e")
        self.write(lambda tx: tx.add_label(study.internal_id, "urgent"))
        self.write(lambda tx: tx.add_label(series.internal_id, "big"))
        names = ["cr", "cr/s", "cr/s/e", "ct", "ct/s", "ct/s/e", "nobody"]
        asked = [public_id(name) for name in names]

        def found(*labels: str) -> set[str]:
            ids = set(self.read(lambda tx: tx.labelled_resources(asked, labels)))
            return {name for name in names if public_id(name) in ids}

        self.assertEqual(found("urgent"), {"cr/s", "cr/s/e"})
        self.assertEqual(found("big", "none"), {"ct/s/e"})
        self.assertEqual(found("urgent", "big"), {"cr/s", "cr/s/e", "ct/s/e"})
        self.assertEqual(found("none"), set())


class JobTests(IndexCase):
    JOB = JobRow(
        job_id="a",
        kind="Archive",
        state="Pending",
        priority=0,
        parameters='{"x":[1,null,"é"]}',
        cursor=None,
        content="{}",
        user_data=None,
        progress=0.0,
        error_code=0,
        error_details="",
        created_s=1.5,
        started_s=None,
        completed_s=None,
        runtime_s=0.0,
        retry_at_s=None,
        outputs={},
        failed_instances={},
    )

    def test_round_trip(self) -> None:
        """A job comes back as it was put, with its number."""
        job = replace(
            self.JOB,
            cursor={"n": 1},
            user_data="null",
            outputs={"archive": {"file": "f", "size": 3}},
            retry_at_s=9.0,
            retry={"MaximumAttempts": 3, "Attempts": 1},
            created_s=1795298592.1234567,
            error_details='Größe "ä"\n',
            parameters='{"a":[1,null,{"b":"\u20ac"}],"big":1152921504606846976,"f":0.1}',
        )
        self.write(lambda tx: tx.put_jobs([job]))
        self.assertEqual(self.read(lambda tx: tx.job("a")), replace(job, sequence=1))
        self.assertIsNone(self.read(lambda tx: tx.job("b")))

    def test_replace_keeps_the_sequence(self) -> None:
        """A job that is saved again stays where it was; numbers are never given twice."""
        jobs = [replace(self.JOB, job_id=name) for name in "abc"]
        self.write(lambda tx: tx.put_jobs(jobs))
        done = replace(self.JOB, state="Success")
        late = replace(self.JOB, job_id="d")
        self.assertEqual(self.write(lambda tx: tx.delete_jobs(["c", "x"])), 1)
        self.assertEqual(self.write(lambda tx: tx.delete_jobs(["c"])), 0)
        self.write(lambda tx: tx.put_jobs([late, done]))
        rows = self.read(lambda tx: tx.jobs())
        self.assertEqual(
            [(row.job_id, row.sequence, row.state) for row in rows],
            [("a", 1, "Success"), ("b", 2, self.JOB.state), ("d", 4, self.JOB.state)],
        )
        pending = self.read(lambda tx: tx.jobs(states=["Pending", "Running"], after=2))
        self.assertEqual([job.job_id for job in pending], ["d"])
        self.assertEqual(len(self.read(lambda tx: tx.jobs(limit=2))), 2)


class MemoryBrowseTests(BrowseTests, MemoryCase):
    pass


class SqliteBrowseTests(BrowseTests, SqliteCase):
    pass


class MemoryValueTests(ValueTests, MemoryCase):
    pass


class SqliteValueTests(ValueTests, SqliteCase):
    pass


class MemoryChangesTests(ChangesTests, MemoryCase):
    pass


class SqliteChangesTests(ChangesTests, SqliteCase):
    pass


class MemoryJobTests(JobTests, MemoryCase):
    pass


class SqliteJobTests(JobTests, SqliteCase):
    pass


class MemoryLabelledTests(LabelledTests, MemoryCase):
    pass


class SqliteLabelledTests(LabelledTests, SqliteCase):
    pass


del BrowseTests, ValueTests, ChangesTests, JobTests, LabelledTests
