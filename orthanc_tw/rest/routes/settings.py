"""``/tools``: what may be changed while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.log_levels import CATEGORIES, LogLevels
from orthanc_tw.metrics import CONTENT_TYPE, Metrics
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.answers import boolean_request, empty_text, text_request
from orthanc_tw.rest.http import Route, json_body, json_request, read_body, text_body
from orthanc_tw.rest.spec import (
    JSON,
    STRING,
    TEXT,
    ZERO_OR_ONE,
    Spec,
    array,
    described,
    json_spec,
    one_of,
    text_spec,
)

_UIDS = json_spec(array())
_PUT_UIDS = Spec(
    body={JSON: array(), TEXT: described(STRING, "* for all")},
    body_required=True,
    content={JSON: array()},
)
_NAME = text_spec()
_PUT_NAME = text_spec(body=STRING, body_required=True)
_GET_FLAG = text_spec(ZERO_OR_ONE)
_PUT_FLAG = text_spec(body=described(ZERO_OR_ONE, "Or true, false"), body_required=True)
_LEVELS = one_of("default", "verbose", "trace")
_GET_LEVEL = text_spec(_LEVELS)
_PUT_LEVEL = text_spec(body=_LEVELS, body_required=True)


class SettingsRoutes:
    """Encoding, transfer syntaxes, log levels, metrics.

    :param expand_syntaxes: makes UIDs of patterns with ``*`` and ``?``
    """

    def __init__(
        self,
        options: RuntimeOptions,
        levels: LogLevels,
        metrics: Metrics,
        expand_syntaxes: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        self._options = options
        self._levels = levels
        self._metrics = metrics
        self._expand_syntaxes = expand_syntaxes

    def routes(self) -> Iterable[Route]:
        """GET and PUT of each."""
        encoding = "/tools/default-encoding"
        yield Route("GET", encoding, self.get_encoding, "Get the default encoding", spec=_NAME)
        yield Route("PUT", encoding, self.put_encoding, "Set the default encoding", spec=_PUT_NAME)
        syntaxes = "/tools/accepted-transfer-syntaxes"
        yield Route(
            "GET", syntaxes, self.get_syntaxes, "List the accepted transfer syntaxes", spec=_UIDS
        )
        yield Route(
            "PUT", syntaxes, self.put_syntaxes, "Set the accepted transfer syntaxes", spec=_PUT_UIDS
        )
        classes = "/tools/accepted-sop-classes"
        yield Route("GET", classes, self.get_classes, "List the accepted SOP classes", spec=_UIDS)
        unknown = "/tools/unknown-sop-class-accepted"
        yield Route(
            "GET", unknown, self.get_unknown, "Are unknown SOP classes accepted?", spec=_GET_FLAG
        )
        yield Route(
            "PUT", unknown, self.put_unknown, "Accept unknown SOP classes, or not", spec=_PUT_FLAG
        )
        for category in (None, *CATEGORIES):
            path = "/tools/log-level" + (f"-{category}" if category else "")
            yield Route(
                "GET", path, partial(self.get_level, category), "Get the log level", spec=_GET_LEVEL
            )
            yield Route(
                "PUT", path, partial(self.put_level, category), "Set the log level", spec=_PUT_LEVEL
            )
        yield Route(
            "GET", "/tools/metrics", self.get_metrics, "Are metrics collected?", spec=_GET_FLAG
        )
        yield Route(
            "PUT", "/tools/metrics", self.put_metrics, "Collect metrics, or not", spec=_PUT_FLAG
        )
        yield Route(
            "GET", "/tools/metrics-prometheus", self.get_exposition, "Get the metrics", spec=_NAME
        )

    def get_encoding(self, request: Request) -> bytes:
        """Name of the encoding of files that name none."""
        return text_body(request, self._options.default_encoding.value)

    def put_encoding(self, request: Request) -> bytes:
        """Set it by name; case matters not."""
        self._options.default_encoding = Encoding.parse(text_request(request))
        return self.get_encoding(request)

    def get_syntaxes(self, request: Request) -> bytes:
        """UIDs of the accepted transfer syntaxes."""
        return json_body(request, list(self._options.accepted_transfer_syntaxes))

    def put_syntaxes(self, request: Request) -> bytes:
        """Set them by a list of UIDs or patterns, or by ``*``."""
        patterns = ["*"] if read_body(request) == b"*" else _strings(json_request(request))
        self._options.accepted_transfer_syntaxes = self._expand_syntaxes(patterns)
        return self.get_syntaxes(request)

    def get_classes(self, request: Request) -> bytes:
        """UIDs of the accepted SOP classes."""
        return json_body(request, list(self._options.accepted_sop_classes))

    def get_unknown(self, request: Request) -> bytes:
        """``1`` or ``0``."""
        return text_body(request, "1" if self._options.unknown_sop_class_accepted else "0")

    def put_unknown(self, request: Request) -> bytes:
        """Set by a Boolean body."""
        self._options.unknown_sop_class_accepted = boolean_request(request)
        return empty_text(request)

    def get_level(self, category: str | None, request: Request) -> bytes:
        """Level of a category; of all, the most verbose one."""
        levels = self._levels
        return text_body(request, levels.loudest() if category is None else levels.get(category))

    def put_level(self, category: str | None, request: Request) -> bytes:
        """Set the level of a category, or of all."""
        level = text_request(request)
        try:
            self._levels.set(level, category)
        except ValueError:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE,
                f'Verbosity can be "default", "verbose" or "trace": {level}',
            ) from None
        return empty_text(request)

    def get_metrics(self, request: Request) -> bytes:
        """``1`` or ``0``."""
        return text_body(request, "1" if self._metrics.enabled else "0")

    def put_metrics(self, request: Request) -> bytes:
        """Set by a Boolean body."""
        self._metrics.enabled = boolean_request(request)
        return empty_text(request)

    async def get_exposition(self, request: Request) -> bytes:
        """The metrics in the text format of Prometheus."""
        body = await self._metrics.exposition()
        request.responseHeaders.setRawHeaders(b"content-type", [CONTENT_TYPE])
        return body


def _strings(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    return value
