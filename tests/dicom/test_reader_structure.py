"""Verdicts on files built byte by byte; each was put to a running Orthanc (1.10.1) as well."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.source import InflatedSource, Malformed
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.dicom.build import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    dataset,
    element,
    item,
    meta,
)

MAIN_TAGS = MainDicomTags.from_configuration()
BASE = meta() + dataset()
CODE = element(0x00080100, "SH", b"ABCD")
IMPLICIT_CODE = element(0x00080100, "SH", b"ABCD", explicit=False)
PIXELS = element(0x7FE00010, "OW", b"abcd")
ENCAPSULATED = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, UNDEFINED)


def read(content: bytes, main_tags: MainDicomTags = MAIN_TAGS) -> InstanceSummary:
    return read_summary(BytesIO(content), len(content), main_tags, Encoding.LATIN1)


def open_sequence(vr: bytes) -> bytes:
    return struct.pack("<HH", 0x40, 0x275) + vr + b"\0\0" + struct.pack("<L", UNDEFINED)


class ReaderCase(SynchronousTestCase):
    def accepted(self, content: bytes) -> InstanceSummary:
        """Summary of a file that must be one."""
        return read(content)

    def refused(self, content: bytes, code: ErrorCode = ErrorCode.BAD_FILE_FORMAT) -> OrthancError:
        """Error for a file that must be refused."""
        error = self.assertRaises(OrthancError, read, content)
        self.assertEqual(error.code, code)
        return error


class Containers(ReaderCase):
    def test_empty(self) -> None:
        """An empty file has a message of its own."""
        self.assertEqual(self.refused(b"").details, "Received an empty DICOM file")

    def test_size_in_message(self) -> None:
        """The size of what is refused is told."""
        error = self.refused(BASE[:-1])
        self.assertEqual(
            error.details, f"Cannot parse an invalid DICOM file (size: {len(BASE) - 1} bytes)"
        )

    def test_meta_header_only(self) -> None:
        """A meta header without data set has no identifiers; a mere preamble is nothing."""
        self.refused(meta(), ErrorCode.INEXISTENT_TAG)
        self.refused(meta()[132:], ErrorCode.INEXISTENT_TAG)
        self.refused(meta()[:132])
        self.refused(meta()[128:] + dataset())

    def test_without_meta_header(self) -> None:
        """Bare data sets are recognized; they get no offset of pixel data, as in the reference."""
        for content, uid in (
            (dataset() + PIXELS, EXPLICIT),
            (dataset(explicit=False), IMPLICIT),
            (dataset(order=">"), BIG_ENDIAN),
        ):
            summary = self.accepted(content)
            self.assertEqual(summary.transfer_syntax, uid)
            self.assertFalse(summary.has_meta_header)
            self.assertIsNone(summary.pixel_data_offset)
            self.assertEqual(summary.tags[ResourceType.PATIENT]["0010,0020"], "PID")

    def test_preamble_without_meta_header(self) -> None:
        """A preamble with an explicit data set is enough; implicit ones are recognized too."""
        self.assertEqual(self.accepted(bytes(128) + b"DICM" + dataset()).transfer_syntax, EXPLICIT)

    def test_group_length_is_not_relied_on(self) -> None:
        """A wrong length of the meta header does no harm."""
        wrong = element(0x00020000, "UL", struct.pack("<L", 1))
        start = 132 + len(wrong)
        self.accepted(meta()[:132] + wrong + meta()[start:] + dataset())
        self.accepted(meta()[:132] + meta()[start:] + dataset())

    def test_large_meta_header(self) -> None:
        """Private information in the meta header may be large."""
        private = element(0x00020100, "UI", b"1.2.3") + element(0x00020102, "OB", bytes(200_000))
        summary = self.accepted(meta() + private + dataset() + PIXELS)
        self.assertEqual(summary.transfer_syntax, EXPLICIT)
        self.assertGreater(summary.pixel_data_offset or 0, 200_000)

    def test_implicit_big_endian(self) -> None:
        """There is no such transfer syntax in DICOM, and nothing could read it later."""
        self.refused(dataset(explicit=False, order=">"))

    def test_unknown_or_missing_transfer_syntax(self) -> None:
        """The layout is guessed, the UID of the file is kept."""
        summary = self.accepted(meta("1.2.3.4") + dataset() + PIXELS)
        self.assertEqual(summary.transfer_syntax, "1.2.3.4")
        self.assertIsNone(summary.pixel_data_offset)
        self.assertEqual(self.accepted(meta(None) + dataset()).transfer_syntax, EXPLICIT)

    def test_wrong_transfer_syntax(self) -> None:
        """A data set that is not what its meta header says is refused."""
        self.refused(meta(IMPLICIT) + dataset())

    def test_big_endian(self) -> None:
        """Explicit VR big endian is read by its byte order."""
        number = {0x00540081: ("US", struct.pack(">H", 7))}
        summary = self.accepted(meta(BIG_ENDIAN) + dataset(number, order=">"))
        self.assertEqual(summary.tags[ResourceType.SERIES]["0054,0081"], "7")


class Deflated(ReaderCase):
    def deflate(self, content: bytes) -> bytes:
        """A raw deflate stream."""
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        return compressor.compress(content) + compressor.flush()

    def test_deflated(self) -> None:
        """A deflated data set is read; what follows its stream is ignored."""
        stream = self.deflate(dataset() + element(0x7FE00010, "OB", bytes(500_000)))
        summary = self.accepted(meta(DEFLATED) + stream)
        self.assertEqual(summary.transfer_syntax, DEFLATED)
        self.assertIsNone(summary.pixel_data_offset)
        self.accepted(meta(DEFLATED) + stream + b"abc")

    def test_cut_off(self) -> None:
        """A stream that is cut off or none at all is refused."""
        stream = self.deflate(dataset() + element(0x7FE00010, "OB", bytes(5000)))
        for size in (len(stream) - 3, len(stream) // 2, 1, 0):
            self.assertRaises(OrthancError, read, meta(DEFLATED) + stream[:size])
        self.refused(meta(DEFLATED) + dataset())
        self.refused(meta(DEFLATED) + zlib.compress(dataset()))

    def test_bomb(self) -> None:
        """Inflating ends at the limit: refused before the pixels, believed amid them."""
        bomb = self.deflate(bytes(3_000_000))
        source = InflatedSource(BytesIO(bomb), 0, max_inflated_bytes=1_000_000)
        self.assertRaises(Malformed, source.read, 2_000_000, 8)
        header = element(0x00091001, "OB", bytes(70 << 20))
        self.refused(meta(DEFLATED) + self.deflate(header + dataset()))
        pixels = element(0x7FE00010, "OB", bytes(70 << 20))
        self.accepted(meta(DEFLATED) + self.deflate(dataset() + pixels))


class Elements(ReaderCase):
    def test_trailing_bytes(self) -> None:
        """What follows the last element must be an element: eight zeros happen to be one."""
        for count in range(1, 8):
            self.refused(BASE + bytes(count))
        self.accepted(BASE + bytes(8))
        self.refused(BASE + b"\xff" * 8)
        self.refused(BASE + b"abcdefghij")

    def test_unknown_vrs(self) -> None:
        """Two capitals have a long header, other VRs that do not exist a short one."""
        for vr, is_long in ((b"ZZ", True), (b"OX", True), (b"Z1", False), (b"??", False)):
            short = b"\x11\0\x01\x10" + vr + b"\4\0abcd"
            long = b"\x11\0\x01\x10" + vr + b"\0\0\4\0\0\0abcd"
            (self.refused if is_long else self.accepted)(BASE + short)
            (self.accepted if is_long else self.refused)(BASE + long)

    def test_order_and_duplicates(self) -> None:
        """Elements may come in any order; the first of a tag counts."""
        summary = self.accepted(
            BASE + element(0x00100020, "LO", b"SECOND") + element(0x00080050, "SH", b"A1")
        )
        self.assertEqual(summary.identifiers.patient_id, "PID")
        self.assertEqual(summary.tags[ResourceType.STUDY]["0008,0050"], "A1")

    def test_undefined_length(self) -> None:
        """Undefined length is for sequences: SQ, UN (implicit inside); they must be closed."""
        for vr, content in ((b"SQ", CODE), (b"UN", IMPLICIT_CODE)):
            opened = BASE + open_sequence(vr)
            self.accepted(opened + item(content) + SEQUENCE_END)
            self.accepted(opened + item(content + ITEM_END, UNDEFINED) + SEQUENCE_END)
            self.accepted(opened + SEQUENCE_END)
            self.refused(opened + item(content))
            self.refused(opened + item(content + ITEM_END, UNDEFINED))
        for vr in (b"OB", b"OW", b"UT", b"OF", b"UC", b"ZZ"):
            self.refused(BASE + open_sequence(vr) + item(CODE) + SEQUENCE_END)

    def test_undefined_length_implicit(self) -> None:
        """In implicit VR the dictionary says what is a sequence; unknown elements may be one."""
        base = meta(IMPLICIT) + dataset(explicit=False)
        for tag, is_sequence in ((0x00400275, True), (0x00111001, True), (0x00104000, False)):
            head = struct.pack("<HHL", tag >> 16, tag & 0xFFFF, UNDEFINED)
            content = base + head + item(IMPLICIT_CODE) + SEQUENCE_END
            (self.accepted if is_sequence else self.refused)(content)

    def test_nested_and_too_deep(self) -> None:
        """Open sequences nest; endless nesting is refused without recursion errors."""
        for depth, verdict in ((20, self.accepted), (5000, self.refused)):
            opened = (open_sequence(b"SQ") + item(b"", UNDEFINED)) * depth
            closed = (ITEM_END + SEQUENCE_END) * depth
            verdict(BASE + opened + CODE + closed)

    def test_stray_delimiters(self) -> None:
        """An item's end at the top level is passed over, an item is not."""
        self.accepted(BASE + ITEM_END)
        self.accepted(BASE + SEQUENCE_END)
        self.accepted(BASE + ITEM_END + element(0x00400244, "DA", b"20200101"))
        self.refused(BASE + SEQUENCE_END + element(0x00400244, "DA", b"20200101"))
        self.refused(BASE + item(b"ab"))

    def test_large_header(self) -> None:
        """Elements before the pixels may be larger than any window."""
        private = element(0x00091001, "OB", bytes(300_000))
        later = element(0x0020000E, "UI", b"1.2.9")
        content = meta() + dataset({0x0020000E: None}) + private + later + PIXELS
        summary = self.accepted(content)
        self.assertEqual(summary.identifiers.series_instance_uid, "1.2.9")
        self.assertEqual(summary.pixel_data_offset, len(content) - len(PIXELS))
        # A value that lies across the end of the first window.
        for size in range(16_384 - 420, 16_384, 4):
            private = element(0x00091001, "OB", bytes(size))
            self.assertEqual(
                read(meta() + dataset({0x0020000E: None}) + private + later + PIXELS).identifiers,
                summary.identifiers,
            )


