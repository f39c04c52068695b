"""``/{level}/{id}/attachments``: lists, content, facts, user attachments with revisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from twisted.web.server import Request

from orthanc_tw.core.attachments import Attachments, revision_of
from orthanc_tw.core.names import OCTET_STREAM, AttachmentNames
from orthanc_tw.core.resource_json import attachment_json
from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import Compression
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.answers import empty_text
from orthanc_tw.rest.body import take_spool
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.files import FileAnswers
from orthanc_tw.rest.http import (
    Body,
    Route,
    argument,
    empty_json,
    has_argument,
    json_body,
    text_body,
)
from orthanc_tw.rest.level_routes import Line, level_routes
from orthanc_tw.rest.ranges import requested_range
from orthanc_tw.rest.revisions import if_match, is_not_modified, set_etag
from orthanc_tw.rest.spec import (
    BINARY,
    BYTES,
    FLAG,
    JSON,
    OBJECT,
    Spec,
    array,
    described,
    json_spec,
    text_spec,
)
from orthanc_tw.rest.user_numbers import user_number
from orthanc_tw.storage.interface import Spool

_CHILDREN = (
    *("compress", "compressed-data", "compressed-md5", "compressed-size", "data", "info"),
    *("is-compressed", "md5", "size", "uncompress", "verify-md5"),
)
_ANY_SIZE = 2**62
Fact = Callable[[Attachment], str]
_FACTS: dict[str, Fact] = {
    "size": lambda attachment: str(attachment.size_bytes),
    "compressed-size": lambda attachment: str(attachment.stored_size_bytes),
    "is-compressed": lambda attachment: "0" if attachment.compression is Compression.NONE else "1",
    "md5": lambda attachment: attachment.md5,
    "compressed-md5": lambda attachment: attachment.stored_md5,
}

_LIST = json_spec(query={"full": described(FLAG, "Numbers too")})
_GET = json_spec(array(), headers=parts.IF_NONE_MATCH, statuses=(304,))
_INFO = json_spec(OBJECT, headers=parts.IF_NONE_MATCH, statuses=(304,))
_FACT = text_spec(headers=parts.IF_NONE_MATCH, statuses=(304,))
_ANY_TYPE = {"*/*": BINARY}
_DATA = Spec(
    query=parts.FILENAME,
    headers={**parts.IF_NONE_MATCH, **parts.RANGE},
    content=_ANY_TYPE,
    statuses=(206, 304, 416),
    bare=(416,),
)
_PUT = Spec(
    headers=parts.IF_MATCH, body={BYTES: BINARY}, content={JSON: OBJECT}, statuses=(409, 507)
)
_DELETE = text_spec(headers=parts.IF_MATCH, statuses=(409,))
_ACT = json_spec(OBJECT, bare=(400,))


class AttachmentRoutes:
    """Routes of attachments at the levels given.

    :param new_spool: makes an empty spool, for an attachment without content
    """

    def __init__(
        self,
        attachments: Attachments,
        names: AttachmentNames,
        files: FileAnswers,
        new_spool: Callable[[], Spool],
        levels: Iterable[ResourceType],
    ) -> None:
        self._attachments = attachments
        self._names = names
        self._files = files
        self._new_spool = new_spool
        self._levels = tuple(levels)

    def routes(self) -> Iterable[Route]:
        """List, one, its content and facts, at each level."""
        one = "attachments/<name>"
        as_stored = f"{one}/compressed-data"
        facts: list[Line] = [
            (
                "GET",
                f"{one}/{name}",
                partial(self.fact, fact=fact),
                f"Get the {name} of an attachment",
                _FACT,
            )
            for name, fact in _FACTS.items()
        ]
        compress = partial(self.recompress, compress=True)
        uncompress = partial(self.recompress, compress=False)
        return level_routes(
            self._levels,
            [
                ("GET", "attachments", self.list_all, "List the attachments", _LIST),
                ("GET", one, self.get, "List what an attachment offers", _GET),
                ("PUT", one, self.put, "Set a user attachment", _PUT),
                ("DELETE", one, self.delete, "Delete a user attachment", _DELETE),
                ("GET", f"{one}/info", self.info, "Describe an attachment", _INFO),
                ("GET", f"{one}/data", self.data, "Get an attachment", _DATA),
                ("GET", as_stored, self.stored, "Get an attachment as stored", _DATA),
                *facts,
                ("POST", f"{one}/compress", compress, "Compress an attachment", _ACT),
                ("POST", f"{one}/uncompress", uncompress, "Uncompress an attachment", _ACT),
                ("POST", f"{one}/verify-md5", self.verify, "Compare the file with its MD5", _ACT),
            ],
        )

    def list_all(self, level: ResourceType, request: Request, public_id: str) -> bytes:
        """Names, or names and numbers with ``?full``."""
        found = self._attachments.all(level, public_id)
        names = {self._names.label(item.content_type): item.content_type for item in found}
        return json_body(request, names if has_argument(request, "full") else list(names))

    def get(self, level: ResourceType, request: Request, public_id: str, name: str) -> bytes:
        """What is below an attachment."""
        attachment = self._get(level, request, public_id, name)
        return bare(request, 304) if attachment is None else json_body(request, list(_CHILDREN))

    def info(self, level: ResourceType, request: Request, public_id: str, name: str) -> bytes:
        """Sizes, MD5s and UUID."""
        attachment = self._get(level, request, public_id, name)
        if attachment is None:
            return bare(request, 304)
        return json_body(request, attachment_json(attachment))

    def fact(
        self, level: ResourceType, request: Request, public_id: str, name: str, *, fact: Fact
    ) -> bytes:
        """One of the facts as text; 404 if it is not known."""
        attachment = self._get(level, request, public_id, name)
        if attachment is None:
            return bare(request, 304)
        text = fact(attachment)
        return text_body(request, text) if text else bare(request, 404)

    async def data(self, level: ResourceType, request: Request, public_id: str, name: str) -> Body:
        """The uncompressed content, or a range of it."""
        requested_range(request, _ANY_SIZE)  # a malformed one is refused ahead of the ETag
        attachment = self._get(level, request, public_id, name)
        if attachment is None:
            return bare(request, 304)
        filename = argument(request, "filename") or attachment.uuid
        mime = self._names.mime(attachment.content_type)
        await self._files.send(request, attachment, mime, filename, ranges=True)
        return None

    async def stored(
        self, level: ResourceType, request: Request, public_id: str, name: str
    ) -> Body:
        """The content as it is stored, or a range of that."""
        requested_range(request, _ANY_SIZE)
        attachment = self._get(level, request, public_id, name)
        if attachment is None:
            return bare(request, 304)
        mime, filename = OCTET_STREAM, None
        if attachment.compression is Compression.NONE:
            mime = self._names.mime(attachment.content_type)
            filename = argument(request, "filename") or attachment.uuid
        await self._files.send_stored(request, attachment, mime, filename)
        return None

    async def put(self, level: ResourceType, request: Request, public_id: str, name: str) -> bytes:
        """Make the body a user attachment."""
        number = user_number(self._names, name)
        expected = if_match(request, required=False)
        spool = take_spool(request) or self._new_spool()
        revision = await self._attachments.put(level, public_id, number, spool, expected)
        set_etag(request, revision)
        return empty_json(request)

    async def delete(
        self, level: ResourceType, request: Request, public_id: str, name: str
    ) -> bytes:
        """Delete a user attachment."""
        number = user_number(self._names, name)
        expected = if_match(request, required=self._attachments.check_revisions)
        await self._attachments.delete(level, public_id, number, expected)
        return empty_text(request)

    async def recompress(
        self, level: ResourceType, request: Request, public_id: str, name: str, *, compress: bool
    ) -> bytes:
        """Change how an attachment is stored."""
        number = self._names.number(name)
        await self._attachments.recompress(level, public_id, number, compress=compress)
        return empty_json(request)

    async def verify(
        self, level: ResourceType, request: Request, public_id: str, name: str
    ) -> bytes:
        """``{}`` if the file is what was stored; 400 if it is not, or cannot be told."""
        attachment = self._attachments.find(level, public_id, self._names.number(name))
        if attachment is None or not attachment.md5 or not attachment.stored_md5:
            return bare(request, 400)
        if await self._attachments.verify(attachment):
            return empty_json(request)
        return bare(request, 400)

    def _get(
        self, level: ResourceType, request: Request, public_id: str, name: str
    ) -> Attachment | None:
        """The attachment, with its ``ETag`` set; None if the client has it already."""
        attachment = self._attachments.get(level, public_id, self._names.number(name))
        revision = revision_of(attachment)
        set_etag(request, revision)
        return None if is_not_modified(request, revision) else attachment
