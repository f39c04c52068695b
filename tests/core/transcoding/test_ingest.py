"""What is received, and what is stored already, in another transfer syntax."""

from __future__ import annotations

import io
import json

import numpy
import pydicom
from twisted.trial.unittest import SynchronousTestCase

from tests.rest.browsing import Server

_JPEG_LS, _BASELINE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.50"
_RLE = "test_files/SC_rgb_rle.dcm"


def _read(server: Server, instance: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(server.ask("GET", f"/instances/{instance}/file").body))


class IngestTests(SynchronousTestCase):
    def test_stored_in_the_wanted_syntax(self) -> None:
        """File and metadata are those of the transcoded instance, its pixels are the same."""
        server = Server({"IngestTranscoding": _JPEG_LS})
        instance = server.upload("test_files/CT_small.dcm")["ID"]
        read = _read(server, instance)
        self.assertEqual(read.file_meta.TransferSyntaxUID, _JPEG_LS)
        answer = server.ask("GET", f"/instances/{instance}/metadata/TransferSyntax")
        self.assertEqual(answer.body.decode(), _JPEG_LS)
        plain = Server()
        before = _read(plain, plain.upload("test_files/CT_small.dcm")["ID"])
        self.assertTrue(numpy.array_equal(read.pixel_array, before.pixel_array))

    def test_loss_makes_another_instance(self) -> None:
        """What loses information on the way in is stored under its new identity."""
        plain = Server().upload(_RLE)["ID"]
        server = Server({"IngestTranscoding": _BASELINE})
        first = server.upload(_RLE)
        self.assertNotEqual(first["ID"], plain)
        self.assertEqual(_read(server, first["ID"]).LossyImageCompression, "01")

    def test_impossible(self) -> None:
        """What cannot be transcoded, or has no pixels, is stored as it came."""
        server = Server({"IngestTranscoding": _BASELINE})
        for name in ("test_files/CT_small.dcm", "test_files/rtplan.dcm"):
            read = _read(server, server.upload(name)["ID"])
            self.assertNotEqual(read.file_meta.TransferSyntaxUID, _BASELINE)

    def test_restricted(self) -> None:
        """The options leave compressed or uncompressed instances alone."""
        server = Server({"IngestTranscoding": _JPEG_LS, "IngestTranscodingOfUncompressed": False})
        for name, wanted in (
            ("test_files/CT_small.dcm", "1.2.840.10008.1.2.1"),
            (_RLE, _JPEG_LS),
        ):
            read = _read(server, server.upload(name)["ID"])
            self.assertEqual(read.file_meta.TransferSyntaxUID, wanted)


class RewriteTests(SynchronousTestCase):
    def test_files_are_written_anew(self) -> None:
        """ReconstructFiles transcodes without loss; the old file goes, the identity stays."""
        server = Server({"IngestTranscoding": _JPEG_LS, "IngestTranscodingOfUncompressed": False})
        instance = server.upload("test_files/CT_small.dcm")["ID"]
        before = set(server.storage.files)
        server.rewriter._ingest._settings = server.rewriter._ingest._settings.__class__(_JPEG_LS)
        body = json.dumps({"ReconstructFiles": True}).encode()
        answer = server.ask("POST", f"/instances/{instance}/reconstruct", body)
        self.assertEqual(answer.status, 200)
        read = _read(server, instance)
        self.assertEqual(read.file_meta.TransferSyntaxUID, _JPEG_LS)
        answer = server.ask("GET", f"/instances/{instance}/metadata/TransferSyntax")
        self.assertEqual(answer.body.decode(), _JPEG_LS)
        self.assertEqual(before & set(server.storage.files), set())
        self.assertEqual(len(server.storage.files), 1)
        after = set(server.storage.files)
        server.ask("POST", "/tools/reconstruct", body)
        self.assertEqual(set(server.storage.files), after)

    def test_compression(self) -> None:
        """Files follow StorageCompression, with the header beside what is compressed."""
        server = Server()
        instance = server.upload("test_files/CT_small.dcm")["ID"]
        content = server.ask("GET", f"/instances/{instance}/file").body
        body = json.dumps({"ReconstructFiles": True}).encode()
        for compress, count in ((True, 2), (False, 1)):
            server.rewriter._compress = compress
            self.assertEqual(server.ask("POST", "/tools/reconstruct", body).status, 200)
            path = f"/instances/{instance}/attachments/dicom/is-compressed"
            self.assertEqual(server.ask("GET", path).body, b"1" if compress else b"0")
            self.assertEqual(len(server.storage.files), count)
            self.assertEqual(server.ask("GET", f"/instances/{instance}/file").body, content)

    def test_never_with_a_loss(self) -> None:
        """A lossy IngestTranscoding leaves stored files alone."""
        server = Server({"IngestTranscoding": _BASELINE, "IngestTranscodingOfCompressed": False})
        instance = server.upload(_RLE)["ID"]
        before = set(server.storage.files)
        server.rewriter._ingest._settings = server.rewriter._ingest._settings.__class__(_BASELINE)
        body = json.dumps({"ReconstructFiles": True}).encode()
        self.assertEqual(server.ask("POST", f"/instances/{instance}/reconstruct", body).status, 200)
        self.assertEqual(set(server.storage.files), before)
