"""Files and short ways for the tests of modification."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.report import Report
from orthanc_tw.dicom.modification.request import parse_anonymize, parse_modify
from orthanc_tw.dicom.modification.rewrite import ModifiedInstance, modify_instance
from orthanc_tw.model.levels import ResourceType

DATA = Path(pydicom.__file__).parent / "data"
SETTINGS = ModificationSettings()
SEED = "5e" * 32
IDENTITY = Identity(bytes.fromhex(SEED))
CT = DATA / "test_files" / "CT_small.dcm"


def modification(
    body: Any, *, anonymize: bool = False, level: ResourceType = ResourceType.INSTANCE
) -> Modification:
    """The modification of a body."""
    parse = parse_anonymize if anonymize else parse_modify
    return parse(body, level, SETTINGS, seed=SEED)


def run(
    plan: Modification, source: bytes, identity: Identity = IDENTITY, **options: Any
) -> tuple[ModifiedInstance, bytes]:
    """What has become of a file, and the new one."""
    target = io.BytesIO()
    done = modify_instance(plan, identity, io.BytesIO(source), target, SETTINGS, **options)
    return done, target.getvalue()


def modify(source: bytes, **body: Any) -> bytes:
    """The modified file."""
    return run(modification(body), source)[1]


def anonymize(source: bytes, **body: Any) -> bytes:
    """The anonymized file."""
    return run(modification(body, anonymize=True), source)[1]


def report(source: bytes, **body: Any) -> dict[tuple[str, str], int]:
    """What a dry run of an anonymization counts."""
    found = Report()
    plan = modification(body, anonymize=True)
    modify_instance(plan, IDENTITY, io.BytesIO(source), None, SETTINGS, report=found)
    return found.counts


def load(data: bytes) -> Dataset:
    """The data set, all of it read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        for _ in dataset.iterall():
            pass
    return dataset


def save(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file of a data set that was made by hand."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(target, dataset, enforce_file_format=True)
    return target.getvalue()


def dataset(**values: Any) -> Dataset:
    """A data set with all identifiers, and these elements by keyword."""
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    made.SOPInstanceUID = "1.2.3.4.5"
    made.StudyInstanceUID = "1.2.3"
    made.SeriesInstanceUID = "1.2.3.4"
    made.PatientID = "PID-4711"
    made.PatientName = "Doe^Jane"
    for name, value in values.items():
        setattr(made, name, value)
    return made


def item(**values: Any) -> Dataset:
    """An item with these elements by keyword."""
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def all_files() -> Iterator[tuple[str, bytes]]:
    """Each instance of pydicom's test data that pydicom can read."""
    for path in sorted(DATA.rglob("*")):
        if not path.is_file() or path.suffix in (".py", ".json", ".txt", ".md"):
            continue
        data = path.read_bytes()
        try:
            if "SOPInstanceUID" in load(data):
                yield path.name, data
        except Exception:  # what pydicom itself cannot read is no test of ours
            continue
