"""What a request for an archive asks for, of its arguments or its body. Source: topic 20."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.web.server import Request

from orthanc_tw.dicom.public_dictionary import uid_entry
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.rest.http import argument
from orthanc_tw.rest.submission import (
    SubmissionOptions,
    boolean_field,
    integer_field,
    parse_submission,
)

NOT_A_LIST = "Expected a list of resources to archive in the body"
_NOT_STRINGS = "Expected a list of strings (Orthanc identifiers)"


@dataclass(frozen=True, slots=True)
class ArchiveRequest:
    """What a request asks for, beside its resources."""

    media: bool
    extended: bool
    utf8: bool
    filename: str
    transcode: str | None
    lossy_quality: int | None
    options: SubmissionOptions


def from_arguments(
    request: Request, *, media: bool, extended: bool, utf8: bool, filename: str
) -> ArchiveRequest:
    """What the arguments of a GET ask for.

    :param extended: whether it asks for an extended DICOMDIR
    :param filename: unless it names another
    :raises OrthancError: BAD_REQUEST or PARAMETER_OUT_OF_RANGE naming the argument
    """
    quality = None
    text = argument(request, "lossy-quality")
    if text is not None:
        if not text.isascii() or not text.isdigit():
            raise OrthancError(
                ErrorCode.BAD_REQUEST, "Integer value expected in argument: lossy-quality"
            )
        quality = _checked_quality(int(text[:9]), "lossy-quality")
    return ArchiveRequest(
        media,
        extended,
        utf8,
        argument(request, "filename") or filename,
        _checked_syntax(argument(request, "transcode")),
        quality,
        SubmissionOptions(synchronous=True),
    )


def from_body(
    body: JsonValue, *, media: bool, extended: bool, utf8: bool, filename: str
) -> ArchiveRequest:
    """What the body of a POST asks for; the other parameters are what it is without the fields.

    :raises OrthancError: BAD_FILE_FORMAT or PARAMETER_OUT_OF_RANGE naming the field
    """
    options = parse_submission(body, synchronous_by_default=True)
    extended = boolean_field(body, "Extended", extended)
    quality = integer_field(body, "LossyQuality", 0)
    return ArchiveRequest(
        media,
        extended and media,
        boolean_field(body, "Utf8", utf8),
        _string_field(body, "Filename") or filename,
        _checked_syntax(_string_field(body, "Transcode")),
        _checked_quality(quality, "LossyQuality") if quality else None,
        options,
    )


def listed_resources(body: JsonValue) -> tuple[str, ...]:
    """The identifiers that a body lists, or an object has in ``Resources``.

    :raises OrthancError: BAD_FILE_FORMAT
    """
    if isinstance(body, dict):
        if "Resources" not in body:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, "Missing field Resources in the JSON body"
            )
        body = body["Resources"]
    elif not isinstance(body, list):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, NOT_A_LIST)
    if not isinstance(body, list):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, _NOT_STRINGS)
    strings = tuple(item for item in body if isinstance(item, str))
    if len(strings) != len(body):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, _NOT_STRINGS)
    return strings


def _string_field(body: JsonValue, name: str) -> str | None:
    if not isinstance(body, dict) or name not in body:
        return None
    value = body[name]
    if not isinstance(value, str):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"String value expected in field: {name}")
    return value


def _checked_syntax(uid: str | None) -> str | None:
    if uid is not None and uid_entry(uid)[1] != "Transfer Syntax":
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE, f"Unknown transfer syntax: {uid}")
    return uid


def _checked_quality(quality: int, name: str) -> int:
    if not 1 <= quality <= 100:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, f"The quality must be in [1, 100]: {name}"
        )
    return quality
