"""Modules, shared tags and tags of many instances: against the recorded answers."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.modules import module_json, module_tags
from orthanc_tw.dicom.shared_tags import SharedTags
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, tags_json
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.model.levels import ResourceType
from tests.dicom.corpus import TOPIC_ENCODINGS, format_of, matches, public_ids, with_files

ROUTE = re.compile(
    r"/(patients|studies|series|instances)/([^/?]*)"
    r"/(module|module-patient|shared-tags|instances-tags)(?:\?(.*))?"
)
TOPICS = {**TOPIC_ENCODINGS, "10-browsing": Encoding.LATIN1, "53-no-patient-level": Encoding.LATIN1}


def answer_of(
    route: str,
    level: ResourceType,
    instances: dict[str, Path],
    tag_format: TagFormat,
    options: TagOptions,
) -> JsonObject:
    if route.startswith("module"):
        # Of the first instance in the order of Orthanc identifiers
        with open(instances[min(instances)], "rb") as file:
            level = ResourceType.PATIENT if route == "module-patient" else level
            return module_json(file, level, tag_format, options)
    shared = SharedTags()
    answer: JsonObject = {}
    for identifier, path in instances.items():
        with open(path, "rb") as file:
            if route == "shared-tags":
                shared.add(tags_json(file, TagFormat.FULL, options))
            else:
                answer[identifier] = tags_json(file, tag_format, options)
    return shared.result(tag_format) if route == "shared-tags" else answer


class RecordedTests(SynchronousTestCase):
    """The answers of the functions are those that were recorded."""

    def test_recorded(self) -> None:
        """All recorded modules, shared tags and tags of instances are the same."""
        compared: Counter[str] = Counter()
        for topic, encoding in TOPICS.items():
            for exchange, present in with_files(topic):
                match = ROUTE.fullmatch(exchange["path"])
                if not match or exchange["response"]["status"] != 200:
                    continue
                level = ResourceType.from_label(match[1])
                instances = {k: p for k, p in present.items() if public_ids(p)[level] == match[2]}
                tag_format = format_of((match[4] or "").split("&"), TagFormat.FULL)
                got = answer_of(match[3], level, instances, tag_format, TagOptions(encoding))
                self.assertTrue(matches(exchange["response"], got), exchange["name"])
                compared[match[3]] += 1
        self.assertEqual(
            compared,
            {"module": 126, "module-patient": 11, "shared-tags": 69, "instances-tags": 24},
        )


class SharedTagsTests(SynchronousTestCase):
    """What is shared by several instances."""

    def entry(self, value: object, kind: str = "String") -> JsonObject:
        """An entry of the full format."""
        return {"Name": "PatientName", "Type": kind, "Value": value}  # type: ignore[dict-item]

    def test_nothing(self) -> None:
        """Without any instance nothing is shared."""
        self.assertEqual(SharedTags().result(), {})

    def test_differences(self) -> None:
        """Text that differs or is missing somewhere is left out; so is what is no text."""
        shared = SharedTags()
        shared.add(
            {
                "0010,0010": self.entry("A"),
                "0010,0020": self.entry("1"),
                "0010,0030": self.entry(""),
                "0010,1002": self.entry([], "Sequence"),
                "7fe0,0010": self.entry(None, "Null"),
            }
        )
        shared.add({"0010,0010": self.entry("A"), "0010,0020": self.entry("2")})
        self.assertEqual(shared.result(TagFormat.SHORT), {"0010,0010": "A"})
        self.assertEqual(shared.result(TagFormat.SIMPLIFY), {"PatientName": "A"})


class ModuleTests(SynchronousTestCase):
    """The tags of the modules."""

    def test_levels(self) -> None:
        """A tag is in the module of one level only, and the identifiers are in theirs."""
        modules = [module_tags(level) for level in ResourceType]
        self.assertEqual([len(tags) for tags in modules], [24, 17, 26, 21])
        self.assertEqual(len(frozenset().union(*modules)), 88)
        identifiers = (0x00100020, 0x0020000D, 0x0020000E, 0x00080018)
        for tags, identifier in zip(modules, identifiers, strict=True):
            self.assertIn(identifier, tags)
