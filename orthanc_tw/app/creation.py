"""Wires what creates instances, and what gives the document of one back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from orthanc_tw.app import settings
from orthanc_tw.config import Configuration
from orthanc_tw.core.creation.creator import Creator, RunInWorker
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.dicom.creation.compose import ComposeSettings
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.index.gateway import Index
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.json_list import SendChunks
from orthanc_tw.rest.routes.creation import CreationRoutes
from orthanc_tw.rest.routes.pdf import PdfRoutes
from orthanc_tw.storage.interface import Storage


def creation_routes(
    configuration: Configuration,
    index: Index,
    storage: Storage,
    store: InstanceStore,
    instances: Instances,
    documents: Documents,
    runtime: RuntimeOptions,
    dictionary: UserDictionary,
    run: RunInWorker,
    in_thread: Callable[..., Deferred[Any]],
    send_chunks: SendChunks,
) -> Sequence[RouteProvider]:
    """The routes; a read-only server creates nothing."""
    reading = PdfRoutes(instances, documents, send_chunks, in_thread)
    if configuration.boolean("ReadOnly"):
        return (reading,)
    creator = Creator(
        index,
        storage,
        store,
        instances,
        documents,
        in_thread,
        run,
        lambda: ComposeSettings(runtime.default_encoding, dictionary),
        uuid.uuid4,
        time.time,
    )
    return (reading, CreationRoutes(creator, settings.uploads(configuration)))
