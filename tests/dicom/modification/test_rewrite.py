"""Modified files: values, character sets, private elements, encodings."""

from __future__ import annotations

import io
import struct

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.modification.rewrite import modify_instance
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.dicom import build
from tests.dicom.modification.support import (
    CT,
    DATA,
    IDENTITY,
    SETTINGS,
    anonymize,
    dataset,
    item,
    load,
    modification,
    modify,
    run,
    save,
)


class ValueTests(SynchronousTestCase):
    """New values of elements."""

    def test_kinds_of_values(self) -> None:
        """Text, numbers, tags, bytes and sequences are encoded by the VR of the element."""
        changed = load(
            modify(
                save(dataset()),
                Replace={
                    "PatientName": "X^Y",
                    "Rows": "12",
                    "FrameIncrementPointer": "0018,1063",
                    "RescaleSlope": "1.5",
                    "PixelSpacing": "1\\2",
                    "TubeAngle": "0.5",
                    "PatientBirthDate": "data:text/plain;base64,MjAwMDAxMDE=",
                    "RequestAttributesSequence": [{"ScheduledProcedureStepID": "1"}, {}],
                },
            )
        )
        self.assertEqual(changed.PatientName, "X^Y")
        self.assertEqual(changed.Rows, 12)
        self.assertEqual(changed.FrameIncrementPointer, 0x00181063)
        self.assertEqual(changed.RescaleSlope, 1.5)
        self.assertEqual(changed.PixelSpacing, [1, 2])
        self.assertEqual(changed.TubeAngle, 0.5)
        self.assertEqual(changed.PatientBirthDate, "20000101")
        steps = changed.RequestAttributesSequence
        self.assertEqual([len(step) for step in steps], [1, 0])
        self.assertEqual(steps[0].ScheduledProcedureStepID, "1")

    def test_order_and_absence(self) -> None:
        """New elements stand in the order of their tags; ``Replace`` comes before ``Remove``."""
        changed = load(
            modify(
                save(dataset(InstanceNumber="1", StudyDate="20200101")),
                Replace={"InstanceNumber": "77", "AccessionNumber": "A"},
                Remove=["InstanceNumber", "StudyDate", "Rows"],
            )
        )
        self.assertEqual(list(changed.keys()), sorted(changed.keys()))
        self.assertEqual(changed.InstanceNumber, 77)
        self.assertEqual(changed.AccessionNumber, "A")
        self.assertNotIn("StudyDate", changed)

    def test_paths(self) -> None:
        """Elements of items are replaced, removed and added by path."""
        source = save(dataset(OtherPatientIDsSequence=[item(PatientID="a"), item(PatientID="b")]))
        changed = load(
            modify(
                source,
                Replace={
                    "OtherPatientIDsSequence[1].PatientID": "z",
                    "OtherPatientIDsSequence[*].TypeOfPatientID": "TEXT",
                    "OtherPatientIDsSequence[2].PatientID": "new",
                    "RequestAttributesSequence[0].ScheduledProcedureStepID": "1",
                },
                Remove=["OtherPatientIDsSequence[0].PatientID"],
            )
        )
        first, second, third = changed.OtherPatientIDsSequence
        self.assertNotIn("PatientID", first)
        self.assertEqual((second.PatientID, third.PatientID), ("z", "new"))
        self.assertEqual([i.TypeOfPatientID for i in (first, second, third)], ["TEXT"] * 3)
        self.assertEqual(changed.RequestAttributesSequence[0].ScheduledProcedureStepID, "1")

    def test_absurd_index(self) -> None:
        """A path does not fill the memory with items."""
        plan = modification({"Replace": {"OtherPatientIDsSequence[999999].PatientID": "x"}})
        error = self.assertRaises(OrthancError, run, plan, save(dataset()))
        self.assertEqual(error.code, ErrorCode.PARAMETER_OUT_OF_RANGE)

    def test_ranges(self) -> None:
        """A range takes all elements that are in it."""
        changed = load(
            modify(
                save(dataset(PatientBirthDate="20000101", PatientAge="001Y", PatientSex="F")),
                Remove=["0010,0030-0010,0fff", "0010,10xx"],
            )
        )
        self.assertEqual([e.tag for e in changed if e.tag.group == 0x10],
                         [0x00100010, 0x00100020])  # fmt: skip

    def test_identifiers_by_level(self) -> None:
        """Identifiers of the level and below are new, those above stay."""
        source = save(dataset())
        for level, new in (
            (ResourceType.PATIENT, (True, True, True)),
            (ResourceType.STUDY, (True, True, True)),
            (ResourceType.SERIES, (False, True, True)),
            (ResourceType.INSTANCE, (False, False, True)),
        ):
            done, data = run(modification({}, level=level), source)
            changed = load(data)
            self.assertEqual(
                tuple(
                    uid.startswith("2.25.")
                    for uid in (
                        changed.StudyInstanceUID,
                        changed.SeriesInstanceUID,
                        changed.SOPInstanceUID,
                    )
                ),
                new,
            )
            self.assertEqual(done.result.sop_instance_uid, changed.SOPInstanceUID)
            self.assertEqual(changed.file_meta.MediaStorageSOPInstanceUID, changed.SOPInstanceUID)
            self.assertEqual(done.source.sop_instance_uid, "1.2.3.4.5")
            self.assertEqual(done.result.patient_id, "PID-4711")

    def test_repeatable(self) -> None:
        """The same job gives the same bytes again, another one other identifiers."""
        plan = modification({}, anonymize=True)
        first = run(plan, CT.read_bytes())
        self.assertEqual(run(plan, CT.read_bytes()), first)
        other = type(IDENTITY)(b"another seed of this job")
        self.assertNotEqual(run(plan, CT.read_bytes(), other)[0].result, first[0].result)


