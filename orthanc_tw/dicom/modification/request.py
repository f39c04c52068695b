"""Parsing of the bodies of ``/modify`` and ``/anonymize``; refusals are those of Orthanc."""

from __future__ import annotations

from collections.abc import Mapping

from orthanc_tw.dicom.modification.new_values import check_value
from orthanc_tw.dicom.modification.paths import TagPath, TagRange, parse_path, parse_range
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings, Replacement
from orthanc_tw.dicom.modification.profile import DEFAULT_EDITION, EDITIONS
from orthanc_tw.dicom.tag_names import tag_name
from orthanc_tw.dicom.uids import is_known_transfer_syntax
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType

_PATIENT_ID, _STUDY, _SERIES, _SOP = 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
_IDENTIFIERS = (_PATIENT_ID, _STUDY, _SERIES, _SOP)
_META_GROUP = 0x0002


def parse_modify(
    body: JsonValue, level: ResourceType, settings: ModificationSettings, *, seed: str
) -> Modification:
    """The modification that the body of ``/modify`` asks for.

    Fields of the submission (``Priority``, ``Asynchronous``...) are not looked at. A single
    instance that is given to another patient, study or series gets new identifiers of all the
    levels below.

    :param body: the parsed JSON
    :param level: of the resource
    :param seed: `Modification.seed`, random and hexadecimal
    :raises OrthancError: what the client is to be answered, naming the field or the tag
    """
    fields = _Fields(body, settings)
    replaced = {item.path.tag for item in fields.replacements if item.path.is_top}
    if level is ResourceType.INSTANCE:
        for tag, parent in (
            (_PATIENT_ID, ResourceType.PATIENT),
            (_STUDY, ResourceType.STUDY),
            (_SERIES, ResourceType.SERIES),
        ):
            if tag in replaced:
                level = parent
                break
    return fields.modification(
        level, seed, edition=None, remove_private=fields.boolean("RemovePrivateTags")
    )


def parse_anonymize(
    body: JsonValue, level: ResourceType, settings: ModificationSettings, *, seed: str
) -> Modification:
    """The modification that the body of ``/anonymize`` asks for; the same as `parse_modify`.

    If it `Modification.wants_patient_name`, the caller gives it one by `Modification.named`.
    """
    if not isinstance(body, Mapping):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    edition = body.get("DicomVersion", DEFAULT_EDITION)
    if not isinstance(edition, str):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "DicomVersion should be a string")
    if edition not in EDITIONS:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f"Unknown specific version of the DICOM standard: {edition}",
        )
    fields = _Fields(body, settings)
    keeps_private = fields.boolean("KeepPrivateTags")
    return fields.modification(level, seed, edition=edition, remove_private=not keeps_private)


class _Fields:
    """The fields that both have."""

    def __init__(self, body: JsonValue, settings: ModificationSettings) -> None:
        if not isinstance(body, Mapping):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
        self._body = body
        self._settings = settings
        self._creator = self._text("PrivateCreator") or settings.dictionary.default_creator or None
        self.replacements = self._replacements()
        self._removed, self._removed_ranges = self._tags("Remove")
        self._kept, self._kept_ranges = self._tags("Keep")
        if not self.boolean("Force"):
            self._refuse_identifiers()

    def boolean(self, name: str, default: bool = False) -> bool:
        value = self._body.get(name, default)
        if not isinstance(value, bool):
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, f'Member "{name}" should be a Boolean value'
            )
        return value

    def modification(
        self, level: ResourceType, seed: str, *, edition: str | None, remove_private: bool
    ) -> Modification:
        """All fields together."""
        named = self.replacements or self._removed or self._removed_ranges
        return Modification(
            level=level,
            seed=seed,
            edition=edition,
            replacements=self.replacements,
            removed=self._removed,
            removed_ranges=self._removed_ranges,
            kept=self._kept,
            kept_ranges=self._kept_ranges,
            remove_private=remove_private,
            private_creator=self._creator,
            keep_source=self.boolean("KeepSource", default=True),
            keep_labels=self.boolean("KeepLabels"),
            transcode=self._transcode(),
            lossy_quality=self._lossy_quality(),
            drop_burned_in=self.boolean("DropBurnedIn"),
            conformant=(
                self.boolean("Conformant")
                if "Conformant" in self._body
                else self._settings.conformant
            ),
            is_minimal=edition is not None
            and remove_private
            and not (named or self._kept or self._kept_ranges),
        )

    def _text(self, name: str) -> str | None:
        value = self._body.get(name)
        if name in self._body and not isinstance(value, str):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f'Member "{name}" should be a string')
        return value if isinstance(value, str) else None

    def _replacements(self) -> tuple[Replacement, ...]:
        value = self._body.get("Replace", {})
        if not isinstance(value, Mapping):
            raise OrthancError(ErrorCode.BAD_REQUEST)
        found: dict[TagPath, Replacement] = {}
        for name, new in value.items():
            path = self._path(name)
            if path.tag >> 16 == _META_GROUP and path.is_top:
                continue  # the meta header is made anew
            try:
                check_value(path.tag, new, self._settings.dictionary, self._creator)
            except OrthancError as error:
                raise _as_bad_request(error) from None
            found[path] = Replacement(path, new)
        return tuple(found.values())

    def _tags(self, name: str) -> tuple[tuple[TagPath, ...], tuple[TagRange, ...]]:
        value = self._body.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise OrthancError(ErrorCode.BAD_REQUEST)
        paths: dict[TagPath, None] = {}
        ranges: list[TagRange] = []
        for text in value:
            found = parse_range(text)
            if found is None:
                paths[self._path(text)] = None
            else:
                ranges.append(found)
        return tuple(paths), tuple(ranges)

    def _path(self, text: str) -> TagPath:
        try:
            return parse_path(text, self._settings.dictionary)
        except OrthancError as error:
            raise _as_bad_request(error) from None

    def _refuse_identifiers(self) -> None:
        replaced = [item.path for item in self.replacements]
        for paths, ranges, what in (
            (replaced, (), "replaced"),
            (self._removed, self._removed_ranges, "removed"),
            (self._kept, self._kept_ranges, "kept"),
        ):
            for tag in _IDENTIFIERS:
                if TagPath.of(tag) in paths or any(tag in tags for tags in ranges):
                    raise OrthancError(
                        ErrorCode.BAD_REQUEST,
                        f'Marking tag "{tag_name(tag)}" as to be {what} requires the "Force" '
                        "option to be set to true",
                    )

    def _transcode(self) -> str | None:
        syntax = self._text("Transcode")
        if syntax is not None and not is_known_transfer_syntax(syntax):
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE, f"Unknown transfer syntax: {syntax}"
            )
        return syntax

    def _lossy_quality(self) -> int | None:
        value = self._body.get("LossyQuality")
        if "LossyQuality" not in self._body:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE,
                'Member "LossyQuality" should be an integer from 1 to 100',
            )
        return value


def _as_bad_request(error: OrthancError) -> OrthancError:
    """An unknown tag is the client's mistake: 400, where Orthanc says 500."""
    if error.code is ErrorCode.UNKNOWN_DICOM_TAG:
        return OrthancError(error.code, error.details, http_status=400)
    return error
