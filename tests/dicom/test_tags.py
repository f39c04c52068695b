from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.tags import (
    DictionaryEntry,
    UserDictionary,
    format_tag,
    keyword,
    parse_tag,
    vr_of,
)
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.dicom.corpus import exchanges, topics

TAG = re.compile(r"[0-9a-f]{4},[0-9a-f]{4}")
DICTIONARY = UserDictionary(
    (
        DictionaryEntry(0x00149990, "DA", "MyExpiryDate"),
        DictionaryEntry(0x43211012, "LO", "RadioButton3", "RadioLogic"),
    )
)


def names(answer: Any) -> Iterator[tuple[str, str]]:
    """Tags and names in a JSON value of the full format."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            if TAG.fullmatch(key) and isinstance(value, dict) and "Name" in value:
                yield key, value["Name"]
            yield from names(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from names(value)


class Tags(SynchronousTestCase):
    def test_forms(self) -> None:
        """A tag may be a name or a number in three forms, of either case."""
        for text in ("PatientName", "0010,0010", "0010-0010", "00100010"):
            self.assertEqual(parse_tag(text), 0x00100010)
        self.assertEqual(parse_tag("0020,000D"), parse_tag("StudyInstanceUID"))
        self.assertEqual(format_tag(0x0020000D), "0020,000d")

    def test_unknown(self) -> None:
        """What is no tag is named in the error, as recorded."""
        for text in ("Nope", "0043-*", "", "patientname", "0010,001", "00100010 "):
            error = self.assertRaises(OrthancError, parse_tag, text)
            self.assertEqual(error.code, ErrorCode.UNKNOWN_DICOM_TAG)
            self.assertEqual(error.details, text)
            self.assertEqual(error.http_status, 500)

    def test_names_as_recorded(self) -> None:
        """Every public element, group length and private creator has its recorded name."""
        found = {
            pair
            for topic in topics()
            if not topic.startswith("55-")
            for exchange in exchanges(topic)
            for pair in names(exchange.get("response", {}).get("json"))
        }
        count = 0
        for text, name in found:
            tag = parse_tag(text)
            if tag >> 16 & 1 and tag & 0xFFFF > 0xFF:
                continue
            self.assertEqual(keyword(tag), name, text)
            if name not in ("GenericGroupLength", "PrivateCreator"):
                self.assertEqual(parse_tag(name), tag)
            count += 1
        self.assertGreater(count, 400)

    def test_user_dictionary(self) -> None:
        """Elements of option Dictionary have a name and a VR."""
        self.assertEqual(parse_tag("RadioButton3", DICTIONARY), 0x43211012)
        self.assertEqual(keyword(0x00149990, DICTIONARY), "MyExpiryDate")
        self.assertEqual(vr_of(0x43211012, DICTIONARY), "LO")
        self.assertEqual(vr_of(0x43211012), "UN")
        self.assertRaises(OrthancError, parse_tag, "RadioButton3")

    def test_vrs(self) -> None:
        """VRs of the dictionary, of repeating groups, group lengths and private creators."""
        for tag, vr in (
            (0x00100010, "PN"),
            (0x60020010, "US"),
            (0x00080000, "UL"),
            (0x00090010, "LO"),
            (0x00091001, "UN"),
            (0x00280106, "US"),
        ):
            self.assertEqual(vr_of(tag), vr)


class MainTags(SynchronousTestCase):
    def test_defaults_as_recorded(self) -> None:
        """The signatures are those of /system."""
        recorded = exchanges("01-system")[0]["response"]["json"]["MainDicomTags"]
        main_tags = MainDicomTags.from_configuration()
        for level in ResourceType:
            self.assertEqual(main_tags.signature(level), recorded[level.label])

    def test_extra_as_recorded(self) -> None:
        """ExtraMainDicomTags are added in order, those that are there already are not."""
        recorded = exchanges("02-system-configured")[0]["response"]["json"]["MainDicomTags"]
        main_tags = MainDicomTags.from_configuration(
            {
                "Instance": ["Rows", "0028,0011"],
                "Series": ["StationName"],
                "Study": ["ReferringPhysicianName", "OperatorsName"],
                "Patient": ["PatientComments"],
            }
        )
        for level in ResourceType:
            self.assertEqual(main_tags.signature(level), recorded[level.label])
        self.assertTrue(main_tags.contains(ResourceType.INSTANCE, 0x00280010))
        self.assertFalse(main_tags.contains(ResourceType.SERIES, 0x00280010))

    def test_sequences_are_apart(self) -> None:
        """Sequences have places of their own and are part of the signature."""
        main_tags = MainDicomTags.from_configuration({"Study": ["ProcedureCodeSequence"]})
        self.assertIn("0008,1032", main_tags.signature(ResourceType.STUDY))
        self.assertEqual(
            main_tags.sequence_places[0x00081032], ((ResourceType.STUDY, "0008,1032"),)
        )
        self.assertNotIn(0x00081032, main_tags.places)
        self.assertEqual({name for _, name in main_tags.places[0x00080201]}, {"0008,0201"})
        self.assertEqual([level for level, _ in main_tags.places[0x00080201]], [2, 3])

    def test_bad_configuration(self) -> None:
        """Unknown tags and levels are refused."""
        build = MainDicomTags.from_configuration
        error = self.assertRaises(OrthancError, build, {"Study": ["Nope"]})
        self.assertEqual(error.details, "Nope")
        self.assertRaises(ValueError, build, {"Nope": ["Rows"]})
