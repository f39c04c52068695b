"""Which instances are modified: those that the resources of a request have when it begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orthanc_tw.index.gateway import ReadTransaction, ResourceRow
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import ContentType
from orthanc_tw.model.resource import Resource


@dataclass(frozen=True, slots=True)
class PlannedInstance:
    """An instance to be modified.

    :ivar ids: public identifiers of its patient, study, series, and its own
    :ivar file: storage UUID of its file when the job began
    """

    ids: tuple[str, str, str, str]
    file: str

    @property
    def public_id(self) -> str:
        """Its own public identifier."""
        return self.ids[3]


def find_resources(
    tx: ReadTransaction, public_ids: Sequence[str], level: ResourceType | None
) -> list[Resource]:
    """The resources of these identifiers, each once, in the order of their identifiers.

    :param level: which all must have, None for any
    :raises OrthancError: PARAMETER_OUT_OF_RANGE if one is not there, as recorded (400)
    """
    found = []
    for public_id in sorted(set(public_ids)):
        row = tx.lookup(public_id, level)
        if row is None:
            raise OrthancError(ErrorCode.PARAMETER_OUT_OF_RANGE)
        found.append(Resource(row.level, public_id))
    return found


def plan_instances(tx: ReadTransaction, resources: Sequence[Resource]) -> list[PlannedInstance]:
    """The instances of these resources, each once, in the order of their identifiers.

    :raises OrthancError: UNKNOWN_RESOURCE if a resource is gone
    """
    planned: dict[str, PlannedInstance] = {}
    for resource in resources:
        row = tx.lookup(resource.public_id, resource.level)
        if row is None:
            details = f"Cannot find this resource: {resource.public_id}"
            raise OrthancError(ErrorCode.UNKNOWN_RESOURCE, details)
        for series, above in _series(tx, row):
            instances = (
                [row]
                if row.level is ResourceType.INSTANCE
                else tx.descendants(series, ResourceType.INSTANCE)
            )
            for instance in instances:
                file = tx.attachment(instance.internal_id, ContentType.DICOM)
                if file is not None:
                    ids = (*above, series.public_id, instance.public_id)
                    planned[instance.public_id] = PlannedInstance(ids, file.uuid)
    return [planned[public_id] for public_id in sorted(planned)]


def _series(tx: ReadTransaction, row: ResourceRow) -> Iterator[tuple[ResourceRow, tuple[str, str]]]:
    """The series of a resource, with the identifiers of their patient and study."""
    if row.level in (ResourceType.SERIES, ResourceType.INSTANCE):
        above = {one.level: one for one in tx.ancestors(row)}
        series = row if row.level is ResourceType.SERIES else above[ResourceType.SERIES]
        study = above[ResourceType.STUDY]
        yield series, (above[ResourceType.PATIENT].public_id, study.public_id)
        return
    studies = [row] if row.level is ResourceType.STUDY else tx.descendants(row, ResourceType.STUDY)
    for study in studies:
        patient = tx.ancestors(study)[0].public_id
        for series in tx.descendants(study, ResourceType.SERIES):
            yield series, (patient, study.public_id)


def count_instances(tx: ReadTransaction, resources: Sequence[Resource]) -> int:
    """How many instances they have; one that two of them have counts twice."""
    count = 0
    for resource in resources:
        row = tx.lookup(resource.public_id, resource.level)
        if row is not None:
            count += tx.resource_statistics(row).count_instances
    return count