class CharacterSetTests(SynchronousTestCase):
    """No character is lost."""

    def test_within_the_character_set(self) -> None:
        """Text that fits is encoded by the character set that is there."""
        changed = load(
            modify(save(dataset(SpecificCharacterSet="ISO_IR 100")), Replace={"PatientName": "Hé"})
        )
        self.assertEqual(changed.SpecificCharacterSet, "ISO_IR 100")
        self.assertEqual(changed.PatientName, "Hé")

    def test_beyond_the_character_set(self) -> None:
        """Text that does not fit makes the whole data set UTF-8, items and all."""
        source = save(
            dataset(
                SpecificCharacterSet="ISO_IR 100",
                PatientComments="Müller",
                RequestAttributesSequence=[
                    item(SpecificCharacterSet="ISO_IR 144", ScheduledProcedureStepID="Иван"),
                    item(ScheduledProcedureStepID="Grüße"),
                ],
            )
        )
        changed = load(modify(source, Replace={"PatientName": "山田^太郎"}))
        self.assertEqual(changed.SpecificCharacterSet, "ISO_IR 192")
        self.assertEqual(changed.PatientName, "山田^太郎")
        self.assertEqual(changed.PatientComments, "Müller")
        first, second = changed.RequestAttributesSequence
        self.assertNotIn("SpecificCharacterSet", first)
        self.assertEqual(first.ScheduledProcedureStepID, "Иван")
        self.assertEqual(second.ScheduledProcedureStepID, "Grüße")

    def test_asked_for(self) -> None:
        """A new SpecificCharacterSet re-encodes the text that is there."""
        source = save(dataset(SpecificCharacterSet="ISO_IR 100", PatientComments="Müller"))
        changed = load(modify(source, Replace={"SpecificCharacterSet": "ISO_IR 192"}))
        self.assertEqual(changed.PatientComments, "Müller")
        for body in (
            {"SpecificCharacterSet": "ISO_IR 144"},
            {"SpecificCharacterSet": "nonsense"},
        ):
            plan = modification({"Replace": body})
            error = self.assertRaises(OrthancError, run, plan, source)
            self.assertIn("SpecificCharacterSet", str(error.details))


class PrivateElementTests(SynchronousTestCase):
    """Private elements and their blocks."""

    def source(self) -> bytes:
        made = dataset()
        made.private_block(0x0011, "OTHER", create=True).add_new(1, "LO", "other")
        made.private_block(0x0011, "MINE", create=True).add_new(1, "LO", "mine")
        return save(made)

    def test_block_of_the_creator(self) -> None:
        """``PrivateCreator`` finds the block, wherever it is in this file."""
        body = {"Replace": {"0011,1001": "new"}, "PrivateCreator": "MINE"}
        changed = load(modify(self.source(), **body))
        self.assertEqual(changed.private_block(0x0011, "MINE")[1].value, "new")
        self.assertEqual(changed.private_block(0x0011, "OTHER")[1].value, "other")

    def test_new_block(self) -> None:
        """A new private element reserves its block."""
        body = {"Replace": {"4321,1012": "x"}, "PrivateCreator": "MINE"}
        changed = load(modify(self.source(), **body))
        self.assertEqual(changed[0x43210010].value, "MINE")
        self.assertEqual(bytes(changed[0x43211012].value), b"x\0")

    def test_removal(self) -> None:
        """``RemovePrivateTags`` takes all, in items too; one that is kept keeps its block."""
        made = load(self.source())
        nested = item(ScheduledProcedureStepID="1")
        nested.private_block(0x0011, "MINE", create=True).add_new(1, "LO", "nested")
        made.RequestAttributesSequence = [nested]
        changed = load(modify(save(made), RemovePrivateTags=True))
        self.assertFalse([e for e in changed.iterall() if e.tag.is_private])
        kept = load(anonymize(self.source(), Keep=["0011,1101"]))
        self.assertEqual([e.tag for e in kept if e.tag.is_private], [0x00110011, 0x00111101])

    def test_byte_for_byte(self) -> None:
        """Unknown VRs and private sequences are carried over as they are."""
        private = build.element(0x00110010, "LO", b"MINE") + build.element(
            0x00111001,
            "UN",
            build.item(build.element(0x00080100, "SH", b"code", explicit=False), build.UNDEFINED)
            + build.ITEM_END
            + build.SEQUENCE_END,
            length=build.UNDEFINED,
        )
        unknown = build.element(0x00111002, "ZZ", b"") + struct.pack("<I", 4) + b"\1\2\3\4"
        source = build.meta() + build.dataset()
        cut = source.index(build.element(0x0020000D, "UI", b"1.2.3"))
        source = source[:cut] + private + unknown + source[cut:]
        self.assertIn(private + unknown, modify(source, Replace={"PatientName": "X"}))


