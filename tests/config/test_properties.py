"""Whatever is in a file, it is accepted or refused; it never crashes the start."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.config.errors import ConfigurationError
from orthanc_tw.config.options import OPTIONS
from orthanc_tw.config.parse import parse
from orthanc_tw.config.validate import has_type, normalize, problem

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=200, derandomize=True, database=None)
    @given(st.binary(max_size=40) | TEXT.map(lambda t: ('{"A": ' + t).encode()))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are a document, or an error of one line."""
        try:
            document, _ = parse(data, "f", {})
        except ConfigurationError as error:
            self.assertEqual(len(str(error).splitlines()), 1)
        else:
            self.assertIsInstance(document, dict)

    @settings(max_examples=100, derandomize=True, database=None)
    @given(st.dictionaries(TEXT, JSON, max_size=4))
    def test_round_trip(self, document: dict[str, Any]) -> None:
        """A document is read as it was written, with comments around its tokens too."""
        # jsoncpp's limits are not ours to test: infinities are no JSON.
        text = json.dumps(document).replace("Infinity", "1")
        if "${" in text:
            return
        expected = json.loads(text)
        self.assertEqual(parse(text.encode(), "f", {}), (expected, []))
        commented = f'/* " */ {text} // {text}'
        self.assertEqual(parse(commented.encode(), "f", {}), (expected, []))

    @settings(max_examples=300, derandomize=True, database=None)
    @given(st.sampled_from(sorted(OPTIONS)), JSON)
    def test_any_value(self, name: str, value: Any) -> None:
        """Any value of any option is refused with a reason, or has a canonical form."""
        option = OPTIONS[name]
        wrong = problem(option, value)
        if wrong:
            self.assertTrue(wrong.expected)
            self.assertTrue(wrong.found)
        else:
            canonical = normalize(option, value)
            self.assertTrue(has_type(option, canonical))
            self.assertIsNone(problem(option, canonical))