class PixelData(ReaderCase):
    def test_offset(self) -> None:
        """The offset is that of (7FE0,0010), the first; what follows is still looked at."""
        self.assertEqual(self.accepted(BASE + PIXELS).pixel_data_offset, len(BASE))
        self.assertEqual(self.accepted(BASE + PIXELS + PIXELS).pixel_data_offset, len(BASE))
        table = element(0x7FE00001, "OV", b"abcdefgh")
        self.assertEqual(
            self.accepted(BASE + table + PIXELS).pixel_data_offset, len(BASE) + len(table)
        )
        floats = self.accepted(BASE + element(0x7FE00008, "OF", b"abcd"))
        self.assertIsNone(floats.pixel_data_offset)
        self.refused(BASE + PIXELS + b"abc")

    def test_cut_off(self) -> None:
        """Native pixel data that is not all there is refused, by its length alone."""
        self.refused(BASE + element(0x7FE00010, "OW", b"abcd", length=6))
        self.refused(BASE + element(0x7FE00010, "OW", b"abcd", length=0xFFFFFFF0))

    def test_encapsulated(self) -> None:
        """Fragments are walked to their delimiter, whatever the transfer syntax says."""
        for uid in (JPEG, EXPLICIT):
            opened = meta(uid) + dataset() + ENCAPSULATED
            end = element(0xFFFCFFFC, "OB", b"ab")
            summary = self.accepted(opened + item(b"") + item(b"abcd") + SEQUENCE_END + end)
            self.assertEqual(summary.pixel_data_offset, len(opened) - len(ENCAPSULATED))
            self.accepted(opened + SEQUENCE_END)
            self.accepted(opened + item(b"") + item(b"abc") + SEQUENCE_END)
            self.refused(opened + item(b"") + item(b"abcd"))
            self.refused(opened + item(b"") + item(b"ab", 4))
            self.refused(opened + item(b"") + b"\xfe\xff\0\xe0")
            self.refused(opened + item(b"") + b"abcdefgh" + SEQUENCE_END)
            self.refused(opened + item(b"") + item(b"abcd", UNDEFINED) + SEQUENCE_END)
            self.refused(opened + item(b"") + ITEM_END + SEQUENCE_END)

    def test_native_in_encapsulated_syntax(self) -> None:
        """Pixel data of a defined length contradicts an encapsulated transfer syntax."""
        self.refused(meta(JPEG) + dataset() + PIXELS)
        self.accepted(meta("1.2.840.10008.1.2.4.94") + dataset() + PIXELS)

    def test_vr(self) -> None:
        """The VR is told if it is not the usual one for the bits allocated."""
        for bits, vr, told in (
            (8, "OW", "OW"),
            (8, "OB", None),
            (16, "OW", None),
            (16, "OB", "OB"),
        ):
            changes = {0x00280100: ("US", struct.pack("<H", bits))}
            content = meta() + dataset(changes) + element(0x7FE00010, vr, b"abcd")
            self.assertEqual(self.accepted(content).pixel_data_vr, told)
        implicit = meta(IMPLICIT) + dataset(explicit=False)
        pixels = element(0x7FE00010, "OW", b"abcd", explicit=False)
        self.assertIsNone(self.accepted(implicit + pixels).pixel_data_vr)


