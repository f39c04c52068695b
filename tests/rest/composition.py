"""The ingest path put together in memory, for tests, and bodies as the corpus describes them."""

import base64
import gzip
import io
import json
import zipfile
import zlib
from functools import partial
from pathlib import Path

import pydicom
from twisted.internet.defer import maybeDeferred

from orthanc_tw.core.archive_reader import ArchiveLimits
from orthanc_tw.core.store import InstanceStore, StoreSettings
from orthanc_tw.core.upload import Uploader
from orthanc_tw.dicom.charset import Encoding
from orthanc_tw.dicom.main_tags import MainDicomTags
from orthanc_tw.dicom.reader import read_summary
from orthanc_tw.index.gateway import StorageLimits
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import MetadataType
from orthanc_tw.rest.routes.upload import UploadRoutes
from orthanc_tw.testing.memory_index import MemoryIndex
from orthanc_tw.testing.memory_storage import MemoryStorage
from orthanc_tw.testing.requests import InMemorySite

DATA = Path(pydicom.__file__).parent / "data"
RECORDINGS = Path(__file__).parents[1] / "reference" / "recordings"
NOW_S = 1_700_000_000.5
BOUNDARY = "replayboundary7d1a"


def in_thread(function, *args, **kwargs):
    """Run at once: the Deferred has fired."""
    return maybeDeferred(function, *args, **kwargs)


class Composition:
    """Index, storage, store and site; threads are not there."""

    def __init__(
        self,
        *,
        storage=None,
        limits=None,
        storage_limits=None,
        site=None,
        threads=in_thread,
        **settings,
    ):
        self.index = MemoryIndex()
        self.storage = MemoryStorage() if storage is None else storage
        tags = MainDicomTags.from_configuration()
        signatures = {level: tags.signature(level) for level in ResourceType}
        self.store = InstanceStore(
            self.index,
            self.storage,
            StoreSettings(
                signatures=signatures, limits=storage_limits or StorageLimits(), **settings
            ),
            read_summary=partial(
                read_summary, main_tags=tags, default_encoding=Encoding.parse("Latin1")
            ),
            in_thread=threads,
            spawn=lambda work, failed: threads(work).addErrback(failed),
            clock=lambda: NOW_S,
            timer=lambda: 0.0,
        )
        self.uploader = Uploader(self.store, threads, limits or ArchiveLimits())
        self.site = InMemorySite(UploadRoutes(self.uploader), storage=self.storage, **(site or {}))

    def upload(self, body, headers=None):
        """POST /instances."""
        return self.site.ask("POST", "/instances", body, headers)

    def metadata(self, public_id):
        """Metadata of a resource by their names."""

        def read(tx):
            row = tx.lookup(public_id)
            values = tx.metadata(row.internal_id)
            return {MetadataType(key).label: item.value for key, item in values.items()}

        return self.index.read_now(read)


def exchanges(topic):
    """The exchanges of a recording."""
    return json.loads((RECORDINGS / f"{topic}.json").read_text())["exchanges"]


def test_file(name):
    """A test file of pydicom."""
    return (DATA / name).read_bytes()


def body_of(exchange):
    """Body and headers of a recorded exchange."""
    headers = dict(exchange.get("headers", {}))
    if "body_multipart" in exchange:
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        return multipart([_part(part) for part in exchange["body_multipart"]]), headers
    return _part(exchange), headers


def multipart(parts, boundary=BOUNDARY):
    """A form with these parts."""
    out = b""
    for part in parts:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="f"\r\n\r\n'.encode()
        out += part + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def zipped(entries, compression=zipfile.ZIP_DEFLATED):
    """A ZIP of ``{name: bytes}``."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def _part(spec):
    if "body_file" in spec:
        data = test_file(spec["body_file"])
        return data[: spec["truncate"]] if "truncate" in spec else data
    if "body_text" in spec:
        return spec["body_text"].encode()
    if "body_base64" in spec:
        return base64.b64decode(spec["body_base64"])
    if "body_gzip_file" in spec:
        return gzip.compress(test_file(spec["body_gzip_file"]), mtime=0)
    if "body_deflate_file" in spec:
        return zlib.compress(test_file(spec["body_deflate_file"]))
    if "body_zip" in spec:
        return zipped(
            {
                name: test_file(path) if path else b"not dicom"
                for name, path in spec["body_zip"].items()
            }
        )
    if "body" in spec:
        return json.dumps(spec["body"]).encode()
    return None
