"""The body of ``POST /tools/create-dicom``: what is to be created.

Source: REST API, ``/tools/create-dicom``. A body without ``Tags`` is of the deprecated form: its
members are the tags themselves, all of them text, and ``PixelData`` holds the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orthanc_tw.core.creation.data_uris import DataUri, decoded
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.storage.interface import Spool

NewSpool = Callable[[], Spool]
_PIXEL_DATA_NAMES = ("PixelData", "7fe0,0010", "7fe0-0010", "7fe00010")


@dataclass(frozen=True, slots=True)
class NewInstance:
    """One of the instances.

    :ivar tags: values by name, beside those of the request
    :ivar content: None if there is none
    """

    tags: Mapping[str, JsonValue]
    content: DataUri | None


@dataclass(frozen=True, slots=True)
class Creation:
    """What is to be created.

    :ivar tags: values by name
    :ivar instances: one, or those of a series
    :ivar is_series: whether ``Content`` is a list
    :ivar parent: public identifier
    :ivar force: whether the model of the real world is the client's to keep
    :ivar interpret: whether ``data:`` URIs in tags stand for their bytes
    :ivar encapsulate: whether JPEG is kept as it is
    :ivar deprecated: whether the body is of the deprecated form
    """

    tags: Mapping[str, JsonValue]
    instances: tuple[NewInstance, ...]
    is_series: bool = False
    parent: str | None = None
    private_creator: str | None = None
    force: bool = False
    interpret: bool = True
    encapsulate: bool = False
    deprecated: bool = False


def parse_creation(body: Any, new_spool: NewSpool) -> Creation:
    """Read a body. May write spools: call it in a thread.

    :param body: of `LargeJson.read`
    :raises OrthancError: that names what is wrong; see the recordings of topic 27
    """
    if not isinstance(body, dict):
        raise OrthancError(ErrorCode.BAD_REQUEST)
    if "Tags" not in body:
        return _deprecated(body, new_spool)
    tags = _tags(body["Tags"])
    content = body.get("Content")
    if isinstance(content, list) and content:
        instances = [_instance(item, new_spool) for item in content]
    else:
        # An empty list is no content, as null is
        instances = [NewInstance({}, _content(None if content == [] else content, new_spool))]
    parent = body.get("Parent")
    if parent is not None and not isinstance(parent, str):
        raise OrthancError(ErrorCode.CREATE_DICOM_BAD_PARENT)
    creator = body.get("PrivateCreator")
    if creator is not None and not isinstance(creator, str):
        raise _bad_field("PrivateCreator", "text")
    return Creation(
        tags,
        tuple(instances),
        isinstance(content, list) and bool(content),
        parent,
        creator or None,
        _flag(body, "Force", False),
        _flag(body, "InterpretBinaryTags", True),
        _flag(body, "Encapsulate", False),
    )


def _deprecated(body: Mapping[str, Any], new_spool: NewSpool) -> Creation:
    tags: dict[str, JsonValue] = {}
    content: DataUri | None = None
    for name in sorted(body):
        value = body[name]
        if not isinstance(value, str | DataUri):
            raise OrthancError(ErrorCode.CREATE_DICOM_NOT_STRING)
        if name in _PIXEL_DATA_NAMES:
            content = _content(value, new_spool)
        else:
            tags[name] = value.text() if isinstance(value, DataUri) else value
    return Creation(tags, (NewInstance({}, content),), deprecated=True)


def _tags(value: Any) -> Mapping[str, JsonValue]:
    """Tags with all their text: large values of elements are few, and held while encoded."""
    if not isinstance(value, dict):
        raise OrthancError(ErrorCode.BAD_REQUEST)
    return {name: _plain(nested) for name, nested in value.items()}


def _plain(value: Any) -> JsonValue:
    if isinstance(value, DataUri):
        return value.text()
    if isinstance(value, list):
        return [_plain(nested) for nested in value]
    if isinstance(value, dict):
        return {name: _plain(nested) for name, nested in value.items()}
    plain: JsonValue = value
    return plain


def _instance(item: Any, new_spool: NewSpool) -> NewInstance:
    if isinstance(item, dict):
        content = item.get("Content")
        if content is None:
            raise OrthancError(ErrorCode.CREATE_DICOM_NO_PAYLOAD)
        return NewInstance(_tags(item.get("Tags", {})), _content(content, new_spool))
    return NewInstance({}, _content(item, new_spool))


def _content(value: Any, new_spool: NewSpool) -> DataUri | None:
    if value is None or isinstance(value, DataUri):
        return value
    if not isinstance(value, str):
        raise OrthancError(ErrorCode.CREATE_DICOM_USE_DATA_URI_SCHEME)
    spool = new_spool()
    try:
        uri = decoded(value, spool)
        if uri is None:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    except BaseException:
        spool.discard()
        raise
    return uri


def _flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise _bad_field(name, "a Boolean")
    return value


def _bad_field(name: str, what: str) -> OrthancError:
    return OrthancError(ErrorCode.BAD_REQUEST, f'Field "{name}" must be {what}')
