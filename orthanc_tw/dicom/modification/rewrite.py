"""Rewriting one instance: the pure function that workers run."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from orthanc_tw.dicom.charset import CharacterSet, Encoding, charsets_of
from orthanc_tw.dicom.document import DEFLATED, Document, Element
from orthanc_tw.dicom.modification.burned_in import burned_in_reason
from orthanc_tw.dicom.modification.edits import Edits
from orthanc_tw.dicom.modification.encoding import NATIVE_SYNTAXES, ElementEncoding
from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.leaks import Leaks
from orthanc_tw.dicom.modification.new_values import NotEncodable
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.policy import Policy
from orthanc_tw.dicom.modification.profile import Action, profile
from orthanc_tw.dicom.modification.references import INSTANCE, SERIES, STUDY, UidMap
from orthanc_tw.dicom.modification.report import Report
from orthanc_tw.dicom.modification.rope import FilePiece, Piece, Rope
from orthanc_tw.dicom.modification.writer import DatasetWriter
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tags import is_private
from orthanc_tw.dicom.write_meta_header import meta_header
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType

_CHARSET, _SOP_CLASS, _META_SOP_CLASS = 0x00080005, 0x00080016, 0x00020002
_PATIENT_NAME, _PATIENT_ID = 0x00100010, 0x00100020
_IDENTITY_REMOVED, _METHOD = 0x00120062, 0x00120063
_UTF8 = "ISO_IR 192"
_CHUNK_BYTES = 256 * 1024


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
    target: BinaryIO | None,
    settings: ModificationSettings | None = None,
    *,
    members: Mapping[str, int] | None = None,
    report: Report | None = None,
) -> ModifiedInstance:
    """Write the modified instance. Blocks on the files; for a worker process or a thread.

    Pixel data and other large values are copied piece by piece and never decoded. A
    modification that transcodes to another encoding of the pixels is not done here: see
    `Modification.transcode`; native encodings are.

    :param source: a DICOM file, seekable
    :param target: written from its current position on, never sought; None for a dry run
    :param members: UIDs of all studies, series and instances of the job, each with `STUDY`,
        `SERIES` or `INSTANCE`: a modification lets references to these follow (none if it is
        None); an anonymization replaces all
    :param report: told what becomes of each element
    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM; BAD_PARAMETER_TYPE or
        PARAMETER_OUT_OF_RANGE with the tag if a value does not fit its VR; NOT_IMPLEMENTED
        if it is to be transcoded to or from encapsulated pixels
    """
    document = read_document(
        source, dictionary=(settings or ModificationSettings()).dictionary or None
    )
    try:
        rewriting = _Rewriting(
            modification, identity, document, settings or ModificationSettings(), members, report
        )
        if modification.drop_burned_in:
            dropped = burned_in_reason(document)
            if dropped is not None:
                return ModifiedInstance(rewriting.source, rewriting.source, dropped)
        rope = rewriting.rope()
        if target is not None:
            rewriting.write(rope, target)
        return ModifiedInstance(rewriting.source, rewriting.result)
    finally:
        document.close()


class _Rewriting:
    """The values that depend on the instance, and the order of things."""

    def __init__(
        self,
        modification: Modification,
        identity: Identity,
        document: Document,
        settings: ModificationSettings,
        members: Mapping[str, int] | None,
        report: Report | None,
    ) -> None:
        self._modification = modification
        self._identity = identity
        self._document = document
        self._settings = settings
        self._report = report
        self._charset = charsets_of(
            document.dataset.specific_character_set, settings.default_encoding
        )
        self._policy = Policy(modification, self._value(_SOP_CLASS))
        self._top: dict[int, JsonValue] = {
            self._resolved(item.path.tag): item.value
            for item in modification.replacements
            if item.path.is_top
        }
        self.source = self._identifiers({})
        self._kept = self._identify()
        self._reserve_blocks()
        self.result = self._identifiers(self._top)
        self._uids = UidMap(
            identity,
            {
                old: new
                for old, new in (
                    (self.source.study_instance_uid, self.result.study_instance_uid),
                    (self.source.series_instance_uid, self.result.series_instance_uid),
                    (self.source.sop_instance_uid, self.result.sop_instance_uid),
                )
                if old
            },
            self._kept,
            None if modification.is_anonymization else members or {},
            {
                tag: value
                for tag in (STUDY, SERIES)
                if isinstance(value := modification.replacement(tag), str)
            },
        )
        self._syntax = self._target_syntax()

    def rope(self) -> Rope:
        """The new data set; in UTF-8 if its character set lacks a character of a new value."""
        wanted = self._top.get(_CHARSET)
        if isinstance(wanted, str):
            charset = charsets_of(wanted, Encoding.ASCII)
            if charset.encoding is Encoding.ASCII and wanted not in ("", "ISO_IR 6"):
                raise OrthancError(
                    ErrorCode.PARAMETER_OUT_OF_RANGE, f"Unknown SpecificCharacterSet: {wanted}"
                )
            try:
                return self._written(charset)
            except NotEncodable:
                raise OrthancError(
                    ErrorCode.BAD_REQUEST,
                    f"SpecificCharacterSet {wanted} lacks a character of the text",
                ) from None
        try:
            return self._written(None)
        except NotEncodable:
            if self._report is not None:
                self._report.counts.clear()
            self._top[_CHARSET] = _UTF8
            return self._written(charsets_of(_UTF8, Encoding.UTF8))

    def write(self, rope: Rope, target: BinaryIO) -> None:
        """The file: meta information, and the data set, deflated if its syntax is."""
        sop_class = self._value(_SOP_CLASS) or _meta_text(self._document, _META_SOP_CLASS)
        target.write(meta_header(sop_class, self.result.sop_instance_uid, self._syntax))
        write_pieces(rope, self._document, target, deflates=self._syntax == DEFLATED)

    def _written(self, target_charset: CharacterSet | None) -> Rope:
        edition = self._modification.edition
        return DatasetWriter(
            self._document,
            self._policy,
            self._settings,
            top=self._top,
            edits=Edits.of(self._modification),
            uids=self._uids,
            patient_id=self._nested_patient_id(),
            encoding=ElementEncoding.of(self._syntax),
            private_creator=self._modification.private_creator,
            target_charset=target_charset,
            leaks=Leaks(self._document, self._action, edition) if edition else None,
            report=self._report,
        ).write()

    def _action(self, tag: int) -> Action:
        return self._policy.action(tag, 0)

    def _identify(self) -> frozenset[int]:
        """Add the new identifiers to the values that are set; answers those that are kept."""
        modification, identity = self._modification, self._identity
        kept: set[int] = set()
        removed = {path.tag for path in modification.removed if path.is_top}
        for tag, level, old in (
            (STUDY, ResourceType.STUDY, self.source.study_instance_uid),
            (SERIES, ResourceType.SERIES, self.source.series_instance_uid),
            (INSTANCE, ResourceType.INSTANCE, self.source.sop_instance_uid),
        ):
            if tag in self._top or tag in removed:
                continue
            changes = modification.is_anonymization or modification.level <= level
            if changes and not modification.keeps(tag):
                # One that is missing must not get the new UID of another that is missing
                self._top[tag] = identity.uid(old or f"missing {tag:08x}")
            else:
                kept.add(tag)
        if modification.edition is not None:
            self._deidentify(modification.edition, removed)
        return frozenset(kept)

    def _deidentify(self, edition: str, removed: set[int]) -> None:
        modification, identity = self._modification, self._identity
        old = self.source.patient_id
        for tag, value in (
            (_PATIENT_ID, identity.patient_id(old)),
            (_PATIENT_NAME, identity.patient_name(old) or "Anonymized"),
        ):
            if tag not in self._top and tag not in removed and not modification.keeps(tag):
                self._top[tag] = value
        method = self._settings.software
        if modification.is_minimal:
            method += f" - {profile(edition).method}"
        self._top.setdefault(_IDENTITY_REMOVED, "YES")
        self._top.setdefault(_METHOD, method)

    def _nested_patient_id(self) -> Callable[[str], str]:
        own, new = self.source.patient_id, self.result.patient_id
        return lambda old: new if old == own else self._identity.patient_id(old)

    def _resolved(self, tag: int) -> int:
        """A private element in the block that its creator has in this data set."""
        creator = self._modification.private_creator
        if creator is None or not is_private(tag) or tag & 0xFFFF < 0x1000:
            return tag
        for element in self._creators(tag >> 16):
            value = (element.inline or b"").decode("latin-1").strip(" \0")
            if value == creator:
                return tag & 0xFFFF0000 | (element.tag & 0xFF) << 8 | tag & 0xFF
        return tag

    def _reserve_blocks(self) -> None:
        """Give new private elements the element that reserves their block (PS3.5 7.8.1)."""
        creator = self._modification.private_creator
        if creator is None:
            return
        for tag in list(self._top):
            if is_private(tag) and tag & 0xFFFF >= 0x1000:
                reserving = tag & 0xFFFF0000 | tag >> 8 & 0xFF
                if reserving not in self._document.dataset.elements:
                    self._top.setdefault(reserving, creator)

    def _creators(self, group: int) -> list[Element]:
        elements = self._document.dataset.elements
        first = group << 16 | 0x10
        return [elements[tag] for tag in range(first, first + 0xF0) if tag in elements]

    def _target_syntax(self) -> str:
        own, wanted = self._document.transfer_syntax, self._modification.transcode
        if wanted is None or wanted == own:
            return own
        if own in NATIVE_SYNTAXES and wanted in NATIVE_SYNTAXES:
            return wanted
        raise OrthancError(
            ErrorCode.NOT_IMPLEMENTED,
            f'Field "Transcode": {own} cannot be transcoded to {wanted}',
            http_status=501,
        )

    def _identifiers(self, top: dict[int, JsonValue]) -> Identifiers:
        return Identifiers(
            *(
                value.strip(" \0") if isinstance(value := top.get(tag), str) else self._value(tag)
                for tag in (_PATIENT_ID, STUDY, SERIES, INSTANCE)
            )
        )

    def _value(self, tag: int) -> str:
        """Text of an element of the source."""
        element = self._document.dataset.elements.get(tag)
        if element is None or element.items is not None:
            return ""
        return self._charset.decode(self._document.read(element, 1024)).strip(" \0")


def write_pieces(rope: Rope, document: Document, target: BinaryIO, *, deflates: bool) -> None:
    """The bytes of a data set. Blocks on the files.

    :param document: that the rope was made from
    :param deflates: whether the transfer syntax is the deflated one (PS3.5 A.5)
    """
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS) if deflates else None
    for piece in rope:
        for data in piece_chunks(piece, document):
            target.write(deflater.compress(data) if deflater else data)
    if deflater:
        rest = deflater.flush()
        # PS3.5 A.5: padded to an even length
        target.write(rest + b"\0" * (len(rest) & 1))


def piece_chunks(piece: Piece, document: Document) -> Iterable[bytes]:
    """The bytes of a piece of a rope that was made from the document. Blocks on the files."""
    if isinstance(piece, bytes):
        return (piece,)
    if isinstance(piece, FilePiece):
        return piece.chunks(_CHUNK_BYTES)
    start, length, unit = piece
    return document.chunks(start, length, _CHUNK_BYTES, unit)


def _meta_text(document: Document, tag: int) -> str:
    element = document.meta.elements.get(tag)
    return (element.inline or b"").decode("ascii", "replace").strip(" \0") if element else ""