class Identifiers(ReaderCase):
    def test_missing(self) -> None:
        """UIDs are needed, PatientID and SOP class are not."""
        for tag in (0x00080018, 0x0020000D, 0x0020000E):
            self.refused(meta() + dataset({tag: None}), ErrorCode.INEXISTENT_TAG)
            error = self.refused(meta() + dataset({tag: ("UI", b"")}))
            self.assertEqual(
                error.details, "missing StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID"
            )
        summary = self.accepted(meta() + dataset({0x00100020: None, 0x00080016: None}))
        self.assertEqual(summary.sop_class_uid, "")
        self.assertEqual(
            summary.identifiers.public_id(ResourceType.PATIENT),
            "da39a3ee-5e6b4b0d-3255bfef-95601890-afd80709",
        )

    def test_padding_counts_as_recorded(self) -> None:
        """Trailing spaces go, leading ones of a PatientID count; UIDs lose both; UN keeps all."""
        for vr, raw, patient in (
            ("LO", b"  PID\t ", "  PID\t"),
            ("LO", b"A\\B ", "A\\B"),
            ("UN", b"PID ", "PID "),
            ("UN", b"PID\0", "PID"),
        ):
            summary = self.accepted(meta() + dataset({0x00100020: (vr, raw)}))
            self.assertEqual(summary.identifiers.patient_id, patient)
        for vr, raw, uid in (("UI", b" 1.2.3 ", "1.2.3"), ("LO", b" 1.2.3", " 1.2.3")):
            summary = self.accepted(meta() + dataset({0x0020000D: (vr, raw)}))
            self.assertEqual(summary.identifiers.study_instance_uid, uid)

    def test_too_long_or_binary(self) -> None:
        """An identifier that cannot be kept refuses the file: it must not become an empty one."""
        for tag, vr in ((0x00100020, "LO"), (0x0020000D, "UI")):
            content = meta() + dataset({tag: (vr, b"1" * 300)})
            self.refused(content, ErrorCode.BAD_PARAMETER_TYPE)
            self.refused(meta() + dataset({tag: ("OB", b"12")}), ErrorCode.BAD_PARAMETER_TYPE)


