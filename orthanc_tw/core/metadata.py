"""Use cases on the metadata of one resource. Called in the reactor thread.

Source: REST API, ``/{level}/{id}/metadata``.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from orthanc_tw.core.lookup import require
from orthanc_tw.core.revisions import Revision, next_revision
from orthanc_tw.core.utc import utc_text
from orthanc_tw.index.gateway import Index, MetadataValue, ReadTransaction, WriteTransaction
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ChangeType


class Metadata:
    """Reads all metadata, writes those of users.

    :param check_revisions: option ``CheckRevisions``
    """

    def __init__(self, index: Index, clock: IReactorTime, *, check_revisions: bool) -> None:
        self._index = index
        self._clock = clock
        self.check_revisions = check_revisions

    def all(self, level: ResourceType, public_id: str) -> Mapping[int, MetadataValue]:
        """Every metadata of a resource by number.

        :raises OrthancError: UNKNOWN_RESOURCE
        """

        def read(tx: ReadTransaction) -> Mapping[int, MetadataValue]:
            return tx.metadata(require(tx, level, public_id).internal_id)

        return self._index.read_now(read)

    def put(
        self,
        level: ResourceType,
        public_id: str,
        number: int,
        value: str,
        expected: Revision | None,
    ) -> Deferred[Revision]:
        """Write one; fires with its new revision once it is durable.

        :raises OrthancError: (in the Deferred) UNKNOWN_RESOURCE, REVISION
        """
        date = utc_text(self._clock.seconds())

        def write(tx: WriteTransaction) -> Revision:
            row = require(tx, level, public_id)
            old = tx.metadata(row.internal_id).get(number)
            revision = next_revision(
                None if old is None else Revision.of_text(old.revision, old.value),
                expected,
                check_revisions=self.check_revisions,
            )
            tx.set_metadata(row.internal_id, number, value, revision)
            tx.log_change(ChangeType.UPDATED_METADATA, row, date)
            return Revision.of_text(revision, value)

        return self._index.write(write)

    def delete(
        self, level: ResourceType, public_id: str, number: int, expected: Revision | None
    ) -> Deferred[None]:
        """Remove one.

        :raises OrthancError: (in the Deferred) UNKNOWN_RESOURCE, of it too, REVISION
        """
        date = utc_text(self._clock.seconds())

        def write(tx: WriteTransaction) -> None:
            row = require(tx, level, public_id)
            old = tx.metadata(row.internal_id).get(number)
            if old is None:
                raise OrthancError(ErrorCode.UNKNOWN_RESOURCE)
            if expected is not None and expected != Revision.of_text(old.revision, old.value):
                raise OrthancError(ErrorCode.REVISION)
            tx.delete_metadata(row.internal_id, number)
            tx.log_change(ChangeType.UPDATED_METADATA, row, date)

        return self._index.write(write)
