"""Reading fields of JSON bodies, with the errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twisted.web.server import Request

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_reading import read_json
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.rest.http import read_body

T = TypeVar("T")

# A string, to be kept; or a comma before a closing bracket, or a comment, to be dropped.
_LENIENT = re.compile(rb'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])|/\*.*?\*/|//[^\n]*', re.DOTALL)


def object_request(request: Request) -> Mapping[str, JsonValue]:
    """The body as a JSON object; comments and trailing commas are forgiven, as Orthanc does.

    :raises OrthancError: BAD_REQUEST if it is no JSON object
    """
    data = read_body(request)
    try:
        value = read_json(data)
    except (ValueError, RecursionError):
        try:
            value = read_json(_LENIENT.sub(lambda found: found[1] or b"", data))
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise bad_field("The body must contain a JSON object")
    return value


def bad_field(details: str) -> OrthancError:
    """BAD_REQUEST with details that name a field."""
    return OrthancError(ErrorCode.BAD_REQUEST, details)


def boolean(body: Mapping[str, JsonValue], name: str, default: bool = False) -> bool:
    """A Boolean; numbers are taken for one (0 is false).

    :raises OrthancError: BAD_REQUEST
    """
    value = body.get(name, default)
    if isinstance(value, bool | int | float):
        return bool(value)
    raise bad_field(f'Field "{name}" must be a Boolean')


def strict_boolean(body: Mapping[str, JsonValue], name: str) -> bool:
    """A Boolean, false if absent.

    :raises OrthancError: BAD_REQUEST
    """
    value = body.get(name, False)
    if isinstance(value, bool):
        return value
    raise bad_field(f'Field "{name}" must be a Boolean')


def natural(body: Mapping[str, JsonValue], name: str) -> int | None:
    """An integer that is not negative, None if absent.

    :raises OrthancError: BAD_REQUEST if it is no integer, PARAMETER_OUT_OF_RANGE if negative
    """
    value = body.get(name)
    if name not in body:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_field(f'Field "{name}" must be an integer')
    if value < 0:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, f'Field "{name}" must be a positive integer'
        )
    return min(value, 2**62)


def strings(
    body: Mapping[str, JsonValue], name: str, expected: str = "an array"
) -> Sequence[str] | None:
    """A list of strings, None if absent.

    :param expected: what the error says that the field must be
    :raises OrthancError: BAD_REQUEST
    """
    if name not in body:
        return None
    value = body[name]
    if not isinstance(value, list):
        raise bad_field(f'Field "{name}" must be {expected}')
    if not all(isinstance(item, str) for item in value):
        raise bad_field(f'Field "{name}" must contain strings')
    return value


def text(body: Mapping[str, JsonValue], name: str) -> str | None:
    """A string, None if absent.

    :raises OrthancError: BAD_REQUEST
    """
    if name not in body:
        return None
    value = body[name]
    if not isinstance(value, str):
        raise bad_field(f'Field "{name}" must be a string')
    return value


def known_tags(parse: Callable[[], T]) -> T:
    """Run what parses tags: an unknown one is the client's mistake (Orthanc answers 500).

    :raises OrthancError: UNKNOWN_DICOM_TAG with status 400
    """
    try:
        return parse()
    except OrthancError as error:
        raise of_client(error) from None


def of_client(error: OrthancError) -> OrthancError:
    """The error to answer with: an unknown tag that the client named is status 400."""
    if error.code is ErrorCode.UNKNOWN_DICOM_TAG:
        return OrthancError(error.code, error.details, http_status=400)
    return error
