"""Which bytes of which instances travel in one request.

Small instances are put together until the target size, large ones are split. In a bucket only
the first chunk may begin inside an instance, and nothing follows an instance that is not whole:
so a bucket is one range of the concatenation of its instances.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue

#: Longest list of identifiers of a bucket, bytes: it goes into the line of a request, which
#: proxies limit to 8 KiB.
MAXIMUM_URL_BYTES = 7000
_DIGITS = 19
_IDENTIFIER = re.compile("[0-9A-Za-z-]{1,64}")
_MD5 = re.compile("[0-9A-Fa-f]{32}")


@dataclass(frozen=True, slots=True)
class TransferInstance:
    """An instance as the wire describes it.

    :ivar md5: of its DICOM file, hexadecimal
    """

    public_id: str
    size_bytes: int
    md5: str

    def to_json(self) -> JsonObject:
        """As it travels: sizes are decimal strings."""
        return {"ID": self.public_id, "Size": str(self.size_bytes), "MD5": self.md5}

    @classmethod
    def from_json(cls, value: JsonValue) -> TransferInstance:
        """What a peer says.

        :raises OrthancError: BAD_FILE_FORMAT naming the field
        """
        item = _object(value, "Instances")
        public_id, md5 = item.get("ID"), item.get("MD5")
        # Identifiers of a bucket are joined by dots in a URL.
        if not isinstance(public_id, str) or not _IDENTIFIER.fullmatch(public_id):
            raise _bad('"Instances.ID" must be an identifier of Orthanc')
        if not isinstance(md5, str) or not _MD5.fullmatch(md5):
            raise _bad('"Instances.MD5" must be 32 hexadecimal digits')
        return cls(public_id, decimal(item.get("Size"), "Instances.Size"), md5.lower())


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an instance; ``instance`` is its number in the list of instances."""

    instance: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Chunks that travel together."""

    chunks: tuple[Chunk, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all chunks, before compression."""
        return sum(chunk.size_bytes for chunk in self.chunks)

    @property
    def offset(self) -> int:
        """Where it begins in the concatenation of its instances."""
        return self.chunks[0].offset

    def to_json(self, instances: Sequence[TransferInstance]) -> list[JsonValue]:
        """As it travels."""
        return [
            {
                "ID": instances[chunk.instance].public_id,
                "Offset": str(chunk.offset),
                "Size": str(chunk.size_bytes),
            }
            for chunk in self.chunks
        ]


def make_buckets(
    instances: Sequence[TransferInstance], target_bytes: int, url_bytes: int = MAXIMUM_URL_BYTES
) -> Iterator[Bucket]:
    """All bytes of all instances, each once and in order.

    :param target_bytes: size of a bucket, at least 1; only many small ones make it a little larger
    """
    gathered: list[Chunk] = []
    size = length = 0
    for number, instance in enumerate(instances):
        name = len(instance.public_id) + 1
        if gathered and (
            instance.size_bytes > target_bytes
            or size + instance.size_bytes > target_bytes
            or length + name > url_bytes
        ):
            yield Bucket(tuple(gathered))
            gathered, size, length = [], 0, 0
        if instance.size_bytes > target_bytes:
            for offset in range(0, instance.size_bytes, target_bytes):
                part = min(target_bytes, instance.size_bytes - offset)
                yield Bucket((Chunk(number, offset, part),))
            continue
        gathered.append(Chunk(number, 0, instance.size_bytes))
        size += instance.size_bytes
        length += name
    if gathered:
        yield Bucket(tuple(gathered))


def parse_buckets(value: JsonValue, instances: Sequence[TransferInstance]) -> list[Bucket]:
    """The buckets that a peer announces.

    :raises OrthancError: BAD_FILE_FORMAT if they are malformed, or break the rules of a bucket
    """
    if not isinstance(value, list):
        raise _bad('"Buckets" must be an array')
    numbers = {instance.public_id: number for number, instance in enumerate(instances)}
    return [_bucket(bucket, numbers, instances) for bucket in value]


def _bucket(
    value: JsonValue, numbers: dict[str, int], instances: Sequence[TransferInstance]
) -> Bucket:
    if not isinstance(value, list) or not value:
        raise _bad('"Buckets" must contain arrays that are not empty')
    chunks: list[Chunk] = []
    is_whole = True
    for entry in value:
        item = _object(entry, "Buckets")
        number = numbers.get(str(item.get("ID")))
        if number is None:
            raise _bad('"Buckets.ID" must be one of the instances')
        offset = decimal(item.get("Offset"), "Buckets.Offset")
        size = decimal(item.get("Size"), "Buckets.Size")
        end = offset + size
        if not is_whole or (chunks and offset) or end > instances[number].size_bytes:
            raise _bad('"Buckets" must be ranges of the concatenation of instances')
        is_whole = end == instances[number].size_bytes
        chunks.append(Chunk(number, offset, size))
    return Bucket(tuple(chunks))


def parse_instances(value: JsonValue) -> list[TransferInstance]:
    """The instances that a peer announces, each named once.

    :raises OrthancError: BAD_FILE_FORMAT naming the field
    """
    if not isinstance(value, list):
        raise _bad('"Instances" must be an array')
    instances = [TransferInstance.from_json(item) for item in value]
    if len({instance.public_id for instance in instances}) != len(instances):
        raise _bad('"Instances.ID" must be named once each')
    return instances


def decimal(value: Any, name: str) -> int:
    """A number of bytes, a decimal string or (leniently) an integer.

    :raises OrthancError: BAD_FILE_FORMAT naming the field
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_DIGITS:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        return int(value)
    raise _bad(f'"{name}" must be a decimal number in a string')


def _object(value: JsonValue, name: str) -> JsonObject:
    if not isinstance(value, dict):
        raise _bad(f'"{name}" must contain objects')
    return value


def _bad(details: str) -> OrthancError:
    return OrthancError(ErrorCode.BAD_FILE_FORMAT, details)
