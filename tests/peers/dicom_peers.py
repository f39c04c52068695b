"""Other DICOM implementations as processes, and what the test files are on the wire."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
from pydicom.filereader import _read_file_meta_info, read_preamble

from tests.peers.process import OrthancProcess
from tests.ports import free_port

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")


def dcmtk(name: str) -> str | None:
    """Path of a DCMTK tool; not one of the same name that pynetdicom installs."""
    path = f"/usr/bin/{name}"
    return path if os.access(path, os.X_OK) else None


class Instance(NamedTuple):
    """An instance as it should arrive; ``dataset`` is the file without meta header."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    study_uid: str
    dataset: bytes


def dataset_of(content: bytes) -> bytes:
    """A DICOM file without preamble and meta header."""
    file = io.BytesIO(content)
    read_preamble(file, force=True)
    _read_file_meta_info(file)
    return content[file.tell() :]


def _plain_syntax(dataset: pydicom.Dataset) -> str:
    """What pydicom has found a file without meta header to be."""
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if is_little_endian else "1.2.840.10008.1.2.2"


def upload_all(url: str) -> None:
    """Send every test file; a server takes what it can."""
    for path in sorted(TEST_FILES.rglob("*")):
        if path.is_file() and path.suffix not in (".zip", ".py", ".json"):
            try:
                upload(url, path.read_bytes())
            except urllib.error.HTTPError as error:
                error.close()


def upload(url: str, content: bytes) -> Any:
    """Send a file; the answer."""
    request = urllib.request.Request(f"{url}/instances", content)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def stored_instances(url: str) -> Iterator[Instance]:
    """All instances that a server has."""
    for public_id in get_json(f"{url}/instances"):
        with urllib.request.urlopen(f"{url}/instances/{public_id}/file", timeout=60) as answer:
            content = answer.read()
        header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
        yield Instance(
            str(header.SOPClassUID),
            str(header.SOPInstanceUID),
            str(header.file_meta.get("TransferSyntaxUID", _plain_syntax(header))),
            str(header.StudyInstanceUID),
            dataset_of(content),
        )


def get_json(url: str, value: Any = None, method: str | None = None) -> Any:
    """One JSON request."""
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(url, body, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def dicom_server(dicom_port: int, **options: Any) -> OrthancProcess:
    """This server, with its DICOM server."""
    return OrthancProcess(
        DicomServerEnabled=True,
        DicomPort=dicom_port,
        DicomAet="OURS",
        DicomAlwaysAllowFind=True,
        DicomAlwaysAllowFindWorklist=True,
        DicomAlwaysAllowGet=True,
        DicomAlwaysAllowMove=True,
        UnknownSopClassAccepted=True,
        **options,
    )


class ReferenceOrthanc:
    """The Orthanc of the distribution, in a temporary folder.

    :param modalities: as ``DicomModalities``
    """

    def __init__(self, aet: str, dicom_port: int, modalities: dict[str, list[Any]]) -> None:
        assert ORTHANC is not None
        self.folder = Path(tempfile.mkdtemp(prefix="orthanc-"))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        configuration = self.folder / "configuration.json"
        configuration.write_text(
            json.dumps(
                {
                    "StorageDirectory": str(self.folder),
                    "IndexDirectory": str(self.folder),
                    "HttpPort": port,
                    "DicomPort": dicom_port,
                    "DicomAet": aet,
                    "DicomModalities": modalities,
                    "DicomAlwaysAllowMove": True,
                    "UnknownSopClassAccepted": True,
                    "StableAge": 600,
                }
            )
        )
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([ORTHANC, str(configuration)], stdout=log, stderr=log)
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            get_json(f"{self.url}/system")
        except OSError:
            return False
        return True

    def destroy(self) -> None:
        """End it and remove its data."""
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(condition: Any, timeout_s: float = 30) -> Any:
    """Poll until a condition holds; its value."""
    for _ in range(int(timeout_s / 0.05)):
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise RuntimeError("it does not happen")
