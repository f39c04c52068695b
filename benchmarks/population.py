"""A hospital's worth of studies, made of numbers: the same study number gives the same study.

Two patients of three have two studies, names repeat as they do in a city (a patient of a hundred
is a SMITH), studies spread evenly over ten years, and have 10 instances on the average.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from orthanc_tw.dicom.tags import vr_of
from orthanc_tw.model.identifiers import DicomIdentifiers
from orthanc_tw.model.levels import ResourceType

PATIENT, STUDY, SERIES, INSTANCE = ResourceType
_ROOT = "1.2.826.0.1.3680043.8.498.9"
_FIRST_DAY = date(2015, 1, 1)
DAYS = 3650
_SURNAMES = (
    *("SMITH", "JOHNSON", "WILLIAMS", "BROWN", "JONES", "GARCIA", "MILLER", "DAVIS", "RODRIGUEZ"),
    *("MARTINEZ", "HERNANDEZ", "LOPEZ", "GONZALEZ", "WILSON", "ANDERSON", "THOMAS", "TAYLOR"),
    *("MOORE", "JACKSON", "MARTIN", "LEE", "PEREZ", "THOMPSON", "WHITE", "HARRIS", "SANCHEZ"),
    *("CLARK", "RAMIREZ", "LEWIS", "ROBINSON", "WALKER", "YOUNG", "ALLEN", "KING", "WRIGHT"),
    *("SCOTT", "TORRES", "NGUYEN", "HILL", "FLORES", "GREEN", "ADAMS", "NELSON", "BAKER", "HALL"),
    *("RIVERA", "CAMPBELL", "MITCHELL", "CARTER", "ROBERTS", "LEFÈVRE", "MÜLLER", "PEETERS"),
)
_GIVEN = (
    *("JAMES", "MARY", "ROBERT", "PATRICIA", "JOHN", "JENNIFER", "MICHAEL", "LINDA", "DAVID"),
    *("ELIZABETH", "WILLIAM", "BARBARA", "RICHARD", "SUSAN", "JOSEPH", "JESSICA", "THOMAS"),
    *("SARAH", "CHARLES", "KAREN", "ANNE", "PAUL", "CHLOÉ", "JÖRG", "DANIEL", "NANCY", "ANTHONY"),
)
_DESCRIPTIONS = (
    *("CT THORAX", "CT ABDOMEN", "MR BRAIN", "MR KNEE LEFT", "US ABDOMEN", "XR CHEST PA"),
    *("PET/CT WHOLE BODY", "MG SCREENING", "CT ANGIO CORONARY", "MR SPINE LUMBAR"),
)
_MODALITIES = ("CT", "CT", "CT", "MR", "MR", "US", "CR", "CR", "DX", "MG", "PT", "SR")
_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.2"
#: Labels, and the share of studies that have each.
LABELS: Mapping[str, float] = {"urgent": 0.01, "research": 0.05, "teaching": 0.002}

Levels = Mapping[ResourceType, Mapping[str, str]]


@dataclass(frozen=True)
class Instance:
    """One instance: its main DICOM tags by level."""

    tags: Levels

    @property
    def identifiers(self) -> DicomIdentifiers:
        """What its Orthanc identifiers are made of."""
        return DicomIdentifiers(
            self.tags[PATIENT]["0010,0020"],
            self.tags[STUDY]["0020,000d"],
            self.tags[SERIES]["0020,000e"],
            self.tags[INSTANCE]["0008,0018"],
        )


def patient_id(study: int) -> str:
    """PatientID of a study."""
    return f"PID{study * 3 // 5:07d}"


def study_date(study: int) -> str:
    """StudyDate of a study: scattered over ten years."""
    return (_FIRST_DAY + timedelta(days=study * 7919 % DAYS)).strftime("%Y%m%d")


def labels(study: int) -> list[str]:
    """Labels of a study."""
    chance = random.Random(study * 31 + 7).random()
    return [label for label, share in LABELS.items() if chance < share]


def instances(study: int) -> Iterator[Instance]:
    """The instances of a study: 1 to 4 series of 1 to 7 instances each."""
    chance = random.Random(study)
    person = random.Random(patient_id(study))
    surname = "SMITH" if person.random() < 0.01 else person.choice(_SURNAMES[1:])
    day = study_date(study)
    patient = {
        "0010,0010": f"{surname}{person.randrange(40) or ''}^{person.choice(_GIVEN)}",
        "0010,0020": patient_id(study),
        "0010,0030": f"{person.randrange(1930, 2020)}{person.randrange(1, 13):02}15",
        "0010,0040": person.choice("MFO"),
    }
    if surname == "SMITH":
        patient["0010,0010"] = f"SMITH^{person.choice(_GIVEN)}"
    uid = f"{_ROOT}.{study}"
    study_tags = {
        "0008,0020": day,
        "0008,0030": f"{chance.randrange(7, 20):02}{chance.randrange(60):02}00",
        "0008,0050": f"ACC{study:08d}",
        "0008,0080": f"HOSPITAL {study % 7}",
        "0008,0090": f"{chance.choice(_SURNAMES)}^REFERRING",
        "0008,1030": chance.choice(_DESCRIPTIONS),
        "0020,000d": uid,
        "0020,0010": str(study),
    }
    for series in range(1 + study % 4):
        series_tags = {
            "0008,0060": chance.choice(_MODALITIES),
            "0008,0070": "ACME",
            "0008,103e": f"SERIES {series + 1}",
            "0020,000e": f"{uid}.{series + 1}",
            "0020,0011": str(series + 1),
        }
        for number in range(1, 2 + (study // 4 + series) % 7):
            own = {
                "0008,0018": f"{uid}.{series + 1}.{number}",
                "0020,0013": str(number),
                "0020,0032": f"-200\\-200\\{1.25 * number}",
                "0020,0037": "1\\0\\0\\0\\1\\0",
            }
            yield Instance(
                {PATIENT: patient, STUDY: study_tags, SERIES: series_tags, INSTANCE: own}
            )


def dicom_file(instance: Instance) -> bytes:
    """The smallest file that has these tags: no pixels. Explicit VR, little endian (PS3.5 7.1)."""
    uid = instance.tags[INSTANCE]["0008,0018"]
    meta = {
        "0002,0002": _SOP_CLASS,
        "0002,0003": uid,
        "0002,0010": "1.2.840.10008.1.2.1",
    }
    tags = {"0008,0005": "ISO_IR 192", "0008,0016": _SOP_CLASS}
    for level in ResourceType:
        tags.update(instance.tags[level])
    body = b"".join(_element(tag, value) for tag, value in sorted(meta.items()))
    # 0002,0001, whose VR has a length of 32 bits, and 0002,0000: length of what follows it.
    version = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\0\1")
    head = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(version) + len(body)) + version + body
    return b"\0" * 128 + b"DICM" + head + b"".join(_element(*item) for item in sorted(tags.items()))


def _element(tag: str, value: str) -> bytes:
    group, element = int(tag[:4], 16), int(tag[5:], 16)
    vr = vr_of(group << 16 | element)
    data = value.encode()
    if len(data) % 2:
        data += b"\0" if vr == "UI" else b" "
    return struct.pack("<HH2sH", group, element, vr.encode(), len(data)) + data
