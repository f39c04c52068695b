"""Wires what shows images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.core.images.frames import Frames, RunInWorker
from orthanc_tw.core.instances import Instances
from orthanc_tw.index.gateway import Index
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.routes.frames import FrameRoutes
from orthanc_tw.rest.routes.pictures import PictureRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.storage.interface import Storage


def image_routes(
    index: Index,
    instances: Instances,
    storage: Storage,
    run: RunInWorker,
    in_thread: Callable[..., Deferred[Any]],
    streamer: Streamer,
) -> Sequence[RouteProvider]:
    """The routes of frames and pictures."""
    frames = Frames(storage, run, in_thread)
    return (
        FrameRoutes(index, instances, frames, streamer, in_thread),
        PictureRoutes(instances, frames, streamer),
    )
