"""A scan over the top-level elements of a data set (PS3.5 section 7).

Reads headers, keeps the raw values that are wanted, steps over all others, pixel data included,
without reading them. It knows structure only: no values, no character sets, no main DICOM tags.

What is refused is what the reference refuses: an element that ends beyond the data set, a value
of undefined length that is no sequence, pixel data of a defined length in an encapsulated
transfer syntax, a remainder too short for an element. The content of sequences of a defined
length is not looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from orthanc_tw.dicom.source import Exhausted, Malformed, Source
from orthanc_tw.dicom.tags import PIXEL_DATA, UserDictionary, vr_of

UNDEFINED = 0xFFFFFFFF
MAX_VALUE_BYTES = 4096
MAX_SEQUENCE_BYTES = 1 << 20
_MAX_DEPTH = 64

_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
KNOWN_VRS = _SHORT_VRS | _LONG_VRS
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

_Unpack = Callable[[bytes, int], tuple[int, int]]
_UnpackExplicit = Callable[[bytes, int], tuple[int, bytes, int]]


def _swap(tag: int) -> int:
    return (tag & 0xFFFF) << 16 | tag >> 16


@dataclass(frozen=True, slots=True)
class Layout:
    """How the headers of elements are written (PS3.5 7.1)."""

    is_explicit: bool
    is_little_endian: bool


@dataclass(frozen=True, slots=True)
class _Headers:
    """Unpackers of one byte order. The four bytes of a tag are read as one number."""

    explicit: _UnpackExplicit
    implicit: _Unpack
    length: Callable[[bytes, int], tuple[int]]

    @classmethod
    def of_order(cls, order: str) -> _Headers:
        return cls(
            struct.Struct(order + "L2sH").unpack_from,
            struct.Struct(order + "LL").unpack_from,
            struct.Struct(order + "L").unpack_from,
        )


_HEADERS = {True: _Headers.of_order("<"), False: _Headers.of_order(">")}


class Wanted:
    """The tags whose values a scan keeps; made once, used for many scans.

    Its two tables are by the first four bytes of an element as one number: in little endian
    these are group and element swapped, and turning each one round would double the time.
    """

    def __init__(self, tags: Iterable[int], dictionary: UserDictionary | None = None) -> None:
        big = {tag: tag for tag in (*tags, PIXEL_DATA)}
        self.tables = {True: {_swap(tag): tag for tag in big}, False: big}
        self.dictionary = UserDictionary() if dictionary is None else dictionary


@dataclass(slots=True)
class Scanned:
    """Result of `scan`: what was found, the first of each kind.

    :ivar values: tag to VR (of the file, or of the dictionary if it has none) and raw value;
        the value is None if it is longer than `MAX_VALUE_BYTES` or `MAX_SEQUENCE_BYTES`
    :ivar undefined_length: tags of the sequences whose value ends with a delimiter
    :ivar pixel_data_offset: position of (7FE0,0010) in the source, or None
    :ivar pixel_data_vr: its VR in the file, or in the dictionary
    """

    values: dict[int, tuple[str, bytes | None]] = field(default_factory=dict)
    undefined_length: set[int] = field(default_factory=set)
    pixel_data_offset: int | None = None
    pixel_data_vr: str | None = None


def scan(
    source: Source, position: int, layout: Layout, wanted: Wanted, *, is_encapsulated: bool = False
) -> Scanned:
    """Scan the data set that starts at ``position`` to its end.

    Blocks on the disk. Takes time by the number of headers, memory by what is wanted.

    :raises Malformed: if it is no data set in that layout
    """
    found = Scanned()
    run = _Run(source, layout, wanted, is_encapsulated, found)
    step = run.explicit if layout.is_explicit else run.implicit
    try:
        while True:
            after = step(position)
            if after == position:
                return found
            position = after
    except Exhausted:
        if found.pixel_data_offset is None:
            raise
        return found


class _Run:
    """One scan: what its steps share."""

    def __init__(
        self,
        source: Source,
        layout: Layout,
        wanted: Wanted,
        is_encapsulated: bool,
        found: Scanned,
    ) -> None:
        self._source = source
        self._layout = layout
        self._table = wanted.tables[layout.is_little_endian]
        self._dictionary = wanted.dictionary
        self._is_encapsulated = is_encapsulated
        self._found = found
        headers = _HEADERS[layout.is_little_endian]
        self._explicit = headers.explicit
        self._implicit = headers.implicit
        self._long = headers.length

    def explicit(self, position: int) -> int:
        """Scan one window of explicit VR; the position after it, or the same at the end."""
        window, offset = self._source.window(position)
        base = position - offset
        end = len(window)
        last = end - 8
        header, long, table = self._explicit, self._long, self._table
        p = offset
        while p <= last:
            key, vr, length = header(window, p)
            if vr in _SHORT_VRS:
                start = p + 8
            else:
                is_long = vr in _LONG_VRS
                if not is_long:
                    delimited = self._delimiter(key, base + p)
                    if delimited:
                        p += delimited
                        continue
                    # The reference takes a VR that may come to be for one with a long header.
                    is_long = vr.isalpha() and vr.isupper()
                start = p + 8
                if is_long:
                    start += 4
                    if start > end:
                        break
                    length = long(window, p + 8)[0]
                    if length == UNDEFINED:
                        p = self._undefined(key, vr, base + p, base + start) - base
                        continue
            if key in table:
                value = window[start : start + length] if start + length <= end else None
                self._keep(table[key], vr, base + p, base + start, length, value)
            p = start + length
        return self._advance(position, base + p, base + end)

    def implicit(self, position: int) -> int:
        """As `explicit`, for implicit VR."""
        window, offset = self._source.window(position)
        base = position - offset
        end = len(window)
        last = end - 8
        header, table = self._implicit, self._table
        p = offset
        while p <= last:
            key, length = header(window, p)
            start = p + 8
            if length == UNDEFINED or key & 0xFFFF == 0xFFFE or key >> 16 == 0xFFFE:
                delimited = self._delimiter(key, base + p)
                if delimited:
                    p += delimited
                    continue
                if length == UNDEFINED:
                    vr = vr_of(self._tag(key), self._dictionary).encode()
                    p = self._undefined(key, vr, base + p, base + start) - base
                    continue
            if key in table:
                tag = table[key]
                vr = vr_of(tag, self._dictionary).encode()
                value = window[start : start + length] if start + length <= end else None
                self._keep(tag, vr, base + p, base + start, length, value)
            p = start + length
        return self._advance(position, base + p, base + end)

    def _advance(self, position: int, after: int, end: int) -> int:
        if after == position < end:
            raise Malformed(f"{end - position} bytes at {position} are too few for an element")
        return after

    def _tag(self, key: int) -> int:
        return _swap(key) if self._layout.is_little_endian else key

    def _delimiter(self, key: int, position: int) -> int:
        """Size of a delimiter that stands at the top level by mistake; 0 if it is none."""
        tag = self._tag(key)
        if tag == _ITEM_END:
            return 8
        if tag == _SEQUENCE_END and not self._source.read(position + 8, 1):
            return 8
        if tag in (_ITEM, _SEQUENCE_END):
            raise Malformed(f"a delimiter at {position} outside of any sequence")
        return 0

    def _keep(
        self, tag: int, vr: bytes, header: int, start: int, length: int, value: bytes | None
    ) -> None:
        """Keep the value of one wanted element of defined length."""
        found = self._found
        if tag in found.values:
            return
        if tag == PIXEL_DATA:
            if self._is_encapsulated:
                raise Malformed("pixel data of a defined length in an encapsulated syntax")
            self._pixel_data(header, vr)
            return
        name = vr.decode("latin-1")
        if length > (MAX_SEQUENCE_BYTES if name == "SQ" else MAX_VALUE_BYTES):
            value = None
        elif value is None:
            value = self._source.read(start, length)
            if len(value) < length:
                raise Malformed(f"the value at {start} is cut off")
        found.values[tag] = (name, value)

    def _pixel_data(self, header: int, vr: bytes) -> None:
        if self._found.pixel_data_offset is None:
            self._found.pixel_data_offset = header
            self._found.pixel_data_vr = vr.decode("latin-1")

    def _undefined(self, key: int, vr: bytes, header: int, start: int) -> int:
        """Step over a value of undefined length; the position after it."""
        tag = self._tag(key)
        if tag == PIXEL_DATA:
            self._pixel_data(header, vr)
            return self._skip_fragments(start)
        # CP-246: the content of UN is implicit VR, whatever the data set.
        is_explicit = self._layout.is_explicit and vr != b"UN"
        if vr not in (b"SQ", b"UN"):
            raise Malformed(f"a value of undefined length at {start} that is no sequence")
        end = self._skip_sequence(start, is_explicit, 0)
        if key in self._table and tag not in self._found.values:
            value = None
            if is_explicit == self._layout.is_explicit and end - start <= MAX_SEQUENCE_BYTES:
                value = self._source.read(start, end - start)
            self._found.values[tag] = ("SQ", value)
            self._found.undefined_length.add(tag)
        return end

    def _delimited_header(self, position: int) -> tuple[int, int]:
        """Tag and length of an item or a delimiter."""
        window, offset = self._source.window(position)
        if offset + 8 > len(window):
            raise Malformed(f"a sequence is cut off at {position}")
        key, length = self._implicit(window, offset)
        return self._tag(key), length

    def _skip_fragments(self, position: int) -> int:
        """Step over encapsulated pixel data (PS3.5 A.4), fragment by fragment."""
        while True:
            tag, length = self._delimited_header(position)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM or length == UNDEFINED:
                raise Malformed(f"no fragment of pixel data at {position - 8}")
            position += length

    def _skip_sequence(self, position: int, is_explicit: bool, depth: int) -> int:
        """Step over the items of a sequence and its delimiter (PS3.5 7.5)."""
        if depth > _MAX_DEPTH:
            raise Malformed(f"sequences are nested more than {_MAX_DEPTH} deep")
        while True:
            tag, length = self._delimited_header(position)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM:
                raise Malformed(f"no item of a sequence at {position - 8}")
            if length == UNDEFINED:
                position = self._skip_item(position, is_explicit, depth + 1)
            else:
                position += length

    def _skip_item(self, position: int, is_explicit: bool, depth: int) -> int:
        """Step over the elements of an item of undefined length and its delimiter."""
        while True:
            tag, length = self._delimited_header(position)
            if tag == _ITEM_END:
                return position + 8
            if tag >> 16 == 0xFFFE:
                raise Malformed(f"an unexpected delimiter at {position}")
            window, offset = self._source.window(position)
            if is_explicit:
                _, vr, length = self._explicit(window, offset)
                position += 8
                if vr in _LONG_VRS or (vr not in _SHORT_VRS and vr.isalpha() and vr.isupper()):
                    if offset + 12 > len(window):
                        raise Malformed(f"an element is cut off at {position}")
                    length = self._long(window, offset + 8)[0]
                    position += 4
            else:
                vr = b""
                position += 8
            if length == UNDEFINED:
                if not is_explicit:
                    vr = vr_of(tag, self._dictionary).encode()
                if tag == PIXEL_DATA:
                    position = self._skip_fragments(position)
                elif vr in (b"SQ", b"UN"):
                    position = self._skip_sequence(position, is_explicit and vr == b"SQ", depth)
                else:
                    raise Malformed(f"a value of undefined length at {position}")
            else:
                position += length
