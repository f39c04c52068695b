"""De-identification: the profile, what stays conformant, pseudonyms, the report."""

from __future__ import annotations

from pydicom.dataset import Dataset
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.profile import EDITIONS, Action, profile
from tests.dicom.modification.support import (
    CT,
    SEED,
    all_files,
    anonymize,
    dataset,
    item,
    load,
    modification,
    report,
    run,
    save,
)

_IDENTIFYING = frozenset(
    (0x00080050, 0x00080080, 0x00080081, 0x00100020, 0x00100030, 0x00101000, 0x00101040,
     0x00200010, 0x0020000D, 0x0020000E, 0x00080018, 0x00200052)
)  # fmt: skip


def identifying_values(source: Dataset) -> set[str]:
    """Values that must be in no byte of the result; those of a few letters are in any file."""
    found: set[str] = set()
    for element in source:
        if element.VR == "PN" or element.tag in _IDENTIFYING:
            values = element.value if isinstance(element.value, list) else [element.value]
            found.update(str(value).strip() for value in values)
    return {value for value in found if len(value) > 3 and value != "Anonymized"}


class EveryFileTests(SynchronousTestCase):
    """All files of pydicom's test data."""

    def test_every_file(self) -> None:
        """No identifying value is left, pixels are the same, a second time removes no more."""
        plan = modification({}, anonymize=True).named("Anonymized1")
        same = modification(
            {"Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"], "Force": True}
        )
        count = 0
        for name, data in all_files():
            count += 1
            source = load(data)
            unchanged = load(run(same, data)[1])
            self.assertEqual(
                {e.tag: e for e in source if e.tag.element},
                {e.tag: e for e in unchanged if e.tag.element},
                name,
            )
            result = run(plan, data)[1]
            made = load(result)
            self.assertEqual(made.PatientName, "Anonymized1", name)
            self.assertEqual(made.PatientIdentityRemoved, "YES", name)
            pixels = source.get("PixelData")
            self.assertEqual(made.get("PixelData"), pixels, name)
            header = result.replace(bytes(pixels), b"") if pixels else result
            for value in identifying_values(source):
                for encoding in ("latin-1", "utf-8"):
                    encoded = value.encode(encoding, "ignore")
                    self.assertNotIn(encoded or b"?", header, f"{name}: {value}")
            again = load(run(plan, result)[1])
            self.assertEqual(list(again.keys()), list(made.keys()), name)
        self.assertGreater(count, 150)


class ProfileTests(SynchronousTestCase):
    """The tables."""

    def test_editions(self) -> None:
        """Each edition is there; the later the larger."""
        sizes = [len(profile(edition).actions) for edition in EDITIONS]
        self.assertEqual(sizes, sorted(sizes))
        self.assertEqual(sizes, [52, 268, 450, 600])
        self.assertIs(profile("2023b").actions[0x00100010], Action.CLEAR)
        self.assertIs(profile("2008").actions[0x00100030], Action.REMOVE)
        self.assertIs(profile("2021b").actions[0x0020000D], Action.UID)
        self.assertRaises(ValueError, profile, "1999")

    def test_method(self) -> None:
        """DeidentificationMethod names the profile only if nothing else was asked for."""
        source = CT.read_bytes()
        self.assertEqual(
            load(anonymize(source)).DeidentificationMethod,
            "Orthanc 1.13.0 - PS 3.15-2023b Table E.1-1 Basic Profile",
        )
        self.assertEqual(
            load(anonymize(source, Keep=["StudyDate"])).DeidentificationMethod, "Orthanc 1.13.0"
        )

    def test_nested(self) -> None:
        """The profile reaches into sequences that stay."""
        source = save(
            dataset(
                ReferencedImageSequence=[
                    item(
                        ReferencedSOPInstanceUID="1.2.9",
                        InstitutionName="Somewhere",
                        PatientID="PID-4711",
                    )
                ]
            )
        )
        found = load(anonymize(source))
        nested = found.ReferencedImageSequence[0]
        self.assertNotIn("InstitutionName", nested)
        self.assertEqual(nested.PatientID, found.PatientID)

    def test_keep_by_path(self) -> None:
        """A path that is kept saves its sequence, but nothing else that is in it."""
        steps = [item(ScheduledProcedureStepID="1", ScheduledProcedureStepDescription="Doe")]
        source = save(dataset(RequestAttributesSequence=steps))
        found = load(
            anonymize(source, Keep=["RequestAttributesSequence[*].ScheduledProcedureStepID"])
        )
        self.assertEqual(len(found.RequestAttributesSequence[0]), 1)
        self.assertEqual(found.RequestAttributesSequence[0].ScheduledProcedureStepID, "1")

    def test_keep_and_remove_ranges(self) -> None:
        """Ranges count in an anonymization too."""
        source = save(dataset(PatientAge="001Y", PatientSize="1.5", Rows=2, Columns=2))
        found = load(anonymize(source, Keep=["0010,1010-0010,1020"], Remove=["0028,00xx"]))
        self.assertEqual((found.PatientAge, found.PatientSize), ("001Y", 1.5))
        self.assertNotIn("Rows", found)


