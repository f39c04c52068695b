"""Wires what creates instances, and what gives the document of one back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from orthanc_tw.app import settings
from orthanc_tw.app.base import Base
from orthanc_tw.core.creation.creator import Creator
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.dicom.creation.parent import ComposeSettings
from orthanc_tw.dicom.tags import UserDictionary
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.json_list import SendChunks
from orthanc_tw.rest.routes.creation import CreationRoutes
from orthanc_tw.rest.routes.pdf import PdfRoutes


def creation_routes(
    base: Base,
    store: InstanceStore,
    instances: Instances,
    documents: Documents,
    send_chunks: SendChunks,
) -> Sequence[RouteProvider]:
    """The routes; a read-only server creates nothing."""
    runtime, dictionary = base.runtime, base.main_tags.dictionary or UserDictionary()
    reading = PdfRoutes(instances, documents, send_chunks, base.in_thread)
    if base.is_read_only:
        return (reading,)
    creator = Creator(
        base.served_index,
        base.storage,
        store,
        instances,
        documents,
        base.in_thread,
        base.workers.run,
        lambda: ComposeSettings(runtime.default_encoding, dictionary),
        uuid.uuid4,
        time.time,
    )
    return (reading, CreationRoutes(creator, settings.uploads(base.configuration)))
