"""A server with every test file that is queried, and the identifiers it is asked for."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import unittest
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.peers.dicom_peers import (
    Instance,
    dicom_server,
    stored_instances,
    upload_all,
)
from tests.peers.process import OrthancProcess
from tests.ports import free_port

PETER = "98890234"

UNLOVED = ("1.9.999.999.99.9.9999.9999.20030818153516", "1.2.840.10008.1.2.5")


def even(instance: Instance) -> bytes:
    """A data set as it is on the wire: a deflated one is padded (PS3.5 A.5)."""
    return instance.dataset + bytes(len(instance.dataset) % 2)


def identifier(**values: Any) -> Dataset:
    """A data set of these keywords."""
    made = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def write_worklist(folder: Path, name: str, modality: str) -> None:
    """A worklist file."""
    item = identifier(
        SpecificCharacterSet="ISO_IR 192",
        PatientName=name,
        PatientID=name,
        ScheduledProcedureStepSequence=[identifier(Modality=modality)],
    )
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    item.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    item.save_as(folder / f"{name}.wl", enforce_file_format=True)


class Shared(NamedTuple):
    """A server with every test file, for all tests of queries: it takes a while to fill."""

    server: OrthancProcess
    instances: list[Instance]
    port: int
    sink_port: int
    folder: Path


@cache
def shared() -> Shared:
    """Start it; it is ended with the process, since trial knows no fixtures of classes."""
    folder = Path(tempfile.mkdtemp(prefix="orthanc-tw-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_worklist(folder, "Doe^John", "CT")
    write_worklist(folder, "Roe^Jane", "MR")
    port, sink_port = free_port(), free_port()
    server = dicom_server(
        port,
        DicomModalities={
            "sink": ["SINK", "127.0.0.1", sink_port],
            "nobody": ["NOBODY", "127.0.0.1", free_port()],
        },
        Worklists={"Enable": True, "Database": str(folder)},
    )
    atexit.register(server.destroy)
    upload_all(server.url)
    return Shared(server, list(stored_instances(server.url)), port, sink_port, folder)


class Case(unittest.TestCase):
    """Tests with that server."""

    def setUp(self) -> None:
        """Have it."""
        self.server, self.instances, self.port, self.sink_port, self.folder = shared()

    def studies(self) -> list[str]:
        """UIDs of all studies."""
        return sorted({instance.study_uid for instance in self.instances})
