"""Bodies of requests: what they mean, and what is refused."""

from __future__ import annotations

import json
import pickle

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.modification.paths import parse_path, parse_range
from orthanc_tw.dicom.modification.plan import Modification
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.dicom.modification.support import modification


class RefusalTests(SynchronousTestCase):
    """Bad bodies are refused before anything is done, and the answer names what is bad."""

    def refused(self, body: object, *, anonymize: bool = False) -> OrthancError:
        return self.assertRaises(OrthancError, modification, body, anonymize=anonymize)

    def test_identifiers_need_force(self) -> None:
        """To replace, keep or remove an identifier takes ``Force``."""
        for field, value, verb in (
            ("Replace", {"PatientID": "x"}, "replaced"),
            ("Keep", ["0010,0020"], "kept"),
            ("Remove", ["00100020"], "removed"),
            ("Remove", ["0010,xxxx"], "removed"),
        ):
            error = self.refused({field: value})
            self.assertEqual(error.code, ErrorCode.BAD_REQUEST)
            self.assertEqual(
                error.details,
                f'Marking tag "PatientID" as to be {verb} requires the "Force" option to be set '
                "to true",
            )
            modification({field: value, "Force": True})

    def test_types(self) -> None:
        """A field of the wrong type is refused by its name."""
        for field in ("Force", "KeepSource", "KeepLabels", "RemovePrivateTags", "DropBurnedIn"):
            details = self.refused({field: "x"}).details
            self.assertEqual(details, f'Member "{field}" should be a Boolean value')
        self.assertIn("DicomVersion", str(self.refused({"DicomVersion": 1}, anonymize=True)))
        self.assertIn("1999", str(self.refused({"DicomVersion": "1999"}, anonymize=True).details))
        self.assertIn("LossyQuality", str(self.refused({"LossyQuality": 101}).details))
        self.assertIn("PrivateCreator", str(self.refused({"PrivateCreator": 1}).details))
        for body in ([], "x", None, 1):
            self.assertEqual(self.refused(body).code, ErrorCode.BAD_FILE_FORMAT)
            self.assertEqual(self.refused(body, anonymize=True).code, ErrorCode.BAD_FILE_FORMAT)
        for field, value in (("Replace", "x"), ("Remove", "x"), ("Keep", [1])):
            self.assertEqual(self.refused({field: value}).code, ErrorCode.BAD_REQUEST)

    def test_unknown_tags(self) -> None:
        """An unknown tag is the client's mistake."""
        for body in (
            {"Replace": {"Nope": "x"}},
            {"Remove": ["Nope"]},
            {"Keep": ["Nope"]},
            {"Replace": {"RequestAttributesSequence": [{"Nope": "x"}]}},
        ):
            error = self.refused(body)
            self.assertEqual((error.code, error.details), (ErrorCode.UNKNOWN_DICOM_TAG, "Nope"))
            self.assertEqual(error.http_status, 400)

    def test_values_of_the_wrong_vr(self) -> None:
        """A value that is none of its VR is refused by the tag."""
        for tag, name, value in (
            ("0028,0010", "Rows", "many"),
            ("0028,0010", "Rows", "70000"),
            ("0010,0030", "PatientBirthDate", "yesterday"),
            ("0008,0030", "StudyTime", "noon"),
            ("0020,000d", "StudyInstanceUID", "1.2.x"),
            ("0020,0013", "InstanceNumber", "one"),
            ("0010,0040", "PatientSex", 3),
            ("0010,0010", "PatientName", ["x"]),
            ("0010,0010", "PatientName", None),
            ("0040,0275", "RequestAttributesSequence", "x"),
            ("0040,0275", "RequestAttributesSequence", ["x"]),
            ("0010,0030", "PatientBirthDate", "data:text/plain;base64,!"),
        ):
            error = self.refused({"Replace": {name: value}, "Force": True})
            self.assertEqual(error.code, ErrorCode.BAD_PARAMETER_TYPE, name)
            self.assertIn(tag, str(error.details))

    def test_transfer_syntax(self) -> None:
        """An unknown transfer syntax is refused."""
        error = self.refused({"Transcode": "nope"})
        self.assertEqual(error.details, "Unknown transfer syntax: nope")


