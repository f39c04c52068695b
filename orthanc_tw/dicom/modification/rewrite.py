"""Rewriting one instance: the pure function that workers run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The four identifying values, as text without padding; '' where one is absent."""

    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class ModifiedInstance:
    """What has become of an instance.

    :ivar source: its identifiers
    :ivar result: those of what was written
    :ivar dropped: why nothing was written (burned-in text is likely), else None
    """

    source: Identifiers
    result: Identifiers
    dropped: str | None = None


def modify_instance(
    modification: Modification,
    identity: Identity,
    source: BinaryIO,
    target: BinaryIO,
    settings: ModificationSettings | None = None,
) -> ModifiedInstance:
    """Write the modified instance. Blocks on the files; for a worker process or a thread.

    Pixel data and other large values are copied piece by piece and never decoded. A
    modification that transcodes to another encoding of the pixels is not done here: see
    `Modification.transcode`; native little endian encodings are.

    :param source: a DICOM file, seekable
    :param target: written from its current position on; a seekable file is not needed
    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM; BAD_PARAMETER_TYPE or
        PARAMETER_OUT_OF_RANGE with the tag if a value does not fit its VR
    """
    raise NotImplementedError
