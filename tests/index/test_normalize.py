from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.index.constraints import glob_pattern, literal_prefix
from orthanc_tw.index.normalize import (
    IDENTIFIER_TAGS,
    TRIGRAM_SLOTS,
    TRIGRAM_STRIDE,
    normalize,
    tag_number,
)


class NormalizeTests(SynchronousTestCase):
    def test_values(self) -> None:
        """Upper case, no accents; blanks and other scripts' marks are kept."""
        for text, expected in (
            ("Doe^John ", "DOE^JOHN "),
            ("Müller^Éva", "MULLER^EVA"),
            ("Ἀλέξης", "ΑΛΕΞΗΣ"),
            ("Йод", "ИОД"),
            ("ヤマダ^が", "ヤマダ^が"),
            ("김희중", "김희중"),
            ("", ""),
        ):
            self.assertEqual(normalize(text), expected)

    def test_twice(self) -> None:
        """What is normalized stays as it is."""
        for text in ("straße", "Ångström", "İstanbul", "ﬁ"):
            once = normalize(text)
            self.assertEqual(normalize(once), once)

    def test_tables(self) -> None:
        """Slots fit the stride and are distinct; trigram tags are identifiers."""
        slots = list(TRIGRAM_SLOTS.values())
        self.assertEqual(len(slots), len(set(slots)))
        self.assertLess(max(slots), TRIGRAM_STRIDE)
        self.assertLessEqual(set(TRIGRAM_SLOTS), frozenset().union(*IDENTIFIER_TAGS.values()))
        self.assertEqual(tag_number("0020,000d"), 0x0020000D)

    def test_patterns(self) -> None:
        """Only the star and the question mark are special."""
        self.assertEqual(glob_pattern("a*[b]?"), "a*[[]b]?")
        self.assertEqual([literal_prefix(x) for x in ("ab*c", "?a", "abc")], ["ab", "", "abc"])
