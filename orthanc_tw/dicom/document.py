"""A DICOM file as a tree of raw elements: where every value is, not what it means.

Owns the structure of a file (PS3.10 section 7, PS3.5 section 7 and annex A.4): meta information,
transfer syntaxes, nested items, fragments, and the limits on them. Large values are never read:
an element knows their place in the file. Knows nothing of text, JSON and routes.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast

from orthanc_tw.model.errors import ErrorCode, OrthancError

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
EXPLICIT = "1.2.840.10008.1.2.1"
_CHUNK_BYTES = 64 * 1024
# Size of the numbers of a value, which big endian files have the other way round
NUMBER_BYTES = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """What a file may cost, so that a malicious one costs no more.

    :ivar max_depth: levels of nested sequences
    :ivar max_elements: elements of all levels, and fragments
    :ivar inline_bytes: values up to this size are read with the structure
    :ivar max_inflated_bytes: size of the data set of a deflated file
    """

    max_depth: int = 64
    max_elements: int = 2_000_000
    inline_bytes: int = 1024
    max_inflated_bytes: int = 1024 * 1024 * 1024


@dataclass(slots=True)
class Element:
    """A data element.

    :ivar tag: ``0xggggeeee``
    :ivar vr: two letters; that of the dictionary in implicit VR
    :ivar offset: of the value, in bytes from the start of `Document.file`
    :ivar length: of the value in bytes; of undefined length, up to the delimiter
    :ivar private_creator: of its block, if it is private and has one
    :ivar inline: the value, if it is small and neither a sequence nor encapsulated
    :ivar items: of a sequence, else None
    :ivar fragments: ``(offset, length)`` of each fragment, offset table first, of an
        encapsulated value; None for others and for one that was not entered
    :ivar start: of its tag, in bytes from the start of `Document.file`
    :ivar has_bad_vr: without a VR although the file is of explicit VR
    """

    tag: int
    vr: str
    offset: int
    length: int
    private_creator: str | None = None
    inline: bytes | None = None
    items: list[Item] | None = None
    fragments: list[tuple[int, int]] | None = None
    is_encapsulated: bool = False
    start: int = 0
    has_bad_vr: bool = False


@dataclass(slots=True)
class Item:
    """A data set or an item of a sequence: elements by tag, in the order of the file.

    :ivar specific_character_set: that of the item, or inherited (PS3.3 C.12.1.1.2)
    :ivar implicit: encoded without VRs, as a whole file or a sequence of VR UN may be
    """

    elements: dict[int, Element] = field(default_factory=dict)
    little_endian: bool = True
    specific_character_set: str | None = None
    implicit: bool = False

    def __iter__(self) -> Iterator[Element]:
        return iter(self.elements.values())


@dataclass(slots=True)
class Document:
    """A parsed file.

    :ivar meta: group 0002; empty without meta information
    :ivar dataset: everything else
    :ivar transfer_syntax: UID of the meta information, or of the encoding that was found
    :ivar file: where offsets point to: the file that was parsed, or a temporary one with the
        inflated data set of a deflated one
    """

    meta: Item
    dataset: Item
    transfer_syntax: str
    file: BinaryIO
    is_temporary: bool = False

    def read(self, element: Element, limit_bytes: int | None = None) -> bytes:
        """The value of an element, or its first bytes. May block on the file."""
        if element.inline is not None:
            return element.inline if limit_bytes is None else element.inline[:limit_bytes]
        length = element.length if limit_bytes is None else min(element.length, limit_bytes)
        self.file.seek(element.offset)
        return self.file.read(length)

    def chunks(
        self, offset: int, length: int, size_bytes: int = _CHUNK_BYTES, swapped_bytes: int = 1
    ) -> Iterator[bytes]:
        """A range of the file, piece by piece. Blocks on the file.

        :param size_bytes: of a piece, at most; a multiple of ``swapped_bytes``
        :param swapped_bytes: size of numbers whose bytes are to be put in the other order
        """
        done = 0
        while done < length:
            self.file.seek(offset + done)
            data = self.file.read(min(size_bytes, length - done))
            if not data:
                return
            done += len(data)
            yield swapped(data, swapped_bytes)

    def close(self) -> None:
        """Free the temporary file, if there is one; the file of the caller stays open."""
        if self.is_temporary:
            self.file.close()


def inflate(file: BinaryIO, offset: int, limit_bytes: int) -> IO[bytes]:
    """Temporary file with the inflated rest of ``file`` (PS3.5 section A.5) at the same offset.

    :raises OrthancError: BAD_FILE_FORMAT if it is no deflated stream or exceeds the limit
    """
    target = tempfile.SpooledTemporaryFile(max_size=8 * 1024 * 1024)  # noqa: SIM115
    try:
        target.write(bytes(offset))
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        file.seek(offset)
        while not engine.eof:
            data = engine.unconsumed_tail or file.read(_CHUNK_BYTES)
            if not data:
                break
            target.write(engine.decompress(data, _CHUNK_BYTES))
            if target.tell() > offset + limit_bytes:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The inflated data set is too large")
    except zlib.error:
        target.close()
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Not a deflated data set") from None
    except BaseException:
        target.close()
        raise
    return cast("IO[bytes]", target)


def swapped(data: bytes, unit: int) -> bytes:
    """Numbers of ``unit`` bytes in the other byte order; a rest that is none stays."""
    if unit == 1:
        return data
    usable = len(data) // unit * unit
    turned = bytearray(usable)
    for byte in range(unit):
        turned[byte::unit] = data[unit - 1 - byte : usable : unit]
    return bytes(turned) + data[usable:]
