"""What is to be done to instances: a value that jobs save and that workers are sent.

Owns the meaning of the fields of a request once they are parsed, and their JSON form. Knows
nothing of HTTP, of files, and of how an instance is rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.modification.paths import TagPath, TagRange, parse_path, parse_range
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType

_PATIENT_NAME = 0x00100010


@dataclass(frozen=True)
class ModificationSettings:
    """What every modification of a server shares; sent to workers with each task.

    :ivar software: what stands before the edition in DeidentificationMethod
    :ivar default_encoding: of data sets without SpecificCharacterSet
    :ivar dictionary: elements that option ``Dictionary`` adds
    :ivar conformant: `Modification.conformant` of requests that do not say it
    :ivar lossy_quality: `Modification.lossy_quality` of requests that do not say it
    """

    software: str = "Orthanc 1.13.0"
    default_encoding: Encoding = Encoding.LATIN1
    dictionary: UserDictionary = field(default_factory=UserDictionary)
    conformant: bool | None = None
    lossy_quality: int = 90


@dataclass(frozen=True, slots=True)
class Replacement:
    """An element and its new value.

    :ivar value: text, a list of objects for a sequence, or ``data:...;base64,`` and bytes
    """

    path: TagPath
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Modification:
    """A request to modify or to anonymize, whose fields have been checked. Immutable.

    :ivar level: of the resource whose instances are modified: identifiers of this level and
        below are new ones, unless they are replaced or kept
    :ivar seed: hexadecimal; all new UIDs and pseudonyms follow from it and the old ones
    :ivar edition: of the Basic Profile (PS3.15 table E.1-1) for an anonymization, else None
    :ivar removed: single elements, also in sequences
    :ivar removed_ranges: like ``removed``
    :ivar kept: elements that an anonymization or the new identifiers leave alone
    :ivar kept_ranges: like ``kept``
    :ivar remove_private: private elements go, but for those that are kept or replaced
    :ivar private_creator: of the private elements that are named (``PrivateCreator``)
    :ivar keep_source: for the job: whether the modified resources stay
    :ivar keep_labels: for the job: whether the results get the labels of their sources
    :ivar transcode: UID of the transfer syntax of the results, None to keep that of the source
    :ivar lossy_quality: 1 to 100, for lossy transfer syntaxes
    :ivar drop_burned_in: instances that are likely to hold burned-in text are left out
    :ivar conformant: an anonymization leaves what the IOD requires, emptied or as a dummy value;
        None: for all SOP classes but those of `iod_types.AS_ORTHANC`
    :ivar is_minimal: the seven plain fields of the profile apply, and nothing was kept,
        replaced or removed: DeidentificationMethod may then name the profile
    """

    level: ResourceType
    seed: str
    edition: str | None = None
    replacements: tuple[Replacement, ...] = ()
    removed: tuple[TagPath, ...] = ()
    removed_ranges: tuple[TagRange, ...] = ()
    kept: tuple[TagPath, ...] = ()
    kept_ranges: tuple[TagRange, ...] = ()
    remove_private: bool = False
    private_creator: str | None = None
    keep_source: bool = True
    keep_labels: bool = False
    transcode: str | None = None
    lossy_quality: int | None = None
    drop_burned_in: bool = False
    conformant: bool | None = None
    is_minimal: bool = False

    @property
    def is_anonymization(self) -> bool:
        """Whether it de-identifies."""
        return self.edition is not None

    @property
    def wants_patient_name(self) -> bool:
        """Whether the server is to give it a PatientName (``Anonymized1``...), see `named`."""
        return (
            self.edition is not None
            and not self.keeps(_PATIENT_NAME)
            and self.replacement(_PATIENT_NAME) is None
        )

    def named(self, patient_name: str) -> Modification:
        """The same with that PatientName."""
        name = Replacement(TagPath.of(_PATIENT_NAME), patient_name)
        return replace(self, replacements=(*self.replacements, name))

    def keeps(self, tag: int) -> bool:
        """Whether the element ``tag`` of the data set (not of a sequence) is kept by name."""
        return any(path.tag == tag and path.is_top for path in self.kept) or any(
            tag in kept for kept in self.kept_ranges
        )

    def replacement(self, tag: int) -> JsonValue:
        """New value of the element ``tag`` of the data set, None if it has none."""
        for found in self.replacements:
            if found.path.is_top and found.path.tag == tag:
                return found.value
        return None

    def to_json(self) -> JsonObject:
        """The parameters of a job; `from_json` makes an equal modification of it."""
        return {
            "Level": self.level.label,
            "Seed": self.seed,
            "Edition": self.edition,
            "Replace": [[str(item.path), item.value] for item in self.replacements],
            "Remove": [str(item) for item in (*self.removed, *self.removed_ranges)],
            "Keep": [str(item) for item in (*self.kept, *self.kept_ranges)],
            "RemovePrivateTags": self.remove_private,
            "PrivateCreator": self.private_creator,
            "KeepSource": self.keep_source,
            "KeepLabels": self.keep_labels,
            "Transcode": self.transcode,
            "LossyQuality": self.lossy_quality,
            "DropBurnedIn": self.drop_burned_in,
            "Conformant": self.conformant,
            "Minimal": self.is_minimal,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Modification:
        """The modification that `to_json` was called on.

        :raises KeyError, ValueError, OrthancError: if it is no such value
        """
        removed, removed_ranges = _split(value["Remove"])
        kept, kept_ranges = _split(value["Keep"])
        return cls(
            level=ResourceType.from_label(value["Level"]),
            seed=value["Seed"],
            edition=value["Edition"],
            replacements=tuple(
                Replacement(parse_path(path), new) for path, new in value["Replace"]
            ),
            removed=removed,
            removed_ranges=removed_ranges,
            kept=kept,
            kept_ranges=kept_ranges,
            remove_private=value["RemovePrivateTags"],
            private_creator=value["PrivateCreator"],
            keep_source=value["KeepSource"],
            keep_labels=value["KeepLabels"],
            transcode=value["Transcode"],
            lossy_quality=value["LossyQuality"],
            drop_burned_in=value["DropBurnedIn"],
            conformant=value["Conformant"],
            is_minimal=value["Minimal"],
        )


def _split(texts: list[str]) -> tuple[tuple[TagPath, ...], tuple[TagRange, ...]]:
    paths: list[TagPath] = []
    ranges: list[TagRange] = []
    for text in texts:
        found = parse_range(text)
        if found is None:
            paths.append(parse_path(text))
        else:
            ranges.append(found)
    return tuple(paths), tuple(ranges)
