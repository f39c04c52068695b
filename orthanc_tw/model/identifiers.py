"""Orthanc identifiers: SHA-1 of the DICOM identifiers, five groups of eight hex digits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from orthanc_tw.model.levels import ResourceType


def _format(digest: str) -> str:
    return f"{digest[:8]}-{digest[8:16]}-{digest[16:24]}-{digest[24:32]}-{digest[32:]}"


def hash_identifier(*parts: str) -> str:
    """Public identifier of a resource from the DICOM identifiers of it and its ancestors.

    The parts are hashed as they are: what padding belongs to a value depends on its VR, so
    whoever decodes the value has removed it (`orthanc_tw.dicom.values`).
    """
    joined = "|".join(parts).encode("utf-8", "replace")
    return _format(hashlib.sha1(joined, usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class DicomIdentifiers:
    """The four DICOM identifiers of an instance (text, already decoded)."""

    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str

    def public_id(self, level: ResourceType) -> str:
        """Orthanc identifier of the resource of this instance at ``level``."""
        parts = (
            self.patient_id,
            self.study_instance_uid,
            self.series_instance_uid,
            self.sop_instance_uid,
        )
        return hash_identifier(*parts[:level])

    def public_ids(self) -> tuple[str, str, str, str]:
        """Orthanc identifiers of the four levels, the patient's first."""
        names = [
            self.patient_id,
            f"|{self.study_instance_uid}",
            f"|{self.series_instance_uid}",
            f"|{self.sop_instance_uid}",
        ]
        digest = hashlib.sha1(usedforsecurity=False)
        found = []
        for name in names:
            digest.update(name.encode("utf-8", "replace"))
            found.append(_format(digest.hexdigest()))
        patient, study, series, instance = found
        return patient, study, series, instance
