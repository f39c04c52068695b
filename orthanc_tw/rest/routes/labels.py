"""``/{level}/{id}/labels`` and ``/patients/{id}/protected``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from twisted.web.server import Request

from orthanc_tw.core.lookup import require
from orthanc_tw.index.gateway import Index, ReadTransaction, WriteTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.answers import boolean_request, empty_text
from orthanc_tw.rest.errors import bare
from orthanc_tw.rest.http import Route, json_body, text_body
from orthanc_tw.rest.level_routes import level_routes
from orthanc_tw.rest.spec import ZERO_OR_ONE, array, described, json_spec, text_spec

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}")

_LIST = json_spec(array())
_EMPTY = text_spec()
_PROTECTED = text_spec(ZERO_OR_ONE)
_PROTECT = text_spec(body=described(ZERO_OR_ONE, "Or true, false"), body_required=True)


def _valid(label: str) -> str:
    if _LABEL.fullmatch(label) is None:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            "A label must be a non-empty, alphanumeric string, possibly with '_' or '-' "
            f"characters, with maximum 64 characters, but got: {label}",
        )
    return label


class LabelRoutes:
    """Labels of resources of the levels given, and the protection of patients."""

    def __init__(self, index: Index, levels: Iterable[ResourceType]) -> None:
        self._index = index
        self._levels = tuple(levels)

    def routes(self) -> Iterable[Route]:
        """Labels at each level; protection at the level of patients."""
        yield from level_routes(
            self._levels,
            [
                ("GET", "labels", self.list_all, "List the labels", _LIST),
                ("GET", "labels/<label>", self.get, "Test whether a label is set", _EMPTY),
                ("PUT", "labels/<label>", self.put, "Add a label", _EMPTY),
                ("DELETE", "labels/<label>", self.delete, "Remove a label", _EMPTY),
            ],
        )
        if ResourceType.PATIENT in self._levels:
            protected = "/patients/<public_id>/protected"
            yield Route(
                "GET", protected, self.get_protected, "Is the patient protected?", spec=_PROTECTED
            )
            yield Route(
                "PUT", protected, self.put_protected, "Protect against recycling", spec=_PROTECT
            )

    def _labels(self, level: ResourceType, public_id: str) -> Sequence[str]:
        def read(tx: ReadTransaction) -> Sequence[str]:
            return tx.labels(require(tx, level, public_id).internal_id)

        return self._index.read_now(read)

    def list_all(self, level: ResourceType, request: Request, public_id: str) -> bytes:
        """The labels, sorted."""
        return json_body(request, sorted(self._labels(level, public_id)))

    def get(self, level: ResourceType, request: Request, public_id: str, label: str) -> bytes:
        """An empty answer if the label is set, 404 otherwise."""
        if label in self._labels(level, public_id):
            return empty_text(request)
        return bare(request, 404)

    async def put(self, level: ResourceType, request: Request, public_id: str, label: str) -> bytes:
        """Add a label; it may be there already."""
        name = _valid(label)

        def write(tx: WriteTransaction) -> None:
            tx.add_label(require(tx, level, public_id).internal_id, name)

        await self._index.write(write)
        return empty_text(request)

    async def delete(
        self, level: ResourceType, request: Request, public_id: str, label: str
    ) -> bytes:
        """Remove a label; it may be absent."""
        name = _valid(label)

        def write(tx: WriteTransaction) -> None:
            tx.remove_label(require(tx, level, public_id).internal_id, name)

        await self._index.write(write)
        return empty_text(request)

    def get_protected(self, request: Request, public_id: str) -> bytes:
        """``1`` or ``0``."""

        def read(tx: ReadTransaction) -> bool:
            return tx.is_protected(_patient(tx, public_id))

        return text_body(request, "1" if self._index.read_now(read) else "0")

    async def put_protected(self, request: Request, public_id: str) -> bytes:
        """Set or clear the protection by a Boolean body."""
        protected = boolean_request(request)

        def write(tx: WriteTransaction) -> None:
            tx.set_protected(_patient(tx, public_id), protected)

        await self._index.write(write)
        return empty_text(request)


def _patient(tx: ReadTransaction, public_id: str) -> int:
    row = tx.lookup(public_id, ResourceType.PATIENT)
    if row is None:
        # Orthanc tells 400 apart from 404 here, and clients test for it.
        raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
    return row.internal_id