class ConformanceTests(SynchronousTestCase):
    """``Conformant``: what the IOD requires stays, and says nothing."""

    def structured_report(self) -> bytes:
        code = item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="Finding")
        text = item(ValueType="TEXT", TextValue="of Jane", ConceptNameCodeSequence=[code])
        number = item(ValueType="CONTAINER", ContentSequence=[text], ContentLabel="Jane")
        return save(
            dataset(
                SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
                ContentDate="20200101",
                OperatorsName="Doe^Op",
                ContentSequence=[number, text],
            )
        )

    def test_types(self) -> None:
        """What is of type 1 gets a dummy value, of type 2 none, of type 3 goes."""
        found = load(anonymize(self.structured_report(), Conformant=True))
        self.assertEqual(found.ContentDate, "19000101")
        self.assertNotIn("OperatorsName", found)
        first, second = found.ContentSequence
        self.assertEqual(second.TextValue, "ANONYMIZED")
        self.assertEqual(first.ContentSequence[0].TextValue, "ANONYMIZED")
        self.assertEqual(second.ConceptNameCodeSequence[0].CodeMeaning, "Finding")
        plan = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5", OperatorsName="Doe^Op")
        self.assertEqual(load(anonymize(save(plan), Conformant=True)).OperatorsName, "")

    def test_default(self) -> None:
        """Without it the result is that of Orthanc, for the classes that were compared with it."""
        found = load(anonymize(self.structured_report()))
        self.assertEqual((found.ContentDate, len(found.ContentSequence)), ("", 0))
        source = load(self.structured_report())
        source.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
        other = save(source)
        found = load(anonymize(other))
        self.assertEqual((found.ContentDate, len(found.ContentSequence)), ("19000101", 2))
        self.assertEqual(found.ContentSequence[1].TextValue, "ANONYMIZED")
        found = load(anonymize(other, Conformant=False))
        self.assertEqual((found.ContentDate, len(found.ContentSequence)), ("", 0))

    def test_request_comes_first(self) -> None:
        """What the request removes or keeps is removed or kept all the same."""
        source = self.structured_report()
        found = load(anonymize(source, Conformant=True, Remove=["ContentDate"]))
        self.assertNotIn("ContentDate", found)
        found = load(anonymize(source, Conformant=True, Keep=["ContentDate"]))
        self.assertEqual(found.ContentDate, "20200101")


class PseudonymTests(SynchronousTestCase):
    """Pseudonyms of patients."""

    def test_key(self) -> None:
        """With a key they are the same in all jobs; without, in one job only."""
        plan, source = modification({}, anonymize=True), save(dataset())
        key = b"a secret of the configuration"
        first = run(plan, source, Identity(b"job 1", key))
        second = run(plan, source, Identity(b"job 2", key))
        self.assertEqual(first[0].result.patient_id, second[0].result.patient_id)
        self.assertEqual(load(first[1]).PatientName, load(second[1]).PatientName)
        self.assertNotEqual(first[0].result.study_instance_uid, second[0].result.study_instance_uid)
        for other in (Identity(b"job 1", b"another secret"), Identity(b"job 1")):
            done, _ = run(plan, source, other)
            self.assertNotEqual(done.result.patient_id, first[0].result.patient_id)
        unkeyed = {run(plan, source, Identity(seed))[0].result for seed in (b"1", b"2")}
        self.assertEqual(len(unkeyed), 2)

    def test_secrets_are_not_shown(self) -> None:
        """No log ever has the seed or the key."""
        shown = repr(Identity(b"seed", b"key"))
        self.assertNotIn("seed=", shown)
        self.assertNotIn("key", shown.replace("pseudonym_key", ""))

    def test_shape(self) -> None:
        """UIDs are those of PS3.5 annex B.2, identifiers UUIDs."""
        identity = Identity(bytes.fromhex(SEED))
        for old in ("", "1.2.3", "x" * 1000):
            self.assertRegex(identity.uid(old), r"^2\.25\.[1-9][0-9]{0,38}$")
            self.assertRegex(identity.patient_id(old), r"^[0-9a-f-]{36}$")


class ReportTests(SynchronousTestCase):
    """Dry runs and dropped objects."""

    def test_report(self) -> None:
        """A dry run says what becomes of each element, with its path."""
        source = save(
            dataset(
                StudyDate="20200101",
                PatientAge="001Y",
                Modality="MR",
                ReferencedImageSequence=[item(ReferencedSOPInstanceUID="1.2.9")] * 2,
            )
        )
        found = report(source)
        self.assertEqual(found["Removed", "0010,1010"], 1)
        self.assertEqual(found["Cleared", "0008,0020"], 1)
        self.assertEqual(found["Kept", "0008,0060"], 1)
        self.assertEqual(found["Replaced", "0020,000d"], 1)
        self.assertEqual(found["Replaced", "0008,1140[*].0008,1155"], 2)

    def test_burned_in(self) -> None:
        """Objects that are likely to hold burned-in text are dropped if asked for."""
        plan = modification({"DropBurnedIn": True}, anonymize=True)
        for values in (
            {"BurnedInAnnotation": "YES"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "BurnedInAnnotation": "NO"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"},
            {"ConversionType": "WSD"},
        ):
            done, data = run(plan, save(dataset(**values)))
            self.assertIsNotNone(done.dropped, values)
            self.assertEqual(data, b"")
        for values in (
            {},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "BurnedInAnnotation": "NO"},
        ):
            self.assertIsNone(run(plan, save(dataset(**values)))[0].dropped)