class MeaningTests(SynchronousTestCase):
    """What comes out of the fields."""

    def test_json_and_pickle(self) -> None:
        """A modification survives the database and the way to a worker."""
        body = {
            "Replace": {"PatientName": "X", "OtherPatientIDsSequence[0].PatientID": "y"},
            "Remove": ["StudyDate", "50xx,xxxx", "0010,2000-0010,2fff"],
            "Keep": ["RequestAttributesSequence[*].ScheduledProcedureStepID", "60xx,3000"],
            "KeepSource": False,
            "Transcode": "1.2.840.10008.1.2",
            "LossyQuality": 80,
            "PrivateCreator": "Mine",
            "DropBurnedIn": True,
        }
        for anonymize in (False, True):
            made = modification(body, anonymize=anonymize)
            saved = json.loads(json.dumps(made.to_json()))
            self.assertEqual(Modification.from_json(saved), made)
            self.assertEqual(pickle.loads(pickle.dumps(made)), made)

    def test_level_of_an_instance(self) -> None:
        """An instance that gets another parent gets new identifiers from there on."""
        for field, level in (
            ("PatientID", ResourceType.PATIENT),
            ("StudyInstanceUID", ResourceType.STUDY),
            ("SeriesInstanceUID", ResourceType.SERIES),
            ("SOPInstanceUID", ResourceType.INSTANCE),
        ):
            made = modification({"Replace": {field: "1.2"}, "Force": True})
            self.assertIs(made.level, level)
        made = modification(
            {"Replace": {"PatientID": "1"}, "Force": True}, level=ResourceType.SERIES
        )
        self.assertIs(made.level, ResourceType.SERIES)

    def test_name_of_the_server(self) -> None:
        """The server names a patient only where the request says nothing of the name."""
        self.assertTrue(modification({}, anonymize=True).wants_patient_name)
        self.assertFalse(modification({}).wants_patient_name)
        for body in ({"Replace": {"PatientName": "X"}}, {"Keep": ["PatientName"]}):
            self.assertFalse(modification(body, anonymize=True).wants_patient_name)
        named = modification({}, anonymize=True).named("Anonymized7")
        self.assertEqual(named.replacement(0x00100010), "Anonymized7")
        self.assertFalse(named.wants_patient_name)


class PathTests(SynchronousTestCase):
    """Paths and ranges."""

    def test_paths(self) -> None:
        """A path is written as it is read, in numbers."""
        for text, written in (
            ("PatientName", "0010,0010"),
            ("OtherPatientIDsSequence[*].PatientID", "0010,1002[*].0010,0020"),
            ("00400275[2].0040-0008[0].CodeValue", "0040,0275[2].0040,0008[0].0008,0100"),
        ):
            path = parse_path(text)
            self.assertEqual(str(path), written)
            self.assertEqual(parse_path(written), path)

    def test_bad_paths(self) -> None:
        """A sequence without index, an unknown name, and absurd depths are refused."""
        for text in (
            "OtherPatientIDsSequence.PatientID",
            "OtherPatientIDsSequence[x].PatientID",
            "OtherPatientIDsSequence[-1].PatientID",
            "Nope[0].PatientID",
            "",
            "0010,1002[0]." * 100 + "PatientID",
        ):
            self.assertRaises(OrthancError, parse_path, text)

    def test_ranges(self) -> None:
        """A range has its ends, and digits stand for what they are."""
        found = parse_range("0010,2000-0010,2FFF")
        assert found is not None
        self.assertEqual(
            [tag in found for tag in (0x00101FFF, 0x00102000, 0x00102FFF, 0x00103000)],
            [False, True, True, False],
        )
        curves = parse_range("50xx,XXXX")
        assert curves is not None
        self.assertEqual(
            [tag in curves for tag in (0x50000010, 0x501E3000, 0x60000010)], [True, True, False]
        )
        for text in ("0010,2000-0010,2fff", "50xx,xxxx", "60xx,3000"):
            self.assertEqual(str(parse_range(text)), text)
        self.assertIsNone(parse_range("0010,0010"))
        self.assertIsNone(parse_range("PatientName"))
        self.assertRaises(OrthancError, parse_range, "0010,2000-0010,1000")