class EncodingTests(SynchronousTestCase):
    """Transfer syntaxes."""

    def test_native_syntaxes(self) -> None:
        """A file keeps its syntax, or gets the native one that is asked for."""
        made = dataset(
            Rows=2,
            Columns=2,
            BitsAllocated=16,
            PixelRepresentation=0,
            SmallestImagePixelValue=258,
            RequestAttributesSequence=[item(ScheduledProcedureStepID="1", Rows=3)],
        )
        made.add_new(0x7FE00010, "OW", b"\1\2\3\4\5\6\7\x08")
        syntaxes = (
            ImplicitVRLittleEndian,
            ExplicitVRLittleEndian,
            DeflatedExplicitVRLittleEndian,
        )
        for syntax in syntaxes:
            source = save(made, syntax)
            for wanted in (None, *syntaxes, ExplicitVRBigEndian):
                body = {} if wanted is None else {"Transcode": str(wanted)}
                changed = load(modify(source, Replace={"PatientName": "X"}, **body))
                self.assertEqual(changed.file_meta.TransferSyntaxUID, wanted or syntax)
                self.assertEqual(changed.Rows, 2)
                self.assertEqual(changed.SmallestImagePixelValue, 258)
                self.assertEqual(changed.RequestAttributesSequence[0].Rows, 3)
                pixels = b"\1\2\3\4\5\6\7\x08"
                if wanted == ExplicitVRBigEndian:
                    pixels = b"\2\1\4\3\6\5\x08\7"
                self.assertEqual(changed.PixelData, pixels)

    def test_big_endian(self) -> None:
        """Big endian files stay what they are, and can become little endian."""
        source = (DATA / "test_files" / "ExplVR_BigEnd.dcm").read_bytes()
        before = load(source)
        changed = load(modify(source, Replace={"Rows": "258"}))
        self.assertEqual((changed.Rows, changed.PixelData), (258, before.PixelData))
        little = load(modify(source, Transcode=str(ExplicitVRLittleEndian)))
        self.assertEqual(little.Rows, before.Rows)
        self.assertEqual(little.BitsAllocated, before.BitsAllocated)

    def test_encapsulated(self) -> None:
        """Fragments are copied; no codec is looked for."""
        source = (DATA / "test_files" / "JPEG2000.dcm").read_bytes()
        self.assertEqual(load(anonymize(source)).PixelData, load(source).PixelData)
        for syntax in (JPEGBaseline8Bit, ExplicitVRLittleEndian):
            plan = modification({"Transcode": str(syntax)})
            error = self.assertRaises(OrthancError, run, plan, source)
            self.assertEqual((error.code, error.http_status), (ErrorCode.NOT_IMPLEMENTED, 501))
            self.assertIn("Transcode", str(error.details))

    def test_large_value_in_pieces(self) -> None:
        """A large value goes from file to file in pieces."""
        made = dataset()
        made.add_new(0x7FE00010, "OW", bytes(3_000_000))
        pieces: list[int] = []

        class Target(io.BytesIO):
            def write(self, data: bytes) -> int:  # type: ignore[override]
                pieces.append(len(data))
                return len(data)

        modify_instance(modification({}), IDENTITY, io.BytesIO(save(made)), Target(), SETTINGS)
        self.assertGreater(sum(pieces), 3_000_000)
        self.assertLessEqual(max(pieces), 256 * 1024)

    def test_meta_header(self) -> None:
        """Nothing of the old meta header or preamble is left."""
        source = bytearray(CT.read_bytes())
        source[:20] = b"secret in a preamble"
        changed = modify(bytes(source))
        self.assertNotIn(b"secret", changed)
        meta = load(changed).file_meta
        self.assertEqual([element.tag.element for element in meta], [0, 1, 2, 3, 0x10, 0x12, 0x13])

    def test_no_dicom(self) -> None:
        """What is no DICOM is refused."""
        for data in (b"", b"not dicom", bytes(200)):
            error = self.assertRaises(OrthancError, run, modification({}), data)
            self.assertEqual(error.code, ErrorCode.BAD_FILE_FORMAT)
