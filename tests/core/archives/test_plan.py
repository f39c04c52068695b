"""The members of archives against those that a real Orthanc gave."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.archives import names
from orthanc_tw.core.archives.plan import PlanRequest, find_current, make_plan, measure_plan
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType
from tests.core.archives.fakes import FakeIndex

_RECORDINGS = os.path.join(os.path.dirname(__file__), "..", "..", "reference")


def recorded(topic: str) -> list[dict[str, Any]]:
    """The exchanges of a recording."""
    path = os.path.join(_RECORDINGS, "recordings", f"{topic}.json")
    with open(path, encoding="utf-8") as file:
        exchanges: list[dict[str, Any]] = json.load(file)["exchanges"]
    return exchanges


def request_of(exchange: dict[str, Any], index: FakeIndex) -> PlanRequest | None:
    """What the routes make of a recorded request for an archive, if it is one."""
    path, _, query = exchange["path"].partition("?")
    parts = path.strip("/").split("/")
    body = exchange.get("body")
    is_zip = "zip" in exchange.get("response", {}).get("binary", {})
    options = query + json.dumps(body)
    if not is_zip or "ranscode" in options:
        return None
    if parts[0] == "tools":
        media = "media" in parts[1]
        if isinstance(body, dict):
            return PlanRequest(body["Resources"], media=media)
        if isinstance(body, list):
            return PlanRequest(body, media=media)
        return PlanRequest(query.split("=", 1)[1].split("&")[0].split(","), media=media)
    if parts[0] not in ("patients", "studies", "series"):
        return None
    level = ResourceType.from_label(parts[0])
    base = ResourceType.PATIENT
    if exchange["method"] == "POST" and level is ResourceType.SERIES:
        base = level
    return PlanRequest([parts[1]], level, base, parts[2] == "media")


class RecordedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.exchanges = recorded("20-jobs-archives")
        self.index = FakeIndex()
        for exchange in self.exchanges:
            if exchange["path"] == "/instances" and "body_file" in exchange:
                public_id = self.index.add_test_file(exchange["body_file"])
                self.assertEqual(public_id, exchange["response"]["json"]["ID"])

    def test_names_are_the_recorded_ones(self) -> None:
        """Every recorded archive and media has exactly the planned members."""
        compared = 0
        for exchange in self.exchanges:
            request = request_of(exchange, self.index)
            if request is None:
                continue
            planned = [member.name.decode() for member in make_plan(self.index, request)]
            entries = exchange["response"]["binary"]["zip"]["entries"]
            if request.media:
                planned.append("DICOMDIR")
            self.assertEqual(sorted(planned), entries, exchange["name"])
            compared += 1
        self.assertGreater(compared, 30)

    def test_media_are_in_the_recorded_order(self) -> None:
        """``IM0``, ``IM1``... are the instances that the recorded DICOMDIR says they are."""
        compared = 0
        for exchange in self.exchanges:
            request = request_of(exchange, self.index)
            if request is None or not request.media:
                continue
            contents = exchange["response"]["binary"]["zip"]["contents"]["DICOMDIR"]
            expected = {
                record["ReferencedFileID"].replace("\\", "/"): record.get("InstanceNumber", "")
                for record in contents["records"]
                if "ReferencedFileID" in record
            }
            numbers = {
                member.name.decode(): self.index.resources[member.public_id].tags.get(
                    "0020,0013", ""
                )
                for member in make_plan(self.index, request)
            }
            self.assertEqual(numbers, expected, exchange["name"])
            compared += 1
        self.assertGreater(compared, 10)

    def test_sizes_are_the_recorded_ones(self) -> None:
        """``InstancesCount`` and ``UncompressedSize`` for one resource and for several."""
        study = PlanRequest(["23b6420e-ba1c465e-83264151-07988c70-fa35f680"])
        size = measure_plan(self.index, study)
        self.assertEqual((size.instances, size.size_bytes), (3, 6896))
        create = next(item for item in self.exchanges if item["path"] == "/tools/create-archive")
        size = measure_plan(self.index, PlanRequest(create["body"]["Resources"]))
        self.assertEqual((size.instances, size.size_bytes), (7, 56602))

    def test_unknown_resources(self) -> None:
        """The error depends on whether a level was asked for, as recorded."""
        unknown = "11111111-22222222-33333333-44444444-55555555"
        with self.assertRaises(OrthancError) as caught:
            make_plan(self.index, PlanRequest([unknown]))
        self.assertIs(caught.exception.code, ErrorCode.UNKNOWN_RESOURCE)
        self.assertIsNone(caught.exception.details)
        with self.assertRaises(OrthancError) as caught:
            make_plan(self.index, PlanRequest([unknown], ResourceType.STUDY))
        self.assertIs(caught.exception.code, ErrorCode.INEXISTENT_ITEM)
        self.assertEqual(
            caught.exception.details, f"Missing resource while creating an archive: {unknown}"
        )

    def test_a_resource_named_twice_is_there_once(self) -> None:
        """A study, its series and its instances give the members of the study."""
        study = self.index.resources["23b6420e-ba1c465e-83264151-07988c70-fa35f680"].row
        inside = [
            row.public_id
            for level in (ResourceType.SERIES, ResourceType.INSTANCE)
            for row in self.index.descendants(study, level)
        ]
        plan = make_plan(self.index, PlanRequest([study.public_id]))
        for resources in ([study.public_id, *inside], [*inside, study.public_id], inside):
            self.assertEqual(make_plan(self.index, PlanRequest(resources)), plan)


class LargeStudyTests(SynchronousTestCase):
    def test_queries_do_not_grow_with_instances(self) -> None:
        """A study of 5,000 instances takes one query."""
        index = FakeIndex()
        empty = {level: {} for level in ResourceType}
        for number in range(5000):
            index.add(DicomIdentifiers("p", "1.2", f"1.2.{number % 4}", f"1.{number}"), empty, b"")
        study = DicomIdentifiers("p", "1.2", "", "").public_id(ResourceType.STUDY)
        plan = make_plan(index, PlanRequest([study]))
        self.assertEqual(len({member.name for member in plan}), 5000)
        self.assertEqual(index.queries, 1)


class MemberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.index = FakeIndex()
        self.public_id = self.index.add_test_file("test_files/CT_small.dcm")

    def test_compressed_pixels_are_stored(self) -> None:
        """JPEG and its like are not deflated again, unless the file is small; RLE is."""
        metadata = self.index.resources[self.public_id].metadata
        self.index.put_file(self.public_id, bytes(100_000))
        for syntax, is_deflated in (
            ("1.2.840.10008.1.2.1", True),
            ("1.2.840.10008.1.2.5", True),
            ("1.2.840.10008.1.2.4.90", False),
            ("1.2.840.10008.1.2.1.99", False),
        ):
            metadata[MetadataType.TRANSFER_SYNTAX] = type(metadata[MetadataType.TRANSFER_SYNTAX])(
                syntax, 0
            )
            (member,) = make_plan(self.index, PlanRequest([self.public_id]))
            self.assertEqual(member.is_deflated, is_deflated, syntax)
        self.index.put_file(self.public_id, bytes(1000))
        (member,) = make_plan(self.index, PlanRequest([self.public_id]))
        self.assertTrue(member.is_deflated)

    def test_a_member_as_it_is_now(self) -> None:
        """Overwritten: the new file. Deleted: none."""
        (member,) = make_plan(self.index, PlanRequest([self.public_id]))
        uuid = self.index.put_file(self.public_id, b"new")
        current = find_current(self.index, member)
        assert current is not None
        self.assertEqual((current.uuid, current.size_bytes), (uuid, 3))
        self.index.delete(self.public_id)
        self.assertIsNone(find_current(self.index, member))


class NameTests(SynchronousTestCase):
    def test_recorded_character_sets(self) -> None:
        """Folders of patients whose names are not ASCII, as recorded in 13-charsets."""
        for patient_id, name, folder in (
            ("SCSARAB", "قباني^لنزار", "SCSARAB - ^"),
            ("SCSFREN", "Buc^Jérôme", "SCSFREN - Buc^Jrme"),
            ("SCSGERM", "Äneas^Rüdiger", "SCSGERM - neas^Rdiger"),
            ("SCSGREEK", "Διονυσιος", "SCSGREEK -"),
            ("H31EXAMPLE", "Yamada^Tarou=山田^太郎=やまだ^たろう", "H31EXAMPLE - Yamada^Tarou=^=^"),
            ("SCSRUSS", "Люкceмбypг", "SCSRUSS - ceyp"),
            ("2008-4", "\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B", "2008-4 - $B$d$^$@(B^$B$ $m$&(B"),
        ):
            tags = {names.PATIENT_ID: patient_id, names.PATIENT_NAME: name}
            self.assertEqual(names.patient_folder(tags, utf8=False), folder)
        tags = {names.PATIENT_ID: "SCSFREN", names.PATIENT_NAME: "Buc^Jérôme"}
        self.assertEqual(names.patient_folder(tags, utf8=True), "SCSFREN - Buc^Jérôme")

    def test_nothing_leads_out_of_the_archive(self) -> None:
        """No separator, no drive, no control character, no folder of dots alone."""
        for text in ("..", ".", "../..", "..\\..", "/etc", "C:\\x", "a\0b", "\n", " . "):
            folder = names.patient_folder({names.PATIENT_NAME: text}, utf8=True)
            self.assertNotRegex(folder, r"[/\\:\x00-\x1f]|^[. ]*$")

    def test_unknown(self) -> None:
        """Without any tag there is still a name."""
        self.assertEqual(names.patient_folder({}, utf8=False), "Unknown Patient")
        self.assertEqual(names.study_folder({}, utf8=False), "Unknown Study")
        self.assertEqual(names.series_folder({}, utf8=False), "Unknown Series")
        self.assertEqual(names.instance_file({}, None, 7), "00000007")

    def test_instance_numbers(self) -> None:
        """InstanceNumber if it is a number, otherwise the position in the series."""
        series = {names.MODALITY: "ct"}
        for text, name in (
            ("18", "CT000018"),
            (" 1 ", "CT000001"),
            ("-3", "CT000042"),
            ("1.5", "CT000042"),
            ("12345678", "CT12345678"),
            ("٣", "CT000042"),
            ("9" * 4000, "CT000042"),
        ):
            self.assertEqual(names.instance_file(series, text, 42), name)

    def test_names_that_are_taken(self) -> None:
        """A second one gets ``-2``; what is taken by itself is passed over."""
        taken: set[str] = set()
        given = [names.unique(name, taken) for name in ("a", "a", "a-2", "a", "b")]
        self.assertEqual(given, ["a", "a-2", "a-2-2", "a-3", "b"])

    def test_long_names_are_cut(self) -> None:
        """Within what file systems take, and not in the middle of a character."""
        folder = names.study_folder({names.STUDY_DESCRIPTION: "é" * 5000}, utf8=True)
        self.assertEqual(folder, "é" * 100)
