"""Anonymization of what names others: identities in free text, references to instances."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.modification.references import INSTANCE
from tests.dicom.modification.support import (
    anonymize,
    dataset,
    item,
    load,
    modification,
    modify,
    run,
    save,
)


class LeakTests(SynchronousTestCase):
    """Identifying values in places that no table knows."""

    def test_text_elsewhere(self) -> None:
        """Text with the name or the number of the patient in it is emptied, at any depth."""
        source = save(
            dataset(
                ImageType="DERIVED",
                ManufacturerModelName="PID-4711",
                SequenceName="Doe Jane 1",
                ReferencedImageSequence=[item(CodeMeaning="of Doe^Jane")],
            )
        )
        result = anonymize(source)
        found = load(result)
        self.assertEqual(found.ManufacturerModelName, "")
        self.assertEqual(found.SequenceName, "")
        self.assertEqual(found.ReferencedImageSequence[0].CodeMeaning, "")
        self.assertEqual(found.ImageType, "DERIVED")
        kept = load(anonymize(source, Keep=["ManufacturerModelName"]))
        self.assertEqual(kept.ManufacturerModelName, "PID-4711")

    def test_forms_of_names(self) -> None:
        """Names count however they are written, and those in items too."""
        for text in ("JANE DOE", "doe, jane", "of Doe Jane", "Jane^Doe", "1.2.3.4.5", "Roe Ann"):
            source = save(
                dataset(
                    RequestAttributesSequence=[item(RequestingPhysician="Roe^Ann")],
                    SequenceName=text,
                )
            )
            self.assertEqual(load(anonymize(source)).SequenceName, "", text)
        source = save(dataset(OtherPatientIDsSequence=[item(PatientID="other-1")]))
        kept = load(anonymize(source, Keep=["OtherPatientIDsSequence[*].PatientID"]))
        self.assertEqual(kept.OtherPatientIDsSequence[0].PatientID, "other-1")
        again = anonymize(anonymize(save(dataset(SequenceName="Anonymous"))))
        self.assertEqual(load(again).SequenceName, "Anonymous")

    def test_other_character_sets(self) -> None:
        """A name is found in items that have another character set than the name."""
        source = save(
            dataset(
                SpecificCharacterSet="ISO_IR 144",
                PatientName="Иванов^Иван",
                ReferencedImageSequence=[
                    item(SpecificCharacterSet="ISO_IR 192", CodeMeaning="это Иванов Иван"),
                    item(CodeMeaning="Иван Иванов"),
                    item(CodeMeaning="Петров"),
                ],
            )
        )
        found = load(anonymize(source)).ReferencedImageSequence
        self.assertEqual([one.CodeMeaning for one in found], ["", "", "Петров"])

    def test_private_and_binary(self) -> None:
        """What KeepPrivateTags leaves is scrubbed too, also in values without a VR."""
        made = dataset()
        block = made.private_block(0x0011, "MINE", create=True)
        block.add_new(1, "LO", "of Doe Jane")
        block.add_new(2, "OB", b"\0\1PID-4711\0")
        block.add_new(3, "UN", b"Doe^Jane")
        block.add_new(4, "LO", "other")
        result = anonymize(save(made), KeepPrivateTags=True)
        found = load(result).private_block(0x0011, "MINE")
        self.assertEqual([bool(found[number].value) for number in (1, 2, 3, 4)],
                         [False, False, False, True])  # fmt: skip
        for value in (b"PID-4711", b"Doe", b"Jane"):
            self.assertNotIn(value, result)


class ReferenceTests(SynchronousTestCase):
    """Objects that refer to each other still do."""

    def test_over_the_job(self) -> None:
        """The same old UID is the same new one in every object, sequence and role."""
        image = dataset(FrameOfReferenceUID="1.2.7")
        frame = item(
            FrameOfReferenceUID="1.2.7",
            RTReferencedStudySequence=[
                item(
                    ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
                    ReferencedSOPInstanceUID="1.2.3",
                    RTReferencedSeriesSequence=[
                        item(
                            SeriesInstanceUID="1.2.3.4",
                            ContourImageSequence=[
                                item(
                                    ReferencedSOPClassUID=image.SOPClassUID,
                                    ReferencedSOPInstanceUID="1.2.3.4.5",
                                )
                            ],
                        )
                    ],
                )
            ],
        )
        evidence = item(
            StudyInstanceUID="1.2.3",
            ReferencedSeriesSequence=[
                item(
                    SeriesInstanceUID="1.2.3.4",
                    ReferencedSOPSequence=[item(ReferencedSOPInstanceUID="1.2.3.4.5")],
                )
            ],
        )
        other = dataset(
            SOPInstanceUID="1.2.3.8.1",
            SeriesInstanceUID="1.2.3.8",
            ReferencedFrameOfReferenceSequence=[frame],
            CurrentRequestedProcedureEvidenceSequence=[evidence],
        )
        first, second = load(anonymize(save(image))), load(anonymize(save(other)))
        self.assertEqual(first.StudyInstanceUID, second.StudyInstanceUID)
        found = second.ReferencedFrameOfReferenceSequence[0]
        self.assertEqual(found.FrameOfReferenceUID, first.FrameOfReferenceUID)
        study = found.RTReferencedStudySequence[0]
        self.assertEqual(study.ReferencedSOPInstanceUID, first.StudyInstanceUID)
        self.assertEqual(study.ReferencedSOPClassUID, "1.2.840.10008.3.1.2.3.1")
        series = study.RTReferencedSeriesSequence[0]
        self.assertEqual(series.SeriesInstanceUID, first.SeriesInstanceUID)
        contour = series.ContourImageSequence[0]
        self.assertEqual(contour.ReferencedSOPInstanceUID, first.SOPInstanceUID)
        named = second.CurrentRequestedProcedureEvidenceSequence[0]
        self.assertEqual(named.StudyInstanceUID, first.StudyInstanceUID)
        instance = named.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        self.assertEqual(instance.ReferencedSOPInstanceUID, first.SOPInstanceUID)

    def test_missing_identifiers(self) -> None:
        """Identifiers that the source lacks become different ones."""
        source = dataset()
        del source.StudyInstanceUID, source.SeriesInstanceUID
        for frame in (None, "1.2.7"):
            if frame is not None:
                source.FrameOfReferenceUID = frame
            found = load(anonymize(save(source)))
            uids = {found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID}
            self.assertEqual(len({*uids, found.get("FrameOfReferenceUID", "")}), 4)

    def test_kept_instances(self) -> None:
        """Where instances keep their UIDs, references to instances do too."""
        source = save(dataset(ReferencedImageSequence=[item(ReferencedSOPInstanceUID="1.2.9")]))
        found = load(anonymize(source, Keep=["SOPInstanceUID"], Force=True))
        self.assertEqual(found.ReferencedImageSequence[0].ReferencedSOPInstanceUID, "1.2.9")
        found = load(anonymize(source))
        self.assertNotEqual(found.ReferencedImageSequence[0].ReferencedSOPInstanceUID, "1.2.9")

    def test_modification(self) -> None:
        """A modification lets references follow to members of the job, and to nothing else."""
        source = save(
            dataset(
                ReferencedImageSequence=[
                    item(ReferencedSOPInstanceUID="1.2.9"),
                    item(ReferencedSOPInstanceUID="1.2.10"),
                ]
            )
        )
        plan = modification({})
        found = load(run(plan, source, members={"1.2.9": INSTANCE})[1]).ReferencedImageSequence
        self.assertTrue(found[0].ReferencedSOPInstanceUID.startswith("2.25."))
        self.assertEqual(found[1].ReferencedSOPInstanceUID, "1.2.10")
        alone = load(modify(source)).ReferencedImageSequence
        self.assertEqual([i.ReferencedSOPInstanceUID for i in alone], ["1.2.9", "1.2.10"])
