"""Identifiers of C-FIND, C-MOVE and C-GET at each level."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.attributes import Attributes
from orthanc_tw.dicom.identifier import attributes_of
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.net.modalities import Manufacturer
from orthanc_tw.net.query.levels import (
    children_query,
    find_identifier,
    get_identifier,
    move_identifier,
)

STUDY, SERIES = 0x0020000D, 0x0020000E
NAME, PATIENT_ID, ACCESSION, LEVEL = 0x00100010, 0x00100020, 0x00080050, 0x00080052


def texts(identifier: Attributes) -> dict[int, str]:
    """Tag to text."""
    return {tag: value.text for tag, value in identifier.items()}


class FindTests(SynchronousTestCase):
    """`find_identifier`."""

    def test_keys(self) -> None:
        """The keys of the level and of those above are asked for, whatever the query names."""
        query = attributes_of({NAME: "Doe*"})
        found = texts(find_identifier(ResourceType.STUDY, query, Manufacturer.GENERIC))
        self.assertEqual(
            {NAME: "Doe*", LEVEL: "STUDY", PATIENT_ID: "", ACCESSION: "", STUDY: ""}, found
        )

    def test_normalize(self) -> None:
        """What belongs to a lower level is left out, unless it is to be kept."""
        query = attributes_of({0x00080060: "CT", NAME: "x"})
        found = find_identifier(ResourceType.PATIENT, query, Manufacturer.GENERIC)
        self.assertNotIn(0x00080060, found)
        kept = find_identifier(ResourceType.PATIENT, query, Manufacturer.GENERIC, normalize=False)
        self.assertEqual("CT", kept[0x00080060].text)

    def test_manufacturers(self) -> None:
        """GE wants ``*`` for what is asked for, others want none in dates, or none at all."""
        query = attributes_of({NAME: "*", 0x00080020: "*", ACCESSION: "1*"})
        expected = {
            Manufacturer.GENERIC: ("*", "*", ""),
            Manufacturer.GE: ("*", "*", "*"),
            Manufacturer.GENERIC_NO_WILDCARD_IN_DATES: ("*", "", ""),
            Manufacturer.GENERIC_NO_UNIVERSAL_WILDCARD: ("", "", ""),
        }
        for manufacturer, (name, date, study) in expected.items():
            found = texts(find_identifier(ResourceType.STUDY, query, manufacturer))
            self.assertEqual((name, date, study), (found[NAME], found[0x00080020], found[STUDY]))
            self.assertEqual("1*", found[ACCESSION])


class RetrieveTests(SynchronousTestCase):
    """`move_identifier`, `get_identifier` and `children_query`."""

    def test_move(self) -> None:
        """The unique keys and nothing else; one that is missing is named."""
        query = {STUDY: "1.2", SERIES: "1.3", PATIENT_ID: "x", ACCESSION: "y"}
        found = texts(move_identifier(ResourceType.SERIES, query))
        self.assertEqual({LEVEL: "SERIES", STUDY: "1.2", SERIES: "1.3"}, found)
        error = self.assertRaises(OrthancError, move_identifier, ResourceType.STUDY, {})
        self.assertEqual((400, "Missing tag 0020,000d"), (error.http_status, error.details))

    def test_get(self) -> None:
        """The unique keys that there are."""
        self.assertEqual({LEVEL: "STUDY"}, texts(get_identifier(ResourceType.STUDY, {})))
        found = texts(get_identifier(ResourceType.PATIENT, {PATIENT_ID: "x", STUDY: "1"}))
        self.assertEqual({LEVEL: "PATIENT", PATIENT_ID: "x"}, found)

    def test_children(self) -> None:
        """A nested query is bound to the keys of the answer."""
        answer = {PATIENT_ID: "x", STUDY: "1.2", NAME: "n"}
        found = children_query(ResourceType.STUDY, answer)
        self.assertEqual({PATIENT_ID: "x", STUDY: "1.2"}, found)
