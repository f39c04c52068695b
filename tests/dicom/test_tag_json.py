"""The JSON formats of tags: against all recorded answers, and case by case."""

from __future__ import annotations

import io
import re
import zlib
from urllib.parse import parse_qsl

import pydicom
from pydicom.dataset import Dataset
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import CodeExtensions, Encoding
from orthanc_tw.dicom.document import DocumentLimits
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, header_json, tags_json
from orthanc_tw.dicom.tags import DictionaryEntry, UserDictionary, parse_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.dicom.corpus import DATA, TOPIC_ENCODINGS, format_of, matches, with_files
from tests.dicom.files import EXPLICIT, IMPLICIT, dicom_file, element

ROUTE = re.compile(r"/instances/([^/?]*)/(tags|simplified-tags|header)(?:\?(.*))?")


class RecordedTests(SynchronousTestCase):
    """The answers of the functions are those that were recorded."""

    def test_recorded(self) -> None:
        """All recorded tags and headers, in all formats and with all options, are the same."""
        compared = 0
        for topic, encoding in TOPIC_ENCODINGS.items():
            for exchange, present in with_files(topic):
                match = ROUTE.fullmatch(exchange["path"])
                if not match or match[1] not in present or exchange["method"] != "GET":
                    continue
                arguments = parse_qsl(match[3] or "", keep_blank_values=True)
                answer = exchange["response"]
                with open(present[match[1]], "rb") as file:
                    compared += 1
                    try:
                        options = TagOptions(
                            encoding,
                            CodeExtensions.ORTHANC,
                            ignore_length=frozenset(
                                parse_tag(v) for k, v in arguments if k == "ignore-length"
                            ),
                        )
                    except OrthancError as error:
                        self.assertEqual(error.http_status, answer["status"])
                        self.assertEqual(error.details, answer["json"]["Details"])
                        continue
                    names = dict(arguments)
                    simplified = match[2] == "simplified-tags"
                    default = TagFormat.SIMPLIFY if simplified else TagFormat.FULL
                    tag_format = format_of(names, default)
                    if match[2] == "header":
                        got = header_json(file, tag_format, options)
                    else:
                        got = tags_json(file, tag_format, options, whole="whole" in names)
                    self.assertTrue(matches(answer, got), exchange["name"])
        self.assertEqual(compared, 264)


def full(data: bytes, options: TagOptions | None = None) -> dict[str, object]:
    return dict(tags_json(io.BytesIO(data), TagFormat.FULL, options))


def shown(data: bytes, key: str, options: TagOptions | None = None) -> object:
    return tags_json(io.BytesIO(data), TagFormat.SHORT, options)[key]


