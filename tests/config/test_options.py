"""The catalogue of options, held against what Orthanc itself prints."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.config.option import JsonType
from orthanc_tw.config.options import OPTIONS, PLUGIN_SECTIONS, TOPICS
from orthanc_tw.config.validate import problem

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "configuration.json").read_text())
# ``Worklists`` is the section of a plugin in Orthanc.
OURS = {
    "LimitJobs",
    "RestApiExportDirectory",
    "JobsOutputsMaximumAge",
    "JobsOutputsMaximumSize",
    "JobsRetry",
    "Worklists",
    "ConformantAnonymization",
    "PseudonymKey",
    "Transfers",
    "WorkerMemoryMB",
    "WorkerProcesses",
    "WorkerTimeout",
}
JSON_TYPES = {
    "array": {JsonType.STRINGS},
    "boolean": {JsonType.BOOLEAN},
    "number": {JsonType.INTEGER, JsonType.NUMBER},
    "object": {JsonType.OBJECT},
    "string": {JsonType.STRING},
}


# Limits that Orthanc sets by default and this server does not need.
FREED = {"JobsEngineThreadsCount"}


class OptionsTests(SynchronousTestCase):
    def test_names(self) -> None:
        """Every option of Orthanc 1.13.0 and 1.10.1 is known, and no other but our own."""
        names = set(REFERENCE["options"]) | set(REFERENCE["only_in_1.10.1"])
        self.assertEqual(names, set(OPTIONS) - OURS)

    def test_defaults(self) -> None:
        """Defaults are those of Orthanc 1.13.0, but for what would slow this server down."""
        for name, known in REFERENCE["options"].items():
            if name in FREED:
                self.assertIsNone(OPTIONS[name].default)
                continue
            self.assertEqual(OPTIONS[name].default, known["default"], name)

    def test_types(self) -> None:
        """Types are those of Orthanc; the reference has Pkcs11 as a flag, yet lists its fields."""
        for name, known in REFERENCE["options"].items():
            expected = "object" if name in REFERENCE["fields_of_an_entry"] else known["type"]
            self.assertIn(OPTIONS[name].type, JSON_TYPES[expected], name)

    def test_unique(self) -> None:
        """No option is listed under two topics, or is a section of a plugin too."""
        names = [option.name for topic in TOPICS for option in topic.options]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(set(names) & PLUGIN_SECTIONS, set())

    def test_defaults_and_examples_are_valid(self) -> None:
        """What the catalogue itself shows passes its own validation."""
        for option in OPTIONS.values():
            for value in (option.default, option.example):
                if value is not None:
                    self.assertIsNone(problem(option, value), option.name)

    def test_documented(self) -> None:
        """Each has one line of meaning, and an example if it has no default to show."""
        for option in OPTIONS.values():
            self.assertTrue(option.meaning[0].isupper(), option.name)
            self.assertNotIn("\n", option.meaning)
            self.assertFalse(option.meaning.endswith("."), option.name)
            self.assertFalse(option.default is None and option.example is None, option.name)
