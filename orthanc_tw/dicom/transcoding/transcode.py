"""A file in another transfer syntax: pixels and elements written anew, all else byte for byte."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from typing import BinaryIO, cast

from orthanc_tw.dicom.charset import Encoding, charsets_of
from orthanc_tw.dicom.codecs.encoding import ENCODINGS
from orthanc_tw.dicom.document import DEFLATED, Document, Element
from orthanc_tw.dicom.images.image_file import ImageFile, ImageLimits
from orthanc_tw.dicom.modification.encoding import NATIVE_SYNTAXES, ElementEncoding
from orthanc_tw.dicom.modification.identity import Identity
from orthanc_tw.dicom.modification.new_values import NotEncodable
from orthanc_tw.dicom.modification.paths import TagPath
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.policy import Policy
from orthanc_tw.dicom.modification.references import UidMap
from orthanc_tw.dicom.modification.rewrite import write_pieces
from orthanc_tw.dicom.modification.rope import Rope
from orthanc_tw.dicom.modification.writer import DatasetWriter
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.transcoding.derivation import Described, compression_values, image_values
from orthanc_tw.dicom.transcoding.pixels import NewPixels, encapsulated_pixels, native_pixels
from orthanc_tw.dicom.transcoding.refusal import refusal, refuse_syntax
from orthanc_tw.dicom.write_meta_header import meta_header
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.model.levels import ResourceType

_PIXELS, _ICON, _DERIVATION, _SOP_INSTANCE = 0x7FE00010, 0x00880200, 0x00082111, 0x00080018
_SAMPLES_PER_PIXEL, _PHOTOMETRIC = 0x00280002, 0x00280004
_PALETTE = (0x00281101, 0x00281102, 0x00281103, 0x00281199, 0x00281201, 0x00281202, 0x00281203)
# Smallest and LargestImagePixelValue, which a lossy codec does not keep
_EXTREMES = (0x00280106, 0x00280107)
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_TEXT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Transcoding:
    """What is asked for.

    :ivar syntaxes: UIDs of transfer syntaxes, the best first: the first that is possible is taken
    :ivar quality: of lossy ones, 1 to 100
    :ivar new_uid: whether what has lost information gets a new SOPInstanceUID (PS3.3
        C.7.6.1.1.5); without it, it keeps its own
    :ivar lossy: whether information may be lost
    """

    syntaxes: tuple[str, ...]
    quality: int = 90
    new_uid: bool = True
    lossy: bool = True


@dataclass(frozen=True, slots=True)
class Transcoded:
    """What has become of a file.

    :ivar syntax: UID of its transfer syntax
    :ivar sop_class_uid: '' if the file has none
    :ivar is_unchanged: it was in the wanted syntax already, and nothing was written
    """

    syntax: str
    sop_class_uid: str
    sop_instance_uid: str
    is_unchanged: bool = False


def transcode_instance(
    source: BinaryIO,
    target: BinaryIO,
    transcoding: Transcoding,
    scratch_folder: str | None = None,
    limits: ImageLimits | None = None,
) -> Transcoded:
    """Write a file in another transfer syntax. Blocks on the files; for a worker process.

    One frame at a time is in memory. The new UID of a lossy result follows from its content:
    the same file, transcoded the same way, is the same instance.

    :param source: a DICOM file, seekable
    :param target: written from its current position on, never sought
    :param scratch_folder: where the new pixels are kept until they are all there
    :raises OrthancError: BAD_FILE_FORMAT if it is no DICOM, or its pixels cannot be decoded;
        NOT_IMPLEMENTED (501) if none of the syntaxes can hold it
    """
    document = read_document(source)
    try:
        own = document.transfer_syntax
        described = _described(document)
        last: OrthancError | None = None
        for syntax in transcoding.syntaxes:
            if syntax == own:
                return Transcoded(
                    own, described.sop_class_uid, described.sop_instance_uid, is_unchanged=True
                )
            with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=scratch_folder) as scratch:
                try:
                    pixels, values = _new_pixels(
                        source, document, syntax, transcoding, cast(BinaryIO, scratch), limits
                    )
                    values = {**values, **_lost(described, pixels, syntax, transcoding)}
                    rope = _dataset(document, syntax, pixels, values)
                except OrthancError as error:
                    if last is None or last.http_status == 501:
                        last = error
                    continue
                uid = str(values.get(_SOP_INSTANCE, described.sop_instance_uid))
                target.write(meta_header(described.sop_class_uid, uid, syntax))
                write_pieces(rope, document, target, deflates=syntax == DEFLATED)
                return Transcoded(syntax, described.sop_class_uid, uid)
        raise last or refusal(own, "nothing", "no transfer syntax is given")
    finally:
        document.close()


def _new_pixels(
    source: BinaryIO,
    document: Document,
    syntax: str,
    transcoding: Transcoding,
    scratch: BinaryIO,
    limits: ImageLimits | None,
) -> tuple[NewPixels | None, dict[int, JsonValue]]:
    """The pixels, None if they stay as they are; and values that describe them."""
    own = document.transfer_syntax
    is_native = syntax in NATIVE_SYNTAXES
    refuse_syntax(syntax)
    if not is_native and ENCODINGS[syntax].is_lossy and not transcoding.lossy:
        raise refusal(own, syntax, "no information may be lost")
    pixels = document.dataset.elements.get(_PIXELS)
    if pixels is None:
        return None, {}
    if is_native and not pixels.is_encapsulated:
        return None, {}
    source.seek(0)
    image = ImageFile(source, limits)
    try:
        if is_native:
            made = native_pixels(image, ElementEncoding.of(syntax), scratch)
        else:
            made = encapsulated_pixels(image, syntax, transcoding.quality, scratch)
        return made, image_values(image.pixel_format, made.pixel_format)
    finally:
        image.close()


def _lost(
    described: Described, pixels: NewPixels | None, syntax: str, transcoding: Transcoding
) -> dict[int, JsonValue]:
    if pixels is None or pixels.encoding is None:
        return {}
    values = compression_values(described, pixels, syntax, transcoding.quality)
    if pixels.encoding.is_lossy and transcoding.new_uid:
        seed = hashlib.sha256(pixels.digest + syntax.encode("ascii")).digest()
        values[_SOP_INSTANCE] = Identity(seed).uid(described.sop_instance_uid)
    return values


def _dataset(
    document: Document, syntax: str, pixels: NewPixels | None, values: dict[int, JsonValue]
) -> Rope:
    try:
        return _written(document, syntax, pixels, values)
    except NotEncodable:
        # The old description is in a character set that it does not fit into
        return _written(document, syntax, pixels, {**values, _DERIVATION: ""})


def _written(
    document: Document, syntax: str, pixels: NewPixels | None, values: dict[int, JsonValue]
) -> Rope:
    elements = document.dataset.elements
    icon = elements.get(_ICON)
    # A compressed icon is in the old transfer syntax, as all pixel data of a file are (PS3.5 A.4)
    removed = [_ICON] if icon is not None and _is_compressed(icon) else []
    if values.get(_PHOTOMETRIC) and values.get(_SAMPLES_PER_PIXEL):
        removed += _PALETTE
    if pixels is not None and pixels.encoding is not None and pixels.encoding.is_lossy:
        removed += _EXTREMES
    modification = Modification(
        level=ResourceType.INSTANCE, seed="", removed=tuple(map(TagPath.of, removed))
    )
    identity = Identity(b"")
    return DatasetWriter(
        document,
        Policy(modification, ""),
        ModificationSettings(),
        top=values,
        edits=None,
        uids=UidMap(identity, {}, frozenset(), {}),
        patient_id=lambda old: old,
        encoding=ElementEncoding.of(syntax),
        encoded=None if pixels is None else {_PIXELS: pixels.element},
    ).write()


def _is_compressed(icon: Element) -> bool:
    return any(
        element.is_encapsulated for item in icon.items or () for element in item.elements.values()
    )


def _described(document: Document) -> Described:
    charset = charsets_of(document.dataset.specific_character_set, Encoding.LATIN1)

    def text(tag: int) -> str:
        element = document.dataset.elements.get(tag)
        if element is None or element.items is not None:
            return ""
        return charset.decode(document.read(element, _TEXT_BYTES)).strip(" \0")

    return Described(
        sop_class_uid=text(0x00080016),
        sop_instance_uid=text(_SOP_INSTANCE),
        image_type=text(0x00080008),
        derivation=text(_DERIVATION),
        ratio=text(0x00282112),
        method=text(0x00282114),
    )
