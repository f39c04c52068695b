from __future__ import annotations

from typing import Any

import pydicom
from pydicom.tag import Tag
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import CharacterSet, CodeExtensions, Encoding, charsets_of
from orthanc_tw.model.errors import ErrorCode, OrthancError
from tests.dicom.corpus import DATA, exchanges

KEYWORDS = ("PatientName", "OtherPatientNames", "AdditionalPatientHistory", "OperatorsName")


def recorded(topic: str) -> dict[str, dict[str, Any]]:
    """Name of a file to the recorded ``simplified-tags`` of it."""
    found: dict[str, dict[str, Any]] = {}
    current = ""
    for exchange in exchanges(topic):
        current = exchange.get("body_file", current)
        if exchange["path"].endswith("simplified-tags") and exchange["response"]["status"] == 200:
            found[current] = exchange["response"]["json"]
    return found


def raw_values(name: str) -> tuple[CharacterSet, CharacterSet, dict[str, bytes]]:
    """The character set of a file as Orthanc and as DICOM have it; bytes of its text elements."""
    dataset = pydicom.dcmread(DATA / name)
    terms = dataset.get("SpecificCharacterSet")
    terms = terms if isinstance(terms, str) else list(terms)
    values = {}
    for keyword in KEYWORDS:
        element = pydicom.dcmread(DATA / name)._dict.get(Tag(keyword))
        if element is not None:
            values[keyword] = element.value
    return (
        charsets_of(terms, Encoding.LATIN1, code_extensions=CodeExtensions.ORTHANC),
        charsets_of(terms, Encoding.LATIN1),
        values,
    )


class RecordedCharsets(SynchronousTestCase):
    def test_all_files_as_recorded(self) -> None:
        """Told to, every text of every character set file is decoded as the reference did."""
        count = 0
        for topic in ("13-charsets-latin1", "13-charsets-utf8", "13-charsets-ascii"):
            files = recorded(topic)
            self.assertEqual(len(files), 15)
            for name, tags in files.items():
                charset, _, values = raw_values(name)
                for keyword, value in values.items():
                    text = charset.decode(value, is_person_name="Name" in keyword).strip(" ")
                    self.assertEqual(text, tags[keyword], f"{topic} {name} {keyword}")
                    count += 1
        self.assertGreater(count, 60)

    def test_standard_is_right_where_orthanc_is_not(self) -> None:
        """By default escape sequences are followed one by one: names are what pydicom reads."""
        for name in recorded("13-charsets-latin1"):
            _, standard, values = raw_values(name)
            expected = str(pydicom.dcmread(DATA / name).PatientName)
            text = standard.decode(values["PatientName"], is_person_name=True)
            self.assertEqual(text.rstrip(" ="), expected, name)
        _, standard, values = raw_values("charset_files/chrH32.dcm")
        self.assertEqual(
            standard.decode(values["PatientName"], is_person_name=True).strip(),
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        )


class Names(SynchronousTestCase):
    def test_default_encoding_as_recorded(self) -> None:
        """PUT /tools/default-encoding: names are found whatever their case, others are refused."""
        count = 0
        for exchange in exchanges("01-system"):
            if exchange["path"] != "/tools/default-encoding" or exchange["method"] != "PUT":
                continue
            count += 1
            if exchange["response"]["status"] == 200:
                found = Encoding.parse(exchange["body_text"])
                self.assertEqual(found.value, exchange["response"]["text"])
            else:
                error = self.assertRaises(OrthancError, Encoding.parse, exchange["body_text"])
                self.assertEqual(error.code, ErrorCode.PARAMETER_OUT_OF_RANGE)
        self.assertGreater(count, 15)

    def test_every_encoding_is_usable(self) -> None:
        """Each encoding has a codec, round-trips ASCII, and its own term leads back to it."""
        for encoding in Encoding:
            charset = CharacterSet(encoding)
            self.assertEqual(charset.encode("Doe^John"), b"Doe^John")
            self.assertEqual(charset.decode(b"Doe^John"), "Doe^John")
            term = encoding.specific_character_set
            if term:
                self.assertIs(charsets_of(term, Encoding.ASCII).encoding, encoding)


class Choice(SynchronousTestCase):
    def test_absent_empty_and_unknown_use_the_default(self) -> None:
        """Without a term that is known the default encoding decodes."""
        for value in (None, "", "\\", "ISO_IR 9999", [], ["", "nope"]):
            charset = charsets_of(value, Encoding.GREEK)
            self.assertIs(charset.encoding, Encoding.GREEK)
        self.assertEqual(charsets_of(None, Encoding.LATIN1).decode(b"J\xe9r"), "Jér")
        self.assertEqual(charsets_of(None, Encoding.UTF8).decode("Jér".encode()), "Jér")

    def test_padded_and_split_terms(self) -> None:
        """Terms may be padded, one string or several; the first that is known counts."""
        self.assertIs(charsets_of("ISO_IR 192 ", Encoding.ASCII).encoding, Encoding.UTF8)
        self.assertIs(charsets_of("ISO_IR 100\0", Encoding.ASCII).encoding, Encoding.LATIN1)
        charset = charsets_of(["", "ISO 2022 IR 149"], Encoding.ASCII)
        self.assertEqual(charset, charsets_of("\\ISO 2022 IR 149", Encoding.ASCII))
        self.assertTrue(charset.has_code_extensions)
        self.assertFalse(charsets_of("GB18030", Encoding.ASCII).has_code_extensions)

    def test_undecodable_bytes_are_left_out(self) -> None:
        """No byte sequence raises in any encoding, with code extensions or without."""
        nasty = bytes(range(256)) + b"\x1b$B\x81\x1b" + b"\x1b$)C\xff" + b"\x1b"
        for encoding in Encoding:
            for extensions in (False, True):
                self.assertIn("ABC", CharacterSet(encoding, extensions).decode(nasty))
        standard = charsets_of(
            "ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 149",
            Encoding.ASCII,
            code_extensions=CodeExtensions.STANDARD,
        )
        for is_person_name in (False, True):
            self.assertIsInstance(standard.decode(nasty, is_person_name=is_person_name), str)
        self.flushWarnings()
        self.assertEqual(charsets_of("ISO_IR 192", Encoding.ASCII).decode(b"a\xffb"), "ab")
        self.assertEqual(charsets_of(None, Encoding.ASCII).decode(b"a\xe9\x1bb\tc"), "abc")

    def test_korean_round_trip(self) -> None:
        """Korean is written with the designation of G1 that PS3.5 asks for."""
        charset = charsets_of("\\ISO 2022 IR 149", Encoding.ASCII)
        encoded = charset.encode("김희중")
        self.assertTrue(encoded.startswith(b"\x1b$)C"))
        self.assertEqual(charset.decode(encoded), "김희중")
