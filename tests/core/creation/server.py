"""What creates instances, put together in memory; workers are called at once."""

import base64
import importlib
import io
import itertools
import json
from uuid import UUID

import pydicom
from PIL import Image
from twisted.internet.defer import maybeDeferred

from orthanc_tw.core.archive_reader import ArchiveLimits
from orthanc_tw.core.creation.creator import Creator
from orthanc_tw.core.documents import Documents
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.creation.parent import ComposeSettings
from orthanc_tw.dicom.tags import DictionaryEntry, UserDictionary
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.rest.routes.creation import CreationRoutes
from orthanc_tw.rest.routes.pdf import PdfRoutes
from orthanc_tw.rest.routes.upload import UploadRoutes
from orthanc_tw.rest.streaming import Streamer
from orthanc_tw.testing.requests import InMemorySite
from tests.rest.composition import Composition, in_thread

NOW_S = 1_700_000_000.0
PDF = b"%PDF-1.4\nnot much of a document\n%%EOF\n"
DICTIONARY = UserDictionary((DictionaryEntry(0x43211012, "DA", "MyDate", "Mine"),))


def run_at_once(function, args):
    """`WorkerPool.run` without workers."""
    module, _, name = function.partition(":")
    return maybeDeferred(getattr(importlib.import_module(module), name), *args)


def uri(mime, data):
    """A data URI."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def encoded(image, image_format="PNG", **options):
    """An image as a file."""
    target = io.BytesIO()
    image.save(target, image_format, **options)
    return target.getvalue()


def gradient(mode="L", size=(5, 3)):
    """An image of different pixels."""
    count = size[0] * size[1] * len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, size, bytes(index * 7 % 256 for index in range(count)))


class CreationServer:
    """Routes over an index and a storage area."""

    def __init__(self, run=run_at_once):
        self.composition = Composition()
        self.index, self.storage = self.composition.index, self.composition.storage
        runtime = RuntimeOptions(Encoding.LATIN1, ())
        documents = Documents(self.storage, in_thread, runtime, DICTIONARY)
        self.instances = Instances(self.index, documents)
        numbers = itertools.count(1)
        creator = Creator(
            self.index,
            self.storage,
            self.composition.store,
            self.instances,
            documents,
            in_thread,
            run,
            lambda: ComposeSettings(runtime.default_encoding, DICTIONARY),
            lambda: UUID(int=next(numbers)),
            lambda: NOW_S,
        )
        streamer = Streamer(in_thread)
        self.site = InMemorySite(
            CreationRoutes(creator, ArchiveLimits()),
            PdfRoutes(self.instances, documents, streamer.send_chunks, in_thread),
            UploadRoutes(self.composition.uploader),
            storage=self.storage,
        )

    def post(self, body, headers=None):
        """POST /tools/create-dicom."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.site.ask("POST", "/tools/create-dicom", data, headers)

    def file(self, public_id):
        """The stored file of an instance."""
        stored = self.instances.one(public_id).file
        with self.storage.open(stored.uuid, stored.compression) as file:
            return file.read()

    def dataset(self, answer):
        """What an answer says was created."""
        return pydicom.dcmread(io.BytesIO(self.file(answer.json()["ID"])))

    def series(self, public_id):
        """Data sets of a series, by InstanceNumber."""
        rows = self.index.read_one(
            lambda tx: [
                row.public_id for row in tx.descendants(tx.lookup(public_id), ResourceType.INSTANCE)
            ]
        )
        found = [pydicom.dcmread(io.BytesIO(self.file(row))) for row in rows]
        return sorted(found, key=lambda dataset: int(dataset.InstanceNumber))
