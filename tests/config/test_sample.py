"""The commented sample."""

from __future__ import annotations

import re
from pathlib import Path

from orthanc_tw.config import load
from orthanc_tw.config.options import OPTIONS
from orthanc_tw.config.sample import sample
from tests.config.test_loading import Case

ETC = Path(__file__).parents[2] / "etc" / "orthanc.json"


class SampleTests(Case):
    def test_loads(self) -> None:
        """The sample is valid, gives no warning, and holds every default."""
        path = self.folder / "sample.json"
        path.write_text(sample())
        configuration = load([path], {})
        self.assertEqual(configuration.warnings, ())
        self.assertEqual(
            configuration.to_json(),
            {o.name: o.default for o in OPTIONS.values() if o.default is not None},
        )

    def test_uncommented_examples(self) -> None:
        """Examples of options without default are valid once their marks are taken away."""
        path = self.folder / "sample.json"
        path.write_text(re.sub(r'^  // ("\w+":)', r"  \1", sample(), flags=re.MULTILINE))
        self.assertEqual(set(load([path], {}).to_json()), set(OPTIONS))

    def test_etc(self) -> None:
        """The file that is shipped is what --sample-config writes."""
        self.assertEqual(ETC.read_text(encoding="utf-8"), sample())
