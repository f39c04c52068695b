"""Requested tags and main DICOM tags: against the recorded answers, and case by case."""

from __future__ import annotations

import re
from pathlib import Path

import pydicom
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.main_tag_json import format_main_tags
from orthanc_tw.dicom.requested_tags import (
    Aggregate,
    ComputedTag,
    RequestedTags,
    parse_requested_tags,
)
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, tags_json
from orthanc_tw.dicom.tags import format_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType
from tests.dicom.corpus import Exchange, exchanges, matches, public_ids, with_files

MAIN_TAGS = {
    ResourceType.from_label(level): [int(tag.replace(",", ""), 16) for tag in tags.split(";")]
    for level, tags in next(
        e["response"]["json"]["MainDicomTags"]
        for e in exchanges("01-system")
        if e["path"] == "/system"
    ).items()
}
ROUTE = re.compile(r"/(patients|studies|series|instances)/([0-9a-f-]{44})\?requested-tags=(.*)")
SHOW = re.compile(r"/(patients|studies|series|instances)/([0-9a-f-]{44})\?(full|short|simplify)")


def computed(entry: ComputedTag, instances: dict[str, Path]) -> str:
    """What a server computes from its instances."""
    if entry.aggregate is Aggregate.COUNT:
        return str(len({public_ids(path)[entry.child_level] for path in instances.values()}))
    if entry.aggregate is Aggregate.CONSTANT:
        assert entry.value is not None
        return entry.value
    values = []
    for path in instances.values():
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        assert entry.source_tag is not None
        values.append(str(dataset[entry.source_tag].value))
    return entry.join(values)


class RecordedTests(SynchronousTestCase):
    """The answers made with these functions are those that were recorded."""

    def requested(self, exchange: Exchange, present: dict[str, Path]) -> bool:
        """Compare one answer to a request for tags of a resource."""
        match = ROUTE.fullmatch(exchange["path"])
        if match is None:
            return False
        answer = exchange["response"]
        level = ResourceType.from_label(match[1])
        instances = {k: p for k, p in present.items() if public_ids(p)[level] == match[2]}
        if answer["status"] != 200:
            with self.assertRaises(OrthancError) as caught:
                parse_requested_tags(match[3]).sources(level, MAIN_TAGS)
            self.assertEqual(caught.exception.http_status, answer["status"])
            self.assertEqual(caught.exception.details, answer["json"].get("Details"))
            self.assertEqual(caught.exception.code, answer["json"]["OrthancStatus"])
            return True
        # Of the instance that was stored first
        with open(next(iter(instances.values())), "rb") as file:
            tags = tags_json(file, TagFormat.SHORT, TagOptions())
        sources = parse_requested_tags(match[3]).sources(level, MAIN_TAGS)
        values: dict[str, JsonValue] = {}
        for entry in sources.computed:
            values[format_tag(entry.tag)] = computed(entry, instances)
        for tag in map(format_tag, sources.main):
            if tag in tags:
                values[tag] = tags[tag]
        for tag in map(format_tag, sources.from_file):
            values[tag] = tags.get(tag)
        expected = answer["json"]["RequestedTags"]
        self.assertEqual(format_main_tags(values), expected, exchange["name"])
        return True

    def test_requested(self) -> None:
        """Computed tags, main tags, tags of files, absent tags and errors are as recorded."""
        compared = sum(self.requested(e, present) for e, present in with_files("10-browsing"))
        self.assertEqual(compared, 60)

    def test_find(self) -> None:
        """A tag that is none is another error in the body of a search."""
        error = next(
            e["response"]["json"]
            for e in exchanges("16-find")
            if isinstance(e.get("body"), dict) and e["body"].get("RequestedTags") == ["Nope"]
        )
        with self.assertRaises(OrthancError) as caught:
            RequestedTags.of(["Nope"])
        self.assertEqual(caught.exception.code, error["OrthancStatus"])
        self.assertEqual(caught.exception.details, error["Details"])

    def test_main_tags(self) -> None:
        """MainDicomTags of resources have the recorded formats."""
        compared = 0
        for exchange in exchanges("10-browsing"):
            match = SHOW.fullmatch(exchange["path"])
            if match is None or match[3] == "short":
                continue
            short = next(
                e["response"]["json"]["MainDicomTags"]
                for e in exchanges("10-browsing")
                if e["path"] == exchange["path"].replace(match[3], "short")
            )
            expected = {"json": exchange["response"]["json"]["MainDicomTags"]}
            self.assertTrue(matches(expected, format_main_tags(short, TagFormat(match[3]))))
            self.assertEqual(format_main_tags(short, TagFormat.SHORT), short)
            compared += 1
        self.assertGreaterEqual(compared, 40)


