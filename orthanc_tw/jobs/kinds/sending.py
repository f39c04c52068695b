"""What jobs that send instances one by one share: the list, the place in it, who failed.

To whom the instances go, and how, is the kind's own. A step is an instance, so that a job can be
paused, cancelled and continued between any two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.core.retrieve import TransferInstance
from orthanc_tw.index.gateway import Index
from orthanc_tw.jobs.interface import JobContext
from orthanc_tw.jobs.kinds.sending_pages import Page, Place, read_page
from orthanc_tw.model.errors import OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.resource import Resource

#: Sends an instance; the others are those that come next, as far as they are known.
Send = Callable[[TransferInstance, Sequence[TransferInstance]], Awaitable[object]]


def save_resources(resources: Sequence[Resource]) -> list[JsonValue]:
    """``Resources`` of the parameters of such a job; `saved_resources` reads them."""
    return [[resource.public_id, resource.level.label] for resource in resources]


def saved_resources(parameters: Mapping[str, Any]) -> list[Resource]:
    """The resources of a job with these parameters."""
    return [
        Resource(ResourceType.from_label(level), public_id)
        for public_id, level in parameters["Resources"]
    ]


class Sending:
    """The instances of one run of a job. Reactor thread.

    A run waits for the network, so that a pause may interrupt it.

    :param parameters: of the job: ``Resources``, ``InstancesCount``, ``Permissive`` and
        ``Description`` are read
    :param cursor: of the job: what `cursor` made is read
    :param failure: the error that a step is to fail with, of one that ``send`` raised
    """

    def __init__(
        self,
        index: Index,
        parameters: Mapping[str, Any],
        cursor: Mapping[str, Any],
        context: JobContext,
        send: Send,
        failure: Callable[[OrthancError], OrthancError],
    ) -> None:
        context.pause_interrupts = True
        self.resources = saved_resources(parameters)
        self._index = index
        self._parameters = parameters
        self._context = context
        self._send = send
        self._failure = failure
        self._place = Place(cursor.get("Resource", 0), cursor.get("After", ""))
        self._done: int = cursor.get("Done", 0)
        self._page: Page = []
        self._is_read = False

    def steps(self) -> Iterator[Deferred[Any]]:
        """A page of the list, or an instance."""
        while not self._is_read:
            yield self._index.read(
                partial(read_page, resources=self.resources, place=self._place)
            ).addCallback(self._paged)
            while self._page:
                yield Deferred.fromCoroutine(self._one())

    def progress(self) -> float:
        """By instances, those that failed among them."""
        total: int = self._parameters["InstancesCount"]
        return min(1.0, self._done / total) if total else 0.0

    def cursor(self) -> JsonObject:
        """The place in the list."""
        return {
            "Resource": self._place.resource,
            "After": self._place.after,
            "Done": self._done,
        }

    def content(self) -> JsonObject:
        """As recorded. Why instances have failed is told beside it, see `JobContext`."""
        content: JsonObject = {
            "Description": self._parameters["Description"],
            "FailedInstancesCount": len(self._context.failed_instances),
            "InstancesCount": self._parameters["InstancesCount"],
        }
        if self.resources:
            ordered = sorted(self.resources, key=lambda resource: resource.public_id)
            content["ParentResources"] = [resource.public_id for resource in ordered]
            content["Resources"] = [dict(resource.to_json()) for resource in ordered]
        return content

    def _paged(self, page: Page) -> None:
        self._page = page
        self._is_read = not page

    async def _one(self) -> None:
        (instance, after), *following = self._page
        try:
            await self._send(instance, [one for one, _ in following])
        except OrthancError as error:
            if not self._parameters["Permissive"]:
                raise self._failure(error) from None
            self._context.failed_instances[instance.public_id] = str(error)
        self._page = following
        self._place = after
        self._done += 1
