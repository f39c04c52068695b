"""The configurations that the reference exchanges were recorded with."""

from __future__ import annotations

import json
from pathlib import Path

from tests.config.test_loading import Case

RECORDINGS = Path(__file__).parents[1] / "reference" / "recordings"


class ReferenceTests(Case):
    def test_accepted(self) -> None:
        """Each is accepted, and none has an option that is unknown."""
        documents = {
            json.dumps({**topic["base_config"], **topic[part]})
            for topic in map(json.loads, (p.read_text() for p in RECORDINGS.glob("*.json")))
            for part in ("config", "peer_config")
            if topic.get(part) is not None
        }
        self.assertGreater(len(documents), 20)
        for document in documents:
            warnings = self.load(json.loads(document)).warnings
            self.assertEqual([w for w in warnings if "unknown" in w], [])
