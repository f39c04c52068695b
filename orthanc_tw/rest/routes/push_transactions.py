"""Push transactions: peers send buckets of bytes to this server, and have it store them.

Source: the protocol of version 1.7 of Orthanc's transfers accelerator, as observed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from orthanc_tw.core.transfers.buckets import Bucket, parse_buckets, parse_instances
from orthanc_tw.core.transfers.query import GZIP, NONE, is_gzip
from orthanc_tw.core.transfers.transactions import PushTransactions
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue
from orthanc_tw.rest.body import take_spool
from orthanc_tw.rest.http import Route, empty_json, json_body, json_request
from orthanc_tw.rest.spec import (
    BINARY,
    BYTES,
    JSON,
    OBJECT,
    STRING,
    Spec,
    array,
    fields,
    json_spec,
    one_of,
)
from orthanc_tw.rest.spec_parts import JOB

_CHUNK = fields({"ID": STRING, "Offset": STRING, "Size": STRING}, ["ID", "Offset", "Size"])
_INSTANCE = fields({"ID": STRING, "Size": STRING, "MD5": STRING}, ["ID", "Size", "MD5"])
_PUSH = fields(
    {
        "Buckets": array(array(_CHUNK)),
        "Compression": one_of(NONE, GZIP),
        "Instances": array(_INSTANCE),
    },
    ["Buckets", "Compression", "Instances"],
)


class PushTransactionRoutes:
    """Begin, buckets, commit, discard."""

    def __init__(
        self, transactions: PushTransactions, in_thread: Callable[..., Deferred[Any]]
    ) -> None:
        self._transactions = transactions
        self._in_thread = in_thread

    def routes(self) -> Iterable[Route]:
        """See `RouteProvider`."""
        one = "/transfers/push/<transaction>"
        yield Route(
            "POST", "/transfers/push", self.post_push, "Begin a push transaction",
            spec=json_spec(JOB, body=_PUSH, statuses=(507,)),
        )  # fmt: skip
        yield Route(
            "PUT", f"{one}/<bucket>", self.put_bucket, "Send a bucket",
            spec=Spec(
                body={BYTES: BINARY}, body_required=True, content={JSON: OBJECT},
                statuses=(409, 507),
            ),
        )  # fmt: skip
        yield Route(
            "POST", f"{one}/commit", self.post_commit, "Store what was sent, all of it or nothing",
            spec=json_spec(OBJECT, body=OBJECT, body_required=False, statuses=(507,)),
        )  # fmt: skip
        yield Route(
            "DELETE", one, self.delete_transaction, "Discard a push transaction",
            spec=json_spec(OBJECT, statuses=(409,)),
        )  # fmt: skip

    async def post_push(self, request: Request) -> bytes:
        """Begin: what will be sent, and in which buckets."""
        body = json_request(request)
        if not isinstance(body, dict):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The body must contain a JSON object")
        for name in ("Buckets", "Compression", "Instances"):
            if name not in body:
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f'Missing field in JSON: "{name}"')
        compressed = is_gzip(body["Compression"])
        instances, buckets = await self._in_thread(_parsed, body["Instances"], body["Buckets"])
        identifier = await self._transactions.create(instances, buckets, compressed=compressed)
        return json_body(request, {"ID": identifier, "Path": f"/transfers/push/{identifier}"})

    async def put_bucket(self, request: Request, transaction: str, bucket: str) -> bytes:
        """Receive a bucket; it is on disk when this is answered."""
        if not (bucket.isascii() and bucket.isdigit()) or len(bucket) > 9:
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE, f"There is no bucket {bucket}")
        spool = take_spool(request)
        if spool is None:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "The body must contain a bucket")
        try:
            reader = await self._in_thread(spool.reader)
            with reader:
                await self._transactions.write(transaction, int(bucket), reader)
        finally:
            spool.discard()
        return empty_json(request)

    async def post_commit(self, request: Request, transaction: str) -> bytes:
        """Store. It goes on if the client hangs up, which may ask again."""
        await self._transactions.commit(transaction)
        return empty_json(request)

    async def delete_transaction(self, request: Request, transaction: str) -> bytes:
        """Discard."""
        await self._transactions.discard(transaction)
        return empty_json(request)


def _parsed(instances: JsonValue, buckets: JsonValue) -> tuple[list[Any], list[Bucket]]:
    found = parse_instances(instances)
    return found, parse_buckets(buckets, found)
