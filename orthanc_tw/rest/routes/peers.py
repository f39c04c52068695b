"""``/peers``: the Orthanc peers that are known, and sending to them.

Source: topics 40 and 42 of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, cast

from twisted.logger import Logger
from twisted.web.server import Request

from orthanc_tw.dicom.uids import is_known_transfer_syntax
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.jobs.kinds.peer_sender import shared_body, upload
from orthanc_tw.jobs.kinds.peer_store import PEER_STORE, peer_store_parameters
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.peers.client import PeerClient, json_of
from orthanc_tw.peers.errors import PeerStatusError
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.registry import PeerRegistry
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.dicom_request import text_field
from orthanc_tw.rest.errors import BareError
from orthanc_tw.rest.http import JSON_TYPE, Route, json_body, json_request
from orthanc_tw.rest.spec import (
    ANY,
    BOOLEAN,
    BYTES,
    DICOM,
    FLAG,
    JSON,
    NATURAL,
    OBJECT,
    STRING,
    TEXT,
    Spec,
    array,
    described,
    fields,
    json_spec,
    map_of,
)
from orthanc_tw.rest.store_request import ExportLogger, resolve, store_body, store_identifiers
from orthanc_tw.rest.submission import boolean_field, parse_submission, submit_job
from orthanc_tw.rest.views import is_set

_log = Logger()

CHILDREN: tuple[str, ...] = ("configuration", "store", "store-straight", "system")

_STORE = fields(
    {
        **parts.RESOURCES,
        **parts.SUBMISSION,
        "Compress": described(BOOLEAN, "Gzip each instance on its way"),
        "Transcode": described(parts.TRANSFER_SYNTAX, "Transfer syntax to transcode to on the way"),
    },
    ["Resources"],
)
_PEER = fields(
    {
        "Url": described(STRING, "Of its REST API, http or https"),
        "URL": described(STRING, "The same, by its old name"),
        "Username": STRING,
        "Password": STRING,
        "HttpHeaders": map_of(STRING),
        "Timeout": described(NATURAL, "Seconds of silence, 0: HttpTimeout"),
        "CertificateFile": described(STRING, "PEM file, shown to the peer"),
        "CertificateKeyFile": STRING,
        "CertificateKeyPassword": STRING,
        "Pkcs11": described(BOOLEAN, "Only false is known"),
    }
)
_ERRORS = (500, 501, 507)


@dataclass(frozen=True, slots=True)
class PeerServices:
    """What `PeerRoutes` uses.

    :ivar exports: None: nothing is logged
    """

    peers: PeerRegistry
    client: PeerClient
    exports: ExportLogger | None


class PeerRoutes:
    """Lists peers, shows, changes and forgets them; asks them, and sends to them."""

    def __init__(self, services: PeerServices, index: Index, engine: JobsEngine) -> None:
        self._peers = services.peers
        self._client = services.client
        self._exports = services.exports
        self._index = index
        self._engine = engine

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        one = "/peers/<name>"
        yield Route(
            "GET", "/peers", self.get_all, "List Orthanc peers",
            spec=json_spec(ANY, query={"expand": described(FLAG, "Configurations by name")}),
        )  # fmt: skip
        yield Route(
            "GET", one, self.get_children, "List operations on peer", spec=json_spec(array())
        )
        yield Route(
            "PUT", one, self.put, "Update peer",
            spec=Spec(
                body={JSON: _PEER}, body_required=True, content={TEXT: STRING},
                statuses=(400, 404, 501),
            ),
        )  # fmt: skip
        yield Route("DELETE", one, self.delete, "Delete peer", spec=Spec(content={TEXT: STRING}))
        yield Route(
            "GET", f"{one}/configuration", self.get, "Get peer configuration",
            spec=json_spec(OBJECT),
        )  # fmt: skip
        yield Route(
            "GET", f"{one}/system", self.get_system, "Get peer system information",
            spec=json_spec(OBJECT, statuses=(500,)),
        )  # fmt: skip
        yield Route(
            "POST", f"{one}/store", self.post_store, "Send to Orthanc peer", changes_state=False,
            spec=Spec(
                body={JSON: _STORE, TEXT: STRING}, body_required=True, content={JSON: OBJECT},
                statuses=(400, *_ERRORS),
            ),
        )  # fmt: skip
        yield Route(
            "POST", f"{one}/store-straight", self.post_straight, "Straight store to peer",
            spec=Spec(
                body={DICOM: {}, BYTES: {}}, body_required=True, content={JSON: OBJECT},
                statuses=_ERRORS,
            ),
        )  # fmt: skip

    def get_all(self, request: Request) -> bytes:
        """Names, or with ``?expand`` their configurations by name."""
        if is_set(request, "expand"):
            shown: dict[str, JsonValue] = {
                name: peer.configuration() for name, peer in self._peers.items()
            }
            return json_body(request, shown)
        return json_body(request, list(self._peers))

    def get_children(self, request: Request, name: str) -> bytes:
        """What can be done with one."""
        if name not in self._peers:
            raise BareError(404)
        return json_body(request, list(CHILDREN))

    def get(self, request: Request, name: str) -> bytes:
        """The configuration of one, without secrets."""
        return json_body(request, self._peers.require(name).configuration())

    async def put(self, request: Request, name: str) -> bytes:
        """Add or replace one, by an array or an object."""
        peer = OrthancPeer.from_json(name, json_request(request))
        peer.require_files()
        await self._peers.put(name, peer)
        return empty_text(request)

    async def delete(self, request: Request, name: str) -> bytes:
        """Forget one."""
        await self._peers.remove(name)
        return empty_text(request)

    async def get_system(self, request: Request, name: str) -> bytes:
        """``/system`` of the peer."""
        peer = self._peers.require(name)
        try:
            answer = await self._client.request(peer, "GET", "system")
        except PeerStatusError as error:
            if error.code is not ErrorCode.NETWORK_PROTOCOL:
                raise
            raise OrthancError(ErrorCode.BAD_HTTP_STATUS_IN_REST, error.details) from None
        json_of(peer, answer)
        request.setHeader(b"content-type", b"application/json")
        return answer.body

    async def post_store(self, request: Request, name: str) -> bytes:
        """Send resources: an identifier, a list of them, or an object with ``Resources``."""
        body = store_body(request)
        identifiers = store_identifiers(body)
        options = parse_submission(body, synchronous_by_default=True)
        peer = self._peers.require(name)
        compress = boolean_field(body, "Compress", False)
        transcode = _transfer_syntax(body)
        resources, instances = await self._index.read(lambda tx: resolve(tx, identifiers))
        if self._exports is not None:
            for resource in resources:
                await self._exports.record(resource.public_id, name)
        parameters = peer_store_parameters(
            peer,
            resources,
            instances,
            compress=compress,
            transcode=transcode,
            permissive=options.permissive,
        )
        job = options.request(PEER_STORE, parameters)
        try:
            return await submit_job(self._engine, request, job, options)
        except OrthancError as error:
            raise _answered(error) from None

    async def post_straight(self, request: Request, name: str) -> bytes:
        """Send the body, a DICOM file, without storing it; answers what the peer does."""
        peer = self._peers.require(name)
        content = request.content
        assert content is not None
        size_bytes = content.seek(0, 2)
        body = shared_body(cast(BinaryIO, content), size_bytes)
        try:
            answer = await upload(self._client, peer, body)
        except PeerStatusError as error:
            if error.code is not ErrorCode.NETWORK_PROTOCOL:
                raise
            _log.warn("Straight store: {reason}", reason=error.details)
            raise OrthancError(
                error.code, f"Cannot send DICOM to remote peer: {name}", http_status=500
            ) from None
        request.setHeader(b"content-type", JSON_TYPE)
        return answer.body


def _transfer_syntax(body: JsonValue) -> str:
    """``Transcode`` of a body, '' for none.

    :raises OrthancError: BAD_FILE_FORMAT for an unknown one
    """
    found = text_field(body, "Transcode")
    if found is not None and not is_known_transfer_syntax(found):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Unknown transfer syntax UID: {found}")
    return found or ""


def _answered(error: OrthancError) -> OrthancError:
    """The failure of a job as the answer to who waited for it: it must not say that the login
    to this server was wrong.
    """
    statuses = {ErrorCode.NOT_IMPLEMENTED: 501, ErrorCode.UNAUTHORIZED: 500, ErrorCode.TIMEOUT: 500}
    payload: JsonObject | None = error.payload
    return OrthancError(
        error.code,
        error.details,
        http_status=statuses.get(error.code, error.http_status),
        payload=payload,
    )
