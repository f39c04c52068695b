"""A request: its body goes into a spool while it arrives, its answer is counted and logged.

Sources: RFC 9112 (section 3.2.2), topics 05 and 50 of the corpus.
"""

# The methods inherited from twisted.web have no annotations:
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest.auth import user_name
from orthanc_tw.rest.body import EmptyBody, SpooledBody
from orthanc_tw.rest.errors import BareError, decoded_path
from orthanc_tw.rest.query import query_arguments

if TYPE_CHECKING:
    from orthanc_tw.rest.channel import OrthancChannel
    from orthanc_tw.rest.site import OrthancSite


class OrthancRequest(Request):
    """A request whose body goes to a spool. ``http_username`` is what its client claims to be."""

    defaultContentType = None  # an answer without a type has none, as Orthanc's
    _log = Logger()
    channel: OrthancChannel
    site: OrthancSite
    http_username = ""
    refused: Exception | None = None
    is_received = False
    _started_s: float | None = None
    _received_bytes = 0
    _limit_bytes = 0

    @property
    def client_ip(self) -> str:
        """Address of the client, '' if it has none (UNIX socket)."""
        return getattr(self.client, "host", "") or ""

    def headers_received(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Take the request line (the channel hands it over before the body arrives)."""
        if uri[:7].lower() in (b"http://", b"https:/"):  # absolute form, RFC 9112 3.2.2
            uri = b"/" + uri.split(b"/", 3)[3] if uri.count(b"/") > 2 else b"/"
        self.method, self.uri, self.clientproto = method, uri, version
        path, mark, query = uri.partition(b"?")
        self.path = path
        self.args = query_arguments(query) if mark else {}
        self.site = self.channel.site

    def refusal(self, length: int | None) -> Exception | None:
        """Why this request is not even received, or None."""
        site = self.site
        values = self.requestHeaders.getRawHeaders(b"authorization")
        authorization = values[0] if values else None
        if not site.authenticator.is_allowed(authorization, self.client_ip):
            return BareError(401)
        if authorization is not None:
            self.http_username = user_name(authorization)
        self._limit_bytes = site.settings.maximum_body_bytes
        if length is not None and 0 < self._limit_bytes < length:
            return self._too_large()
        return None

    def gotLength(self, length: int | None) -> None:
        """Make the body (called by the channel once the headers are there)."""
        if length == 0:
            self.content = EmptyBody()
        else:
            site = self.site
            flow = cast(IPushProducer, self.channel.transport)
            self.content = SpooledBody(site.new_spool(), site.in_thread, flow)

    def handleContentChunk(self, data: bytes) -> None:
        """Write a piece of the body (called by the channel)."""
        if self.finished:  # refused while the rest was on its way
            return
        self._received_bytes += len(data)
        if 0 < self._limit_bytes < self._received_bytes:
            self.channel.refuse(self, self._too_large())
            return
        try:
            cast(SpooledBody, self.content).write(data)
        except OrthancError as error:
            self.channel.refuse(self, error)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of the request is there (called by the channel).

        Does not call the inherited method, which would parse forms into memory.
        """
        self.is_received = True
        if self.refused is not None:
            self.channel.answer_refusal(self, self.refused)
            return
        content = self.content
        flushing = content.flush() if isinstance(content, SpooledBody) else None
        if flushing is None:
            self.process()
        else:
            flushing.addCallbacks(lambda _: self.process(), self._fail)

    def _fail(self, failure: Failure) -> None:
        self.site.root.executor.fail(self, failure)

    def process(self) -> None:
        """Answer the request."""
        site = self.site
        self._started_s = site.begun()
        headers = self.responseHeaders
        headers.setRawHeaders(b"server", [site.settings.server_header])
        headers.setRawHeaders(b"date", [site.date()])
        try:
            self.render(site.resource)
        except Exception:
            site.root.executor.fail(self, Failure())

    def finish(self) -> None:
        """The answer is whole."""
        if self.site.logs_requests():
            # Not the query: it may name a patient.
            self._log.info(
                "{ip} {method} {path}: {status}",
                ip=self.client_ip,
                method=self.method.decode("latin-1"),
                path=decoded_path(self),
                status=self.code,
            )
        super().finish()
        self._ended()

    def connectionLost(self, reason: Any) -> None:
        """The client is gone before the answer was whole."""
        super().connectionLost(reason)
        self._ended()

    def _ended(self) -> None:
        if self._started_s is not None:
            self.site.ended(self._started_s)
            self._started_s = None

    def render(self, resrc: Any) -> None:
        """Hand over to the root, which answers every request by itself."""
        answered = resrc.render(self)
        assert answered is NOT_DONE_YET

    def _too_large(self) -> OrthancError:
        megabytes = self._limit_bytes // (1024 * 1024)
        return OrthancError(
            ErrorCode.BAD_REQUEST,
            f"The request body is larger than MaximumRequestBodySizeMB ({megabytes} MB)",
            http_status=413,
        )
