from __future__ import annotations

import os
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.dicom.summary import InstanceSummary
from orthanc_tw.dicom.tags import keyword, parse_tag
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.levels import ResourceType
from tests.dicom.corpus import CODE_EXTENDED, DATA, exchanges, topics

MAIN_TAGS = MainDicomTags.from_configuration()
BROWSING = ("10-browsing", "12-tags", "13-charsets-latin1", "06-upload-overwrite-always")


def summary_of(content: bytes) -> InstanceSummary:
    return read_summary(BytesIO(content), len(content), MAIN_TAGS, Encoding.LATIN1)


def body_of(exchange: dict[str, Any]) -> bytes | None:
    """Bytes of an upload that can be judged alone."""
    if exchange["method"] != "POST" or exchange["path"].strip("/") != "instances":
        return None
    if "Content-Encoding" in exchange.get("headers", {}):
        return None
    if "body_text" in exchange:
        content: bytes = exchange["body_text"].encode()
    elif "body_file" in exchange:
        content = (DATA / exchange["body_file"]).read_bytes()
    else:
        return None
    return content[: exchange.get("truncate")]


def objects(answer: Any) -> Iterator[dict[str, Any]]:
    """All objects inside a JSON value."""
    if isinstance(answer, dict):
        yield answer
        answer = list(answer.values())
    if isinstance(answer, list):
        for value in answer:
            yield from objects(value)


def named(tags: Any) -> dict[str, str]:
    return {keyword(parse_tag(tag)): text for tag, text in tags.items()}


class Verdicts(SynchronousTestCase):
    def judge(self, content: bytes) -> tuple[int, Any, Any]:
        """Status, identifiers or message, details."""
        try:
            summary = summary_of(content)
        except OrthancError as error:
            return error.http_status, error.code.description, error.details
        ids = tuple(summary.identifiers.public_id(level) for level in ResourceType)
        return 200, ids, None

    def test_every_upload_as_recorded(self) -> None:
        """Each file of each recording is stored, refused or has no identifiers, as recorded."""
        count = 0
        for topic in topics():
            for number, exchange in enumerate(exchanges(topic)):
                response = exchange.get("response", {})
                content = body_of(exchange)
                if content is None or response.get("status") not in (200, 400, 404):
                    continue
                answer = response.get("json", {})
                if response["status"] == 200:
                    levels = ("ParentPatient", "ParentStudy", "ParentSeries", "ID")
                    ids = tuple(answer.get(level) for level in levels)
                    if "${" in str(ids) or None in ids:
                        continue
                    expected = (200, ids, None)
                elif "Message" not in answer:
                    self.assertEqual(self.judge(content)[0], response["status"])
                    continue
                else:
                    expected = (response["status"], answer["Message"], answer.get("Details"))
                found = self.judge(content)
                self.assertEqual(found, expected, f"{topic} {number} {exchange['name']}")
                count += 1
        self.assertGreater(count, 750)


class Browsing(SynchronousTestCase):
    """What the reference stored of a file against the summary of it."""

    def walk(self, topic: str) -> list[tuple[dict[str, Any], dict[str, set[str]]]]:
        """Each exchange, with the files stored so far by identifier of each resource."""
        files: dict[str, set[str]] = {}
        result = []
        for exchange in exchanges(topic):
            answer = exchange.get("response", {}).get("json")
            if body_of(exchange) is not None and isinstance(answer, dict):
                for level in ("ParentPatient", "ParentStudy", "ParentSeries", "ID"):
                    if answer.get("Status") == "Success":
                        files.setdefault(answer[level], set()).add(exchange["body_file"])
            result.append((exchange, {key: set(names) for key, names in files.items()}))
        return result

    def test_main_dicom_tags_as_recorded(self) -> None:
        """Main DICOM tags of every level are those that the reference answers."""
        count = 0
        for topic in BROWSING:
            for exchange, files in self.walk(topic):
                answer = exchange.get("response", {}).get("json")
                if exchange["method"] != "GET" or not isinstance(answer, dict):
                    continue
                if not {"MainDicomTags", "Type"} <= answer.keys() or "?" in exchange["path"]:
                    continue
                names = files.get(answer.get("ID", ""), set())
                if answer["Type"] in ("Patient", "Study", "Series") and len(names) != 1:
                    continue  # the first file stored decides: known for sure if there is one
                for name in names:
                    if os.path.basename(name) in CODE_EXTENDED:
                        continue  # read as the standard says, which is not what was recorded
                    summary = summary_of((DATA / name).read_bytes())
                    level = ResourceType.from_label(answer["Type"])
                    found = named(summary.tags[level])
                    self.assertEqual(found, answer["MainDicomTags"], f"{topic} {name}")
                    count += 1
        self.assertGreaterEqual(count, 40)

    def test_metadata_as_recorded(self) -> None:
        """Offsets, VR of pixel data, index in series, classes: the metadata of the reference."""
        count = 0
        for topic in BROWSING:
            for exchange, files in self.walk(topic):
                match = re.fullmatch(
                    r"/instances/([0-9a-f-]{44})/metadata\?expand", exchange["path"]
                )
                if match is None or exchange["response"]["status"] != 200:
                    continue
                names = files.get(match[1], set())
                if len(names) != 1:
                    continue
                metadata = exchange["response"]["json"]
                summary = summary_of((DATA / min(names)).read_bytes())
                offset = summary.pixel_data_offset
                found = {
                    "PixelDataOffset": None if offset is None else str(offset),
                    "PixelDataVR": summary.pixel_data_vr,
                    "IndexInSeries": summary.index_in_series,
                    "TransferSyntax": summary.transfer_syntax,
                    "SopClassUid": summary.sop_class_uid,
                    "MainDicomTagsSignature": MAIN_TAGS.signature(ResourceType.INSTANCE),
                }
                expected = {name: metadata.get(name) for name in found}
                self.assertEqual(found, expected, f"{topic} {names}")
                count += 1
        self.assertGreater(count, 10)

    def test_expected_number_of_instances_as_recorded(self) -> None:
        """ExpectedNumberOfInstances of every recorded series is that of its files."""
        known, unknown = set(), set()
        for topic in topics():
            for exchange, files in self.walk(topic):
                for answer in objects(exchange.get("response", {}).get("json")):
                    if answer.get("Type") != "Series" or "ExpectedNumberOfInstances" not in answer:
                        continue
                    for name in files.get(answer["ID"], set()):
                        summary = summary_of((DATA / name).read_bytes())
                        expected = answer["ExpectedNumberOfInstances"]
                        self.assertEqual(summary.expected_instances, expected, name)
                        (unknown if expected is None else known).add(name)
        self.assertGreaterEqual(len(known), 3)
        self.assertGreater(len(unknown), 10)
