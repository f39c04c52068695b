"""The view and the page that query arguments ask for."""

from __future__ import annotations

from twisted.web.server import Request

from orthanc_tw.core.content import DEFAULT, Content, View, parse_content
from orthanc_tw.dicom.requested_tags import parse_requested_tags
from orthanc_tw.dicom.tag_json import TagFormat
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.fields import known_tags
from orthanc_tw.rest.http import argument, has_argument

_PLAIN = View()


def format_of(request: Request, default: TagFormat) -> TagFormat:
    """Format by ``?simplify``, ``?short`` or ``?full``."""
    for tag_format in (TagFormat.SIMPLIFY, TagFormat.SHORT, TagFormat.FULL):
        if is_set(request, tag_format.value):
            return tag_format
    return default


def is_set(request: Request, name: str) -> bool:
    """Whether an argument is there, and its last value is not ``false``."""
    if not has_argument(request, name):
        return False
    values = (request.args or {}).get(name.encode("ascii"), [b""])
    return values[-1] not in (b"false", b"0")


def view_of(
    request: Request, content: Content = DEFAULT, dictionary: UserDictionary | None = None
) -> View:
    """How to show resources.

    :param dictionary: names of tags that the configuration adds
    :raises OrthancError: BAD_REQUEST for an unknown tag
    """
    if not request.args and b"?" not in request.uri:
        return _PLAIN if content is DEFAULT else View(content)
    requested = known_tags(
        lambda: parse_requested_tags(argument(request, "requested-tags") or "", dictionary)
    )
    return View(content, format_of(request, TagFormat.SIMPLIFY), requested)


def content_of(request: Request) -> Content:
    """Parts that ``response-content`` names, or all.

    :raises OrthancError: PARAMETER_OUT_OF_RANGE for an unknown name
    """
    names = argument(request, "response-content")
    return DEFAULT if not names else parse_content(name for name in names.split(";") if name)


def since_and_limit(request: Request, path: str) -> tuple[int, int]:
    """``since`` and ``limit``: both or none of them.

    :param path: as the error shows it
    :raises OrthancError: BAD_REQUEST if one is missing, BAD_PARAMETER_TYPE if one is no
        integer, PARAMETER_OUT_OF_RANGE if one is negative
    """
    has_since, has_limit = has_argument(request, "since"), has_argument(request, "limit")
    if not has_since and not has_limit:
        return 0, 0
    for name, is_there in (("limit", has_limit), ("since", has_since)):
        if not is_there:
            raise OrthancError(
                ErrorCode.BAD_REQUEST,
                f'Missing "{name}" argument for GET request against: {path}',
            )
    return _natural(request, "since"), _natural(request, "limit")


def _natural(request: Request, name: str) -> int:
    text = (argument(request, name) or "").strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise OrthancError(ErrorCode.BAD_PARAMETER_TYPE, "Syntax error in some user-supplied data")
    if text.startswith("-"):
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE, f'Argument "{name}" must be a positive integer'
        )
    return int(text)