class Facts(ReaderCase):
    def expected(self, **numbers: bytes) -> int | None:
        """Expected instances of a file with these numbers."""
        tags = {
            "img": (0x00201002, "IS"),
            "tmp": (0x00200105, "IS"),
            "ns": (0x00540081, "IS"),
            "nt": (0x00540101, "IS"),
            "card": (0x00181090, "IS"),
        }
        changes = {tags[name][0]: (tags[name][1], value) for name, value in numbers.items()}
        return self.accepted(meta() + dataset(changes)).expected_instances

    def test_expected_instances(self) -> None:
        """Images by positions, slices by time slices, cardiac images: the first complete pair."""
        self.assertIsNone(self.expected(img=b"7"))
        self.assertIsNone(self.expected(tmp=b"7", ns=b"5"))
        self.assertEqual(self.expected(img=b"7", tmp=b"3"), 21)
        self.assertEqual(self.expected(ns=b"5", nt=b"2"), 10)
        self.assertEqual(self.expected(img=b"7", ns=b"5", nt=b"2"), 10)
        self.assertEqual(self.expected(img=b"7", tmp=b"3", ns=b"5", nt=b"2", card=b"11"), 21)
        self.assertEqual(self.expected(img=b"7", nt=b"5", card=b"11"), 11)
        self.assertEqual(self.expected(card=b"+7"), 7)

    def test_expected_instances_bad(self) -> None:
        """What is no positive number of a sane size is not believed."""
        for text in (
            b"0",
            b" 7 ",
            b"-1",
            b"7.0",
            b"abc",
            b"",
            b"7\\8",
            b"99999999999",
            b"4294967295",
        ):
            self.assertIsNone(self.expected(card=text), text)
        self.assertIsNone(self.expected(img=b"99999", tmp=b"99999"))

    def test_index_in_series(self) -> None:
        """InstanceNumber as it is, even if empty or no number; otherwise ImageIndex."""
        index = ("US", struct.pack("<H", 5))
        for number, found in ((b"", ""), (b" 9", "9"), (b"abc", "abc"), (None, "5")):
            changes = {0x00541330: index, 0x00200013: number and ("IS", number)}
            if number == b"":
                changes[0x00200013] = ("IS", b"")
            content = meta() + dataset(changes)
            self.assertEqual(self.accepted(content).index_in_series, found)
        self.assertIsNone(self.accepted(BASE).index_in_series)


