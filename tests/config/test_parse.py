"""From text to a JSON object."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.config.errors import ConfigurationError
from orthanc_tw.config.parse import parse


class ParseTests(SynchronousTestCase):
    def read(self, text: str | bytes, **environ: str) -> dict[str, object]:
        """Parse, expecting no warnings."""
        data = text.encode() if isinstance(text, str) else text
        document, warnings = parse(data, "f.json", environ)
        self.assertEqual(warnings, [])
        return document

    def failure(self, data: bytes) -> str:
        """The message of what must not be accepted."""
        return str(self.assertRaises(ConfigurationError, parse, data, "f.json", {}))

    def test_comments(self) -> None:
        """Both kinds of comments are skipped, also at the end without a newline."""
        text = '// a "quote\n{"A": /* { */ 1, // b\n/* c\n d */ "B": 2} // end'
        self.assertEqual(self.read(text), {"A": 1, "B": 2})

    def test_comment_marks_inside_strings(self) -> None:
        """What looks like a comment inside a string is text, after an escaped quote too."""
        text = r'{"Url": "http://a/*b*/", "Quote": "\"//", "Backslash": "\\" /* c */}'
        self.assertEqual(
            self.read(text), {"Url": "http://a/*b*/", "Quote": '"//', "Backslash": "\\"}
        )

    def test_trailing_commas(self) -> None:
        """A comma before a closing bracket is tolerated, but not one inside a string."""
        self.assertEqual(
            self.read('{"A": [1, 2 , ],\n "B": {"c": ",}",},\n}'),
            {"A": [1, 2], "B": {"c": ",}"}},
        )

    def test_byte_order_mark(self) -> None:
        """UTF-8 with a byte order mark is accepted."""
        self.assertEqual(self.read(b'\xef\xbb\xbf{"A": "\xc3\xa9"}'), {"A": "é"})

    def test_syntax_error_has_its_line(self) -> None:
        """Comments of several lines before an error do not shift its line number."""
        message = self.failure(b'{\n/* 2\n3 */ // x\n"A": 1\n"B": 2\n}')
        self.assertTrue(message.startswith("f.json:5: expected JSON, found Expecting ','"), message)

    def test_unterminated_comment(self) -> None:
        """A comment that never ends is an error at its line."""
        self.assertTrue(self.failure(b'{"A": 1,\n/* oops }').startswith("f.json:2: "))

    def test_no_utf_8(self) -> None:
        """Another encoding is refused, with the line of the first wrong byte."""
        self.assertEqual(
            self.failure(b'{\n"Name": "caf\xe9"}'), "f.json:2: expected UTF-8, found byte 0xe9"
        )

    def test_no_object(self) -> None:
        """An array, a number or nothing at all is no configuration."""
        for data in (b"[1]", b"12", b'"x"', b"", b"// only a comment"):
            self.assertIn("f.json", self.failure(data))
        self.assertIn("expected an object", self.failure(b"[1]"))

    def test_no_numbers(self) -> None:
        """NaN and Infinity are no JSON; a number of 5,000 digits is an error, not a crash."""
        self.assertIn("NaN", self.failure(b'{"A": NaN}'))
        self.assertIn("f.json", self.failure(b'{"A": ' + b"9" * 5000 + b"}"))

    def test_nesting(self) -> None:
        """A document that is nested too deeply is an error, not a crash."""
        self.assertIn("f.json", self.failure(b'{"A":' + b"[" * 200_000))

    def test_text_after_the_document(self) -> None:
        """What follows the document is ignored as Orthanc does, with a warning."""
        document, warnings = parse(b'{"A": 1}\n}', "f.json", {})
        self.assertEqual(document, {"A": 1})
        self.assertEqual(warnings, ["f.json:2: what follows the end of the document is ignored"])

    def test_duplicate_key(self) -> None:
        """Of a key that is there twice in one file the last one counts, with a warning."""
        document, warnings = parse(b'{"A": 1, "A": 2}', "f.json", {})
        self.assertEqual(document, {"A": 2})
        self.assertEqual(warnings, ["f.json: A is there twice, the last one counts"])


class SubstitutionTests(SynchronousTestCase):
    def test_variables(self) -> None:
        """A variable may stand for anything: part of a string, a number, an object."""
        environ = {"NAME": "x", "PORT": "80", "USERS": '{"a": "b"}'}
        document, warnings = parse(
            b'{"Name": "-${NAME}-", "HttpPort": ${PORT}, "RegisteredUsers": ${USERS}}',
            "f.json",
            environ,
        )
        self.assertEqual(document, {"Name": "-x-", "HttpPort": 80, "RegisteredUsers": {"a": "b"}})
        self.assertEqual(warnings, [])

    def test_defaults(self) -> None:
        """The default counts if the variable is not set; set to nothing, it is empty."""
        text = b'{"A": "${X:-one}", "B": "${Y:-two}", "C": "${Z:-}", "D": "$HOME ${a:b}"}'
        document, warnings = parse(text, "f.json", {"Y": "", "HOME": "h"})
        self.assertEqual(document, {"A": "one", "B": "", "C": "", "D": "$HOME ${a:b}"})
        self.assertEqual(warnings, [])

    def test_unset(self) -> None:
        """A variable that is not set is empty, with a warning, except in a comment."""
        document, warnings = parse(b'{"A": "<${NOPE}>"} // ${NEITHER}', "f.json", {})
        self.assertEqual(document, {"A": "<>"})
        self.assertEqual(warnings, ["f.json: the environment variable NOPE is not set: empty"])

    def test_value_like_a_comment(self) -> None:
        """A URL from the environment is not taken for a comment."""
        document, _ = parse(b'{"A": "${U}"}', "f.json", {"U": "http://a/b//c"})
        self.assertEqual(document, {"A": "http://a/b//c"})
