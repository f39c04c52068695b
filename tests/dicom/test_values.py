from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.dicom.values import main_tag_of, short_texts, text_of

LATIN1 = CharacterSet(Encoding.LATIN1)
DESCRIPTION = 0x0008103E


class Values(SynchronousTestCase):
    def text(self, vr: str, raw: bytes, tag: int = DESCRIPTION) -> str | None:
        """By the long way and by the short one, which must agree."""
        by_long = main_tag_of(text_of(tag, vr, raw, LATIN1))
        by_short = short_texts(
            {tag: (vr.encode(), raw)}, LATIN1, is_little_endian=True, dictionary=UserDictionary()
        )
        self.assertEqual(by_short.get(tag), by_long)
        return by_long

    def test_padding(self) -> None:
        """Text ends at a NUL, trailing spaces go, leading spaces and other white space stay."""
        for vr, raw, text in (
            ("LO", b" a\\ b \\c ", " a\\ b \\c"),
            ("LT", b"\t\r\nx\r\n", "\t\r\nx\r\n"),
            ("LO", b"a\0\0\0", "a"),
            ("LO", b"\0\0ab", ""),
            ("LO", b"a \0", "a"),
            ("UI", b" 1.2\t\0", "1.2"),
            ("UT", b"text  ", "text"),
            ("LO", b"", ""),
            ("LO", b"\xe9\xff", "éÿ"),
            ("LT", b"a\x01b\x1bc\x7f", "a\x01b\x1bc\x7f"),
        ):
            self.assertEqual(self.text(vr, raw), text)

    def test_numbers(self) -> None:
        """Numbers are decimal, several are joined, as recorded; broken ones have no text."""
        for vr, raw, text in (
            ("US", struct.pack("<HH", 7, 65535), "7\\65535"),
            ("SS", struct.pack("<h", -1), "-1"),
            ("SL", struct.pack("<ll", -1, 5), "-1\\5"),
            ("UL", struct.pack("<L", 4294967295), "4294967295"),
            ("UV", struct.pack("<Q", 1 << 60), str(1 << 60)),
            ("FL", struct.pack("<f", 0.1), "0.10000000149011612"),
            ("FD", struct.pack("<d", 0.1), "0.10000000000000001"),
            ("FD", struct.pack("<dd", 862399761.111079, 0), "862399761.11107898\\0"),
            ("AT", struct.pack("<HH", 0x3004, 0x000C), "3004,000c"),
            ("US", b"", None),
            ("US", b"abc", None),
        ):
            self.assertEqual(self.text(vr, raw), text)
        big = text_of(0x00280010, "US", b"\0\7", LATIN1, is_little_endian=False)
        self.assertEqual(big, "7")

    def test_binary(self) -> None:
        """Sequences, binary VRs and VRs that do not exist have no text."""
        for vr in ("OB", "OW", "SQ", "OF", "??", "ZZ"):
            self.assertIsNone(self.text(vr, b"hello "))

    def test_un(self) -> None:
        """UN is text if the dictionary says so; its spaces stay."""
        self.assertEqual(self.text("UN", b"h\xe9llo "), "héllo ")
        self.assertEqual(self.text("UN", b"ab\0"), "ab")
        self.assertIsNone(self.text("UN", b"\7\0", 0x00540081))
        self.assertIsNone(self.text("UN", b"ab", 0x00091001))

    def test_length(self) -> None:
        """The index keeps 256 bytes of UTF-8, padding not counted."""
        self.assertEqual(self.text("LT", b"x" * 256 + b"  "), "x" * 256)
        self.assertIsNone(self.text("LT", b"x" * 257))
        self.assertEqual(self.text("LT", b"\xe9" * 128), "é" * 128)
        self.assertIsNone(self.text("LT", b"\xe9" * 129))

    def test_short_way_with_other_charsets(self) -> None:
        """Where ASCII is not kept as it is, both ways agree too."""
        raw = b"a\x1bb\tc \0"
        for terms in ("ISO_IR 6", "ISO 2022 IR 87", "\\ISO 2022 IR 149", "ISO_IR 192"):
            charset = charsets_of(terms, Encoding.ASCII)
            found = short_texts(
                {DESCRIPTION: (b"LO", raw)},
                charset,
                is_little_endian=True,
                dictionary=UserDictionary(),
            )
            self.assertEqual(found[DESCRIPTION], text_of(DESCRIPTION, "LO", raw, charset))