class Sequences(ReaderCase):
    def test_main_dicom_sequences(self) -> None:
        """Sequences among the main DICOM tags are kept as full JSON, in every layout."""
        expected = {
            "Name": "RequestAttributesSequence",
            "Type": "Sequence",
            "Value": [{"0008,0100": {"Name": "CodeValue", "Type": "String", "Value": "ABCD"}}],
        }
        for sequence in (
            element(0x00400275, "SQ", item(CODE)),
            open_sequence(b"SQ") + item(CODE) + SEQUENCE_END,
            open_sequence(b"SQ") + item(CODE + ITEM_END, UNDEFINED) + SEQUENCE_END,
        ):
            summary = self.accepted(BASE + sequence + PIXELS)
            self.assertEqual(summary.sequences, {ResourceType.SERIES: {"0040,0275": expected}})
        implicit = element(0x00400275, "SQ", item(IMPLICIT_CODE), explicit=False)
        summary = self.accepted(meta(IMPLICIT) + dataset(explicit=False) + implicit)
        self.assertEqual(summary.sequences, {ResourceType.SERIES: {"0040,0275": expected}})

    def test_extra_sequence_and_charset(self) -> None:
        """ExtraMainDicomTags may name a sequence; text inside is decoded by the data set's set."""
        main_tags = MainDicomTags.from_configuration({"Study": ["ProcedureCodeSequence"]})
        meaning = element(0x00080104, "LO", "Ψ".encode("iso8859-7"))
        sequence = element(0x00081032, "SQ", item(meaning))
        content = meta() + dataset({0x00080005: ("CS", b"ISO_IR 126")}) + sequence
        summary = read(content, main_tags)
        entry = summary.sequences[ResourceType.STUDY]["0008,1032"]
        self.assertEqual(
            entry,
            {
                "Name": "ProcedureCodeSequence",
                "Type": "Sequence",
                "Value": [{"0008,0104": {"Name": "CodeMeaning", "Type": "String", "Value": "Ψ"}}],
            },
        )

    def test_broken_content(self) -> None:
        """A sequence whose content is no sequence does not cost the instance its place."""
        plain = self.accepted(BASE)
        for broken in (b"abcdefghijkl", item(CODE)[:-2], item(b"abcde", 100), b"\xff" * 40):
            summary = self.accepted(BASE + element(0x00400275, "SQ", broken))
            self.assertEqual(summary.identifiers, plain.identifiers)
            self.assertEqual(summary.tags, plain.tags)
        self.flushWarnings()
