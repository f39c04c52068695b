"""Main DICOM tags: which elements of an instance the index keeps, level by level.

Source: ``MainDicomTags`` of ``/system`` and option ``ExtraMainDicomTags``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orthanc_tw.dicom.scan import Wanted
from orthanc_tw.dicom.tags import UserDictionary, format_tag, parse_tag, vr_of
from orthanc_tw.model.levels import ResourceType

DEFAULT_MAIN_DICOM_TAGS: Mapping[ResourceType, str] = {
    ResourceType.PATIENT: "0010,0010;0010,0020;0010,0030;0010,0040;0010,1000",
    ResourceType.STUDY: (
        "0008,0020;0008,0030;0008,0050;0008,0080;0008,0090;0008,0201;0008,1030;0020,000d;"
        "0020,0010;0032,1032;0032,1060"
    ),
    ResourceType.SERIES: (
        "0008,0021;0008,0031;0008,0060;0008,0070;0008,0201;0008,1010;0008,103e;0008,1070;"
        "0018,0010;0018,0015;0018,0024;0018,1030;0018,1090;0018,1400;0020,000e;0020,0011;"
        "0020,0037;0020,0105;0020,1002;0040,0244;0040,0245;0040,0254;0040,0275;0054,0081;"
        "0054,0101;0054,1000"
    ),
    ResourceType.INSTANCE: (
        "0008,0012;0008,0013;0008,0018;0020,0012;0020,0013;0020,0032;0020,0037;0020,0100;"
        "0020,4000;0028,0008;0054,1330"
    ),
}

FACTS: Mapping[str, int] = {
    "SpecificCharacterSet": 0x00080005,
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "PatientID": 0x00100020,
    "CardiacNumberOfImages": 0x00181090,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "InstanceNumber": 0x00200013,
    "NumberOfTemporalPositions": 0x00200105,
    "ImagesInAcquisition": 0x00201002,
    "BitsAllocated": 0x00280100,
    "NumberOfSlices": 0x00540081,
    "NumberOfTimeSlices": 0x00540101,
    "ImageIndex": 0x00541330,
}
"""Elements that a summary needs whatever the index keeps."""


class MainDicomTags:
    """The main DICOM tags of one configuration. Immutable.

    :ivar dictionary: elements that the configuration adds to the dictionary
    :ivar places: for each tag but sequences, the levels that keep it and its ``gggg,eeee``
    :ivar sequence_places: the same for sequences
    :ivar wanted: what a scan has to keep for a summary
    """

    def __init__(
        self,
        levels: Mapping[ResourceType, Iterable[int]],
        dictionary: UserDictionary | None = None,
    ) -> None:
        self.dictionary = UserDictionary() if dictionary is None else dictionary
        self._levels = {level: tuple(sorted(set(levels.get(level, ())))) for level in ResourceType}
        self._signatures = {
            level: ";".join(map(format_tag, tags)) for level, tags in self._levels.items()
        }
        places: dict[int, tuple[tuple[ResourceType, str], ...]] = {}
        for level, tags in self._levels.items():
            for tag in tags:
                places[tag] = (*places.get(tag, ()), (level, format_tag(tag)))
        self.places = {tag: place for tag, place in places.items() if not self.is_sequence(tag)}
        self.sequence_places = {
            tag: place for tag, place in places.items() if self.is_sequence(tag)
        }
        self.wanted = Wanted({*places, *FACTS.values()}, self.dictionary)

    @classmethod
    def from_configuration(
        cls,
        extra: Mapping[str, Iterable[str]] | None = None,
        dictionary: UserDictionary | None = None,
    ) -> MainDicomTags:
        """The default tags and those of option ``ExtraMainDicomTags``.

        A tag that a level keeps anyway may be named again.

        :param extra: tags by name or number, by level (``Instance``, ``Series``...)
        :raises OrthancError: UNKNOWN_DICOM_TAG, with the text as details
        :raises ValueError: if a level is unknown
        """
        dictionary = UserDictionary() if dictionary is None else dictionary
        levels = {
            level: [parse_tag(text) for text in tags.split(";")]
            for level, tags in DEFAULT_MAIN_DICOM_TAGS.items()
        }
        for label, texts in (extra or {}).items():
            levels[ResourceType.from_label(label)].extend(
                parse_tag(text, dictionary) for text in texts
            )
        return cls(levels, dictionary)

    def tags(self, level: ResourceType) -> tuple[int, ...]:
        """Tags that ``level`` keeps, ascending, sequences too."""
        return self._levels[level]

    def signature(self, level: ResourceType) -> str:
        """Metadata ``MainDicomTagsSignature``: ``0008,0012;0008,0013;...``."""
        return self._signatures[level]

    def is_sequence(self, tag: int) -> bool:
        """Say whether the dictionary has the tag as a sequence."""
        return vr_of(tag, self.dictionary) == "SQ"

    def contains(self, level: ResourceType, tag: int) -> bool:
        """Say whether ``level`` keeps ``tag``."""
        return tag in self._levels[level]