class RequestedTagsTests(SynchronousTestCase):
    """Parsing and sorting of requested tags."""

    def test_parse(self) -> None:
        """Names and numbers in any notation, each once, empty ones ignored."""
        tags = parse_requested_tags("PatientName;0010-0020;;00100010;0008,0060")
        self.assertEqual(tags.tags, (0x00100010, 0x00100020, 0x00080060))
        self.assertFalse(parse_requested_tags(""))

    def test_nearest_level(self) -> None:
        """A main tag is taken from the resource before its ancestors; never from below."""
        requested = RequestedTags.of(["ImageOrientationPatient", "PatientID", "SOPInstanceUID"])
        sources = requested.sources(ResourceType.INSTANCE, MAIN_TAGS)
        self.assertEqual(
            sources.main,
            {
                0x00200037: ResourceType.INSTANCE,
                0x00100020: ResourceType.PATIENT,
                0x00080018: ResourceType.INSTANCE,
            },
        )
        sources = requested.sources(ResourceType.SERIES, MAIN_TAGS)
        self.assertEqual(sources.main[0x00200037], ResourceType.SERIES)
        self.assertEqual(sources.from_file, (0x00080018,))

    def test_constant(self) -> None:
        """An instance that is stored is online."""
        requested = RequestedTags.of(["InstanceAvailability"])
        (entry,) = requested.sources(ResourceType.INSTANCE, MAIN_TAGS).computed
        self.assertEqual(computed(entry, {}), "ONLINE")
        self.assertEqual(requested.sources(ResourceType.STUDY, MAIN_TAGS).computed, ())

    def test_distinct(self) -> None:
        """Values of the children are joined once each, sorted, without the empty ones."""
        (entry,) = (
            RequestedTags.of(["ModalitiesInStudy"]).sources(ResourceType.STUDY, MAIN_TAGS).computed
        )
        self.assertEqual(entry.join(["MR", "CT", "", "MR"]), "CT\\MR")

    def test_unknown(self) -> None:
        """The error of the query argument names the tag."""
        with self.assertRaises(OrthancError) as caught:
            parse_requested_tags("PatientID;Nope")
        self.assertEqual(caught.exception.code, ErrorCode.BAD_REQUEST)
        self.assertIn("Nope", caught.exception.details or "")


class FormatTests(SynchronousTestCase):
    """Main DICOM tags as JSON."""

    def test_values(self) -> None:
        """Text, the unknown as null, and sequences in the format of the answer."""
        item = {"0010,0020": {"Name": "PatientID", "Type": "String", "Value": "1"}}
        entry = {"Name": "OtherPatientIDsSequence", "Type": "Sequence", "Value": [item]}
        tags: dict[str, JsonValue] = {"0010,1030": None, "0010,1002": entry, "0010,0020": "P"}
        self.assertEqual(
            format_main_tags(tags),
            {
                "PatientID": "P",
                "OtherPatientIDsSequence": [{"PatientID": "1"}],
                "PatientWeight": None,
            },
        )
        self.assertEqual(
            format_main_tags(tags, TagFormat.SHORT),
            {"0010,0020": "P", "0010,1002": [{"0010,0020": "1"}], "0010,1030": None},
        )
        shown = format_main_tags(tags, TagFormat.FULL)
        self.assertEqual(shown["0010,1002"], entry)
        self.assertEqual(
            shown["0010,1030"], {"Name": "PatientWeight", "Type": "Null", "Value": None}
        )
        self.assertEqual(
            format_main_tags({"0010,1002": [item]}),
            {"OtherPatientIDsSequence": [{"PatientID": "1"}]},
        )