class ValueTests(SynchronousTestCase):
    """How single values are shown."""

    def test_padding(self) -> None:
        """Trailing spaces are padding, leading ones are not; a UID is padded by NUL only."""
        data = dicom_file(
            element(0x00080008, "CS", b" A\\B  "),
            element(0x00080018, "UI", b"1.2 \0\0"),
            element(0x00100010, "PN", b"X^Y\0Z "),
        )
        self.assertEqual(shown(data, "0008,0008"), " A\\B")
        self.assertEqual(shown(data, "0008,0018"), "1.2 ")
        self.assertEqual(shown(data, "0010,0010"), "X^Y")

    def test_numbers(self) -> None:
        """Numbers of all sizes, with 17 digits if they are no integers; tags in AT."""
        data = dicom_file(
            element(0x00189087, "FD", b"\x48\xaf\xbc\x9a\xf2\xd7\x7a\x3e" + bytes(8)),
            element(0x00280009, "AT", b"\x54\x00\x10\x00\x54\x00\x20\x00"),
            element(0x00280106, "SS", b"\xfe\xff\x02\x00"),
            element(0x00186020, "SL", b"\xff\xff\xff\xff"),
            element(0x00720082, "SV", bytes(8)),
        )
        self.assertEqual(shown(data, "0018,9087"), "9.9999999999999995e-08\\0")
        self.assertEqual(shown(data, "0028,0009"), "0054,0010\\0054,0020")
        self.assertEqual(shown(data, "0028,0106"), "-2\\2")
        self.assertEqual(shown(data, "0018,6020"), "-1")
        self.assertIsNone(shown(data, "0072,0082"))

    def test_too_long(self) -> None:
        """Text of more than 256 bytes of UTF-8 is null, unless its tag is to be shown."""
        data = dicom_file(
            element(0x00080005, "CS", b"ISO_IR 100"),
            element(0x001021B0, "LT", b"\xe9" * 130),
            element(0x00104000, "LT", b"x" * 256),
            element(0x00204000, "LT", b"x" * 258),
        )
        tags = full(data)
        self.assertEqual(
            tags["0010,21b0"],
            {"Name": "AdditionalPatientHistory", "Type": "TooLong", "Value": None},
        )
        self.assertEqual(shown(data, "0010,4000"), "x" * 256)
        self.assertIsNone(shown(data, "0020,4000"))
        shown_anyway = TagOptions(ignore_length=frozenset((0x00204000,)))
        self.assertEqual(shown(data, "0020,4000", shown_anyway), "x" * 258)
        self.assertEqual(shown(data, "0020,4000", TagOptions(max_text_bytes=0)), "x" * 258)

    def test_long_value_is_not_read(self) -> None:
        """The bytes of a value that is too long anyway are not touched."""
        data = dicom_file(element(0x0040A160, "UT", b"x" * 1_000_000))
        file = CountingFile(data)
        self.assertEqual(tags_json(file, TagFormat.SHORT), {"0040,a160": None})
        self.assertLess(file.read_bytes, 10_000)  # a window of the file

    def test_unknown_vr(self) -> None:
        """Text under VR UN is shown as it is where the dictionary has text; nothing else is."""
        data = dicom_file(
            element(0x00100020, "UN", b"ID "),
            element(0x00280009, "UN", bytes(4)),
            element(0x00990010, "LO", b"ACME"),
            element(0x00991001, "UN", b"text"),
        )
        self.assertEqual(shown(data, "0010,0020"), "ID ")
        self.assertIsNone(shown(data, "0028,0009"))
        self.assertEqual(
            full(data)["0099,1001"],
            {
                "Name": "Unknown Tag & Data",
                "PrivateCreator": "ACME",
                "Type": "Null",
                "Value": None,
            },
        )

    def test_private_names(self) -> None:
        """A private element has the name and VR of its creator's dictionary, in any block."""
        data = dicom_file(
            element(0x00190020, "LO", b"GEMS_ACQU_01", IMPLICIT),
            element(0x00192011, "SS", b"\xff\xff", IMPLICIT),
            syntax=IMPLICIT,
        )
        self.assertEqual(
            full(data)["0019,2011"],
            {
                "Name": "SeriesContrast",
                "PrivateCreator": "GEMS_ACQU_01",
                "Type": "String",
                "Value": "-1",
            },
        )

    def test_user_dictionary(self) -> None:
        """Elements of option Dictionary have their name, and their VR in implicit VR files."""
        dictionary = UserDictionary(
            (
                DictionaryEntry(0x00149990, "DA", "MyExpiryDate"),
                DictionaryEntry(0x43211012, "LO", "RadioButton3", "RadioLogic"),
            )
        )
        options = TagOptions(dictionary=dictionary)
        data = dicom_file(
            element(0x00149990, "DA", b"20200101", IMPLICIT),
            element(0x43210010, "LO", b"RadioLogic", IMPLICIT),
            element(0x43211012, "LO", b"y", IMPLICIT),
            syntax=IMPLICIT,
        )
        tags = tags_json(io.BytesIO(data), TagFormat.SIMPLIFY, options)
        self.assertEqual(tags["MyExpiryDate"], "20200101")
        self.assertEqual(tags["RadioButton3"], "y")
        tags = tags_json(io.BytesIO(data), TagFormat.SIMPLIFY)
        self.assertEqual(tags["Unknown Tag & Data"], None)

    def test_default_encoding(self) -> None:
        """A file without SpecificCharacterSet is read in the default encoding, items too."""
        inner = element(0x00100010, "PN", "Ж".encode("iso8859-5") + b"^")
        item = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
        data = dicom_file(element(0x00101002, "SQ", item))
        options = TagOptions(Encoding.CYRILLIC)
        self.assertEqual(shown(data, "0010,1002", options), [{"0010,0010": "Ж^"}])

    def test_item_character_set(self) -> None:
        """An item may have a character set of its own; the others inherit."""
        utf8 = element(0x00080005, "CS", b"ISO_IR 192") + element(0x00100010, "PN", "é".encode())
        latin = element(0x00100010, "PN", b"\xe9 ")
        items = b"".join(
            b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
            for inner in (utf8, latin)
        )
        data = dicom_file(
            element(0x00080005, "CS", b"ISO_IR 100"), element(0x00101002, "SQ", items)
        )
        self.assertEqual(
            shown(data, "0010,1002"),
            [{"0008,0005": "ISO_IR 192", "0010,0010": "é"}, {"0010,0010": "é"}],
        )


def outcome(data: bytes) -> ErrorCode | None:
    try:
        tags_json(io.BytesIO(data), whole=True)
    except OrthancError as error:
        return error.code
    return None


class CountingFile(io.BytesIO):
    """Counts the bytes that are read."""

    read_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        """Read and count."""
        data = super().read(size)
        self.read_bytes += len(data)
        return data


