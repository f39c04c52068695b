"""Matching of query values against text."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.matching import list_matcher, matches_wildcard, tag_matcher, text_matcher
from orthanc_tw.dicom.tags import parse_tag
from orthanc_tw.model.errors import ErrorCode, OrthancError


def simple(pattern, text):
    """The definition of wildcards, by recursion."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(simple(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and simple(pattern[1:], text[1:])


class WildcardTests(SynchronousTestCase):
    @given(st.text("ab*?", max_size=7), st.text("ab", max_size=7))
    def test_definition(self, pattern, text):
        """Wildcards match what their definition says."""
        self.assertEqual(matches_wildcard(pattern, text), simple(pattern, text))

    def test_hostile(self):
        """Many stars against a long text that nearly matches end in no time."""
        self.assertFalse(matches_wildcard("a*" * 40 + "b", "a" * 5000))


class MatcherTests(SynchronousTestCase):
    def _matcher(self, name, value, case_sensitive=False):
        return tag_matcher(parse_tag(name), value, case_sensitive=case_sensitive)

    def test_universal(self):
        """An empty value and an open range match everything."""
        self.assertIsNone(self._matcher("PatientName", ""))
        self.assertIsNone(self._matcher("StudyDate", "-"))

    def test_ranges(self):
        """Dates and times have ranges, with ends that count; other VRs have not."""
        matcher = self._matcher("StudyDate", "20010101-20030101")
        self.assertTrue(matcher.matches("20010101"))
        self.assertTrue(matcher.matches("20030101"))
        self.assertFalse(matcher.matches("20030102"))
        self.assertFalse(self._matcher("StudyDate", "-20010101").matches("20010102"))
        self.assertTrue(self._matcher("StudyTime", "120000-").matches("235959"))
        self.assertFalse(self._matcher("PatientID", "1-3").matches("2"))

    def test_list(self):
        """A list matches any of its values; wildcards are none in it."""
        matcher = self._matcher("PatientName", "Doe*\\Roe")
        self.assertTrue(matcher.matches("ROE"))
        self.assertFalse(matcher.matches("Doe^John"))

    def test_case(self):
        """Case and accents count only if asked for."""
        self.assertTrue(self._matcher("PatientName", "müller*").matches("MULLER^ANNA"))
        self.assertFalse(self._matcher("PatientName", "doe*", True).matches("Doe^John"))
        self.assertTrue(self._matcher("PatientName", "Doe*", True).matches("Doe^John"))

    def test_forbidden_wildcards(self):
        """Wildcards on a UID or a date are refused, with the tag."""
        for name, tag in (("StudyInstanceUID", "0020,000d"), ("StudyDate", "0008,0020")):
            with self.assertRaises(OrthancError) as caught:
                self._matcher(name, "1*")
            self.assertEqual(caught.exception.code, ErrorCode.PARAMETER_OUT_OF_RANGE)
            self.assertIn(tag, caught.exception.details)

    def test_constraint(self):
        """A matcher becomes the constraint of the index with the same values."""
        constraint = self._matcher("PatientName", "a\\b").on("0010,0010", 1)
        self.assertEqual(constraint.values, ("A", "B"))
        self.assertIsNone(constraint.wildcard)
        self.assertFalse(constraint.case_sensitive)

    def test_plain_list(self):
        """Computed tags have lists, but no wildcards."""
        self.assertFalse(list_matcher("C*", case_sensitive=False).matches("CT"))
        self.assertTrue(text_matcher("C*", case_sensitive=False).matches("CT"))
