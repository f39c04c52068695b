"""The transfers accelerator: transfers that this server begins, and what it tells its peers.

Source: the protocol of version 1.7 of Orthanc's plugin, as observed; see ``docs/transfers.rst``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.web.server import Request

from orthanc_tw.core.gzip_reader import GzipReader
from orthanc_tw.core.transfers.buckets import TransferInstance
from orthanc_tw.core.transfers.concatenation import Concatenation, InflatedFiles
from orthanc_tw.core.transfers.lookup import TransferLookup, parse_resources
from orthanc_tw.core.transfers.query import GZIP, NONE, TransferQuery, is_gzip
from orthanc_tw.index.gateway import Attachment
from orthanc_tw.jobs.interface import JobRequest, JobsEngine
from orthanc_tw.jobs.kinds.pull_transfer import PULL_TRANSFER
from orthanc_tw.jobs.kinds.push_transfer import PUSH_TRANSFER
from orthanc_tw.jobs.kinds.transfer_network import accelerated
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.peers.client import PeerClient
from orthanc_tw.peers.errors import PeerAnswerError, PeerError
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import JSON_TYPE, Route, argument, json_body, json_request
from orthanc_tw.rest.json_text import pretty
from orthanc_tw.rest.spec import (
    BINARY,
    BYTES,
    INTEGER,
    STRING,
    Schema,
    Spec,
    answer,
    array,
    described,
    fields,
    json_spec,
    map_of,
    one_of,
)
from orthanc_tw.rest.spec_parts import JOB, LEVEL
from orthanc_tw.rest.store_request import ExportLogger
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.rest.submission import submitted_body

REMOTE_SELF = "RemoteSelf"
_MB = 1024 * 1024
_DECIMAL = 19
_COMPRESSION = one_of(NONE, GZIP)
_RESOURCES = array(fields({"Level": LEVEL, "ID": STRING}, ["Level", "ID"]))
_QUERY = fields(
    {
        "Resources": described(_RESOURCES, "What is to be transferred"),
        "Compression": _COMPRESSION,
        "Peer": described(STRING, "Symbolic name of a peer of this server"),
        "Priority": INTEGER,
        "Originator": described(STRING, "UUID of the server that the peer must be"),
        "SenderTransferID": described(STRING, "What the sender calls the transfer"),
    },
    ["Resources", "Compression", "Peer"],
)
_INSTANCE = answer({"ID": STRING, "Size": STRING, "MD5": STRING})
_LOOKUP = answer(
    {
        "Instances": array(_INSTANCE),
        "Originator": STRING,
        "CountInstances": INTEGER,
        "TotalSize": STRING,
        "TotalSizeMB": INTEGER,
    }
)
_SENT: Schema = {
    "oneOf": [JOB, answer({"Peer": STRING, "RemoteJob": STRING, "URL": STRING})],
    "description": "A job of this server, or in pull mode one of the peer",
}


class TransferRoutes:
    """Pull, send, lookup, chunks, peers.

    :param originator: UUID of this process
    :param peer_names: symbolic names, in order
    :param peer_named: raises UNKNOWN_RESOURCE
    :param connectivity_timeout_s: for a peer that is asked whether it has the accelerator
    :param read_only: nothing is fetched
    :param exports: told of what is sent
    """

    def __init__(
        self,
        engine: JobsEngine,
        lookup: TransferLookup,
        files: InflatedFiles,
        client: PeerClient,
        peer_names: Callable[[], Sequence[str]],
        peer_named: Callable[[str], OrthancPeer],
        in_thread: Callable[..., Deferred[Any]],
        *,
        originator: str,
        connectivity_timeout_s: float,
        read_only: bool = False,
        exports: ExportLogger | None = None,
    ) -> None:
        self._engine = engine
        self._lookup = lookup
        self._files = files
        self._client = client
        self._peer_names = peer_names
        self._peer_named = peer_named
        self._in_thread = in_thread
        self._originator = originator
        self._connectivity_timeout_s = connectivity_timeout_s
        self._read_only = read_only
        self._exports = exports
        # Its chunks have the compression that was asked for, and no other.
        self._streamer = Streamer(in_thread)

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        yield Route(
            "POST", "/transfers/pull", self.post_pull, "Fetch resources from a peer, by a job",
            changes_state=False, spec=json_spec(JOB, body=_QUERY, statuses=(404,)),
        )  # fmt: skip
        yield Route(
            "POST", "/transfers/send", self.post_send, "Send resources to a peer, by a job",
            changes_state=False, spec=json_spec(_SENT, body=_QUERY, statuses=(404, 500)),
        )  # fmt: skip
        yield Route(
            "POST", "/transfers/lookup", self.post_lookup, "List the instances of resources",
            changes_state=False, spec=json_spec(_LOOKUP, body=_RESOURCES, statuses=(404,)),
        )  # fmt: skip
        yield Route(
            "GET", "/transfers/chunks/<public_ids>", self.get_chunks,
            "Get a range of DICOM files, behind one another",
            spec=Spec(
                query={
                    "offset": described(STRING, "Where it begins, bytes"),
                    "size": described(STRING, "Bytes; 0 or absent: to the end"),
                    "compression": _COMPRESSION,
                },
                headers={"If-None-Match": described(STRING, "ETag that the client has")},
                content={BYTES: BINARY, "application/gzip": BINARY},
                statuses=(304,),
                bare=(304,),
            ),
        )  # fmt: skip
        yield Route(
            "GET", "/transfers/peers", self.get_peers, "Ask the peers for their accelerator",
            spec=json_spec(map_of(one_of("disabled", "installed", "bidirectional"))),
        )  # fmt: skip

    async def post_pull(self, request: Request) -> bytes:
        """Submit a job that fetches."""
        if self._read_only:
            raise OrthancError(ErrorCode.READ_ONLY)
        query = TransferQuery.from_json(json_request(request))
        self._peer_named(query.peer)
        return await self._submit(request, PULL_TRANSFER, query)

    async def post_send(self, request: Request) -> bytes:
        """Submit a job that sends, or have the peer fetch (pull mode)."""
        query = TransferQuery.from_json(json_request(request))
        peer = self._peer_named(query.peer)
        remote_self = peer.properties.get(REMOTE_SELF, "")
        await self._lookup.check(query.resources)
        if not remote_self:
            await self._logged(query)
            return await self._submit(request, PUSH_TRANSFER, query)
        body = {**query.to_json(), "Peer": remote_self, "Originator": self._originator}
        try:
            found = await self._client.post_json(peer, "transfers/pull", body)
        except PeerError as error:
            raise accelerated(error) from None
        path = found.get("Path") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not isinstance(path, str):
            raise PeerAnswerError(peer.name, "it has answered no job")
        await self._logged(query)
        value = {"Peer": query.peer, "RemoteJob": found.get("ID"), "URL": peer.with_path(path)}
        return json_body(request, value)

    async def post_lookup(self, request: Request) -> bytes:
        """The instances of resources, with size and MD5."""
        instances = await self._lookup.instances(parse_resources(json_request(request)))
        request.setHeader(b"content-type", JSON_TYPE)
        text: bytes = await self._in_thread(_described, instances, self._originator)
        return text

    async def get_chunks(self, request: Request, public_ids: str) -> bytes | None:
        """A range of the concatenation of files, with an ``ETag`` that is that of its content."""
        offset, size = _number(request, "offset"), _number(request, "size")
        compressed = is_gzip(argument(request, "compression") or NONE)
        files = await self._lookup.files(public_ids.split("."))
        source = Concatenation(self._files, files, offset, size)
        headers = request.responseHeaders
        tag = _tag(files, offset, source.size_bytes, compressed)
        if tag is not None:
            headers.setRawHeaders(b"etag", [tag])
        # What an identifier stands for may be overwritten: a cache has to ask again.
        headers.setRawHeaders(b"cache-control", [b"private, no-cache"])
        if tag is not None and not {tag, b"*"}.isdisjoint(_tags(request)):
            source.close()
            return bare(request, 304)
        reader: Concatenation | GzipReader = source
        if compressed:
            reader = GzipReader(source)
            headers.setRawHeaders(b"content-type", [b"application/gzip"])
        else:
            headers.setRawHeaders(b"content-type", [b"application/octet-stream"])
            headers.setRawHeaders(b"content-length", [b"%d" % source.size_bytes])
        if request.method == b"HEAD":
            source.close()
            return b""
        try:
            await self._streamer.send_chunks(
                request, lambda: self._in_thread(reader.read), reader.close
            )
        except OrthancError:
            # An error has not the content that the tag is of.
            headers.removeHeader(b"etag")
            raise
        return None

    async def get_peers(self, request: Request) -> bytes:
        """Whether each of the peers has the accelerator; asks all of them at once."""
        names = list(self._peer_names())
        found = await gatherResults(
            [Deferred.fromCoroutine(self._state(self._peer_named(name))) for name in names]
        )
        return json_body(request, dict(zip(names, found, strict=True)))

    async def _state(self, peer: OrthancPeer) -> str:
        try:
            plugins = await self._client.get_json(
                peer, "plugins", timeout_s=self._connectivity_timeout_s
            )
        except PeerError:
            return "disabled"
        if not isinstance(plugins, list) or "transfers" not in plugins:
            return "disabled"
        return "bidirectional" if peer.properties.get(REMOTE_SELF) else "installed"

    async def _logged(self, query: TransferQuery) -> None:
        if self._exports is not None:
            for resource in query.resources:
                await self._exports.record(resource.public_id, query.peer)

    async def _submit(self, request: Request, kind: str, query: TransferQuery) -> bytes:
        job = JobRequest(kind, query.to_json(), query.priority)
        return submitted_body(request, await self._engine.submit(job))


def _described(instances: Sequence[TransferInstance], originator: str) -> bytes:
    total = sum(one.size_bytes for one in instances)
    value: JsonValue = {
        "Instances": [one.to_json() for one in instances],
        "Originator": originator,
        "CountInstances": len(instances),
        "TotalSize": str(total),
        "TotalSizeMB": total // _MB,
    }
    return pretty(value)


def _number(request: Request, name: str) -> int:
    text = argument(request, name) or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > _DECIMAL:
        raise OrthancError(
            ErrorCode.BAD_REQUEST, f"A number of bytes is expected in argument: {name}"
        )
    return int(text)


def _tag(
    files: Sequence[Attachment], offset: int, size_bytes: int, compressed: bool
) -> bytes | None:
    """Strong; None if nothing is known of a content (``StoreMD5ForAttachments``)."""
    if not all(file.md5 for file in files):
        return None
    text = f"{offset} {size_bytes} {compressed} " + " ".join(file.md5 for file in files)
    return b'"%s"' % hashlib.sha256(text.encode("ascii")).hexdigest()[:32].encode("ascii")


def _tags(request: Request) -> list[bytes]:
    values = request.requestHeaders.getRawHeaders(b"if-none-match") or []
    return [tag.strip().removeprefix(b"W/") for value in values for tag in value.split(b",")]