class ParserTests(SynchronousTestCase):
    """The structure of files: the same as another reader's, and limits."""

    def test_against_pydicom(self) -> None:
        """Every file of the corpus has the elements, items and bytes that pydicom finds."""
        compared = 0
        for path in sorted([*DATA.glob("test_files/*.dcm"), *DATA.glob("charset_files/*.dcm")]):
            if path.name == "no_meta.dcm":  # begins with a stray byte
                self.assertEqual(outcome(path.read_bytes()), ErrorCode.BAD_FILE_FORMAT)
                continue
            expected = pydicom.dcmread(path, force=True)
            with open(path, "rb") as file:
                document = read_document(file)
                self.assert_same(path.name, document, document.dataset, expected)
                document.close()
            compared += 1
        self.assertGreater(compared, 70)

    def assert_same(self, name, document, item, dataset: Dataset) -> None:  # type: ignore[no-untyped-def]
        """Compare an item with a pydicom data set, recursively."""
        self.assertEqual(sorted(item.elements), sorted(map(int, dataset.keys())), name)
        for found in item:
            raw = dataset.get_item(found.tag)
            if found.items is not None:
                inner = dataset[found.tag].value
                self.assertEqual(len(inner), len(found.items), name)
                for mine, theirs in zip(found.items, inner, strict=True):
                    self.assert_same(name, document, mine, theirs)
            elif isinstance(raw.value, bytes) and not found.is_encapsulated:
                self.assertEqual(document.read(found), raw.value, (name, hex(found.tag)))

    def test_no_dicom(self) -> None:
        """What is no DICOM file at all is a bad file."""
        for data in (b"", b"not dicom", bytes(200), b"\xff" * 4000):
            with self.assertRaises(OrthancError) as caught:
                read_document(io.BytesIO(data))
            self.assertEqual(caught.exception.code, ErrorCode.BAD_FILE_FORMAT)

    def test_truncated(self) -> None:
        """Any prefix of a file either parses or is a bad file; nothing else happens."""
        for name in ("rtplan.dcm", "SC_rgb_rle_2frame.dcm", "MR_small_bigendian.dcm"):
            data = (DATA / "test_files" / name).read_bytes()
            for size in range(0, min(len(data), 6000), 7):
                self.assertIn(outcome(data[:size]), (None, ErrorCode.BAD_FILE_FORMAT))

    def test_depth(self) -> None:
        """Sequences nested beyond the limit are a bad file, not a crash."""
        head = b"\x10\x00\x02\x10SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        with self.assertRaises(OrthancError) as caught:
            read_document(io.BytesIO(dicom_file(head * 100_000)))
        self.assertEqual(caught.exception.code, ErrorCode.BAD_FILE_FORMAT)
        read_document(io.BytesIO(dicom_file(head * 64)))

    def test_count(self) -> None:
        """More elements or fragments than the limit are a bad file."""
        limits = DocumentLimits(max_elements=50)
        many = dicom_file(*(element(0x00100000 + n, "UN", b"") for n in range(60)))
        fragments = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 60
        pixels = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + fragments
        for data in (many, dicom_file(pixels)):
            with self.assertRaises(OrthancError) as caught:
                read_document(io.BytesIO(data), limits=limits)
            self.assertEqual(caught.exception.code, ErrorCode.BAD_FILE_FORMAT)

    def test_inflated(self) -> None:
        """A deflated data set that inflates beyond the limit is a bad file."""
        engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        bomb = element(0x0040A160, "UT", bytes(4_000_000))
        deflated = engine.compress(bomb) + engine.flush()
        data = dicom_file(deflated, syntax="1.2.840.10008.1.2.1.99")
        limits = DocumentLimits(max_inflated_bytes=1_000_000)
        with self.assertRaises(OrthancError):
            read_document(io.BytesIO(data), limits=limits)
        document = read_document(io.BytesIO(data))
        self.assertEqual(document.dataset.elements[0x0040A160].length, 4_000_000)
        document.close()

    def test_pixels_are_not_read(self) -> None:
        """Neither native nor encapsulated pixel data is read for a listing of tags."""
        for name in ("CT_small.dcm", "JPEG2000.dcm"):
            file = CountingFile((DATA / "test_files" / name).read_bytes())
            document = read_document(file, stop_at_pixels=True)
            pixels = document.dataset.elements[0x7FE00010]
            self.assertLess(file.read_bytes, pixels.offset * 3)
            self.assertEqual(list(document.dataset.elements)[-1], 0x7FE00010)

    def test_explicit_is_default(self) -> None:
        """A data set without preamble and meta information is recognized by its first element."""
        data = element(0x00080018, "UI", b"1.2.3\0", EXPLICIT)
        document = read_document(io.BytesIO(data))
        self.assertEqual(document.transfer_syntax, EXPLICIT)
        data = element(0x00080018, "UI", b"1.2.3\0", IMPLICIT)
        document = read_document(io.BytesIO(data))
        self.assertEqual(document.transfer_syntax, IMPLICIT)
