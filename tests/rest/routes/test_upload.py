"""POST /instances: the recorded uploads, and those that mean harm."""

import gzip
import json
import zipfile

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.archive_reader import ArchiveLimits
from orthanc_tw.index.gateway import StorageLimits
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.registries import OverwriteInstances
from orthanc_tw.rest.errors import ErrorSettings
from tests.rest.composition import (
    BOUNDARY,
    Composition,
    body_of,
    exchanges,
    in_thread,
    multipart,
    test_file,
    zipped,
)

MR = "test_files/MR_small.dcm"
CT = "test_files/CT_small.dcm"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class RecordedTests(SynchronousTestCase):
    """The uploads of the corpus answer as recorded."""

    def _replay(self, topic, minimum, **options):
        composition = Composition(**options)
        compared = 0
        for number, exchange in enumerate(exchanges(topic)):
            if exchange["method"] != "POST" or exchange["path"].strip("/") != "instances":
                continue
            body, headers = body_of(exchange)
            answer = composition.site.ask("POST", exchange["path"], body, headers)
            recorded = exchange["response"]
            told = f"{topic} {number} {exchange.get('body_file')}"
            self.assertEqual(answer.status, recorded["status"], told)
            self.assertEqual(
                answer.headers.get("content-type"), recorded["headers"].get("content-type"), told
            )
            if "json" in recorded:
                self.assertEqual(answer.json(), recorded["json"], told)
            else:
                self.assertEqual(answer.body, b"", told)
            compared += 1
        self.assertGreaterEqual(compared, minimum)
        self.assertEqual(composition.storage.spools, set())
        return composition

    def test_upload(self):
        """Topic 05: every form of upload, and every file of pydicom."""
        self._replay("05-upload", 60)

    def test_overwrite_never(self):
        """Topic 06: what is there stays."""
        composition = self._replay("06-upload-overwrite-never", 3)
        self.assertEqual(len(composition.storage.files), 1)

    def test_overwrite_always(self):
        """Topic 06: the newcomer replaces what is there, and its file."""
        composition = self._replay(
            "06-upload-overwrite-always", 3, overwrite=OverwriteInstances.ALWAYS
        )
        self.assertEqual(len(composition.storage.files), 1)

    def test_overwrite_if_changed(self):
        """Topic 06: only another content replaces what is there."""
        composition = self._replay(
            "06-upload-overwrite-ifchanged", 3, overwrite=OverwriteInstances.IF_CHANGED
        )
        self.assertEqual(len(composition.storage.files), 1)

    def test_storage_limits(self):
        """Topic 03: a full storage refuses with 507, and keeps no file of what it refused."""
        limits = StorageLimits(maximum_patients=2, recycle=False)
        full = Composition(storage_limits=limits)
        for exchange in exchanges("03-storage-limits")[:4]:
            body, headers = body_of(exchange)
            answer = full.upload(body, headers)
            self.assertEqual(answer.status, exchange["response"]["status"])
            self.assertEqual(answer.json(), exchange["response"]["json"])
        self.assertEqual(len(full.storage.files), 2)

    def test_metadata_as_recorded(self):
        """Topics 06 and 12: the metadata of all four levels."""
        composition = Composition()
        compared = 0
        for exchange in exchanges("12-tags"):
            if exchange["method"] == "POST" and exchange["path"] == "/instances":
                composition.upload(*body_of(exchange))
            elif exchange["path"].endswith("/metadata?expand"):
                public_id = exchange["path"].split("/")[2]
                recorded = dict(exchange["response"]["json"])
                found = composition.metadata(public_id)
                for volatile in ("LastUpdate", "ReceptionDate"):
                    self.assertEqual(volatile in found, volatile in recorded)
                    recorded.pop(volatile, None)
                    found.pop(volatile, None)
                self.assertEqual(found, recorded, exchange["path"])
                compared += 1
        self.assertGreater(compared, 4)


class ArchiveTests(SynchronousTestCase):
    """ZIP archives, forms and gzip beyond what is recorded."""

    def _check_refused(self, composition, answer, status, text):
        self.assertEqual(answer.status, status)
        self.assertIn(text, answer.json()["Details"])
        self.assertEqual(composition.storage.spools, set())

    def test_bomb(self):
        """An archive that inflates to more than a body may have is refused, amid inflating."""
        composition = Composition(limits=ArchiveLimits(maximum_bytes=100_000))
        answer = composition.upload(zipped({"a": b"\0" * 60_000, "b": b"\0" * 60_000}))
        self._check_refused(composition, answer, 413, "100000 bytes")

    def test_large_entry(self):
        """An archive may be larger than each of its files may be."""
        composition = Composition(limits=ArchiveLimits(maximum_entry_bytes=50_000))
        answer = composition.upload(zipped({"a": b"x" * 60_000}))
        self._check_refused(composition, answer, 413, "a file of more than 50000 bytes")
        answer = composition.upload(zipped({"a": b"x" * 40_000, "b": b"x" * 40_000}))
        self.assertEqual(answer.json(), [])

    def test_gzip_bomb(self):
        """So is a gzip body."""
        composition = Composition(limits=ArchiveLimits(maximum_bytes=100_000))
        body = gzip.compress(b"\0" * 200_000)
        answer = composition.upload(body, {"Content-Encoding": "gzip"})
        self._check_refused(composition, answer, 413, "100000 bytes")

    def test_too_many_entries(self):
        """An archive with too many entries is refused before its directory is read."""
        composition = Composition(limits=ArchiveLimits(maximum_entries=3))
        answer = composition.upload(zipped({str(number): b"x" for number in range(4)}))
        self._check_refused(composition, answer, 413, "3 entries")
        self.assertEqual(composition.upload(zipped({"1": b"x", "2": b"x"})).json(), [])

    def test_damaged(self):
        """A damaged archive is a 400."""
        composition = Composition()
        body = bytearray(zipped({"a": test_file(MR)}))
        body[200:300] = b"\xff" * 100
        answer = composition.upload(bytes(body))
        self._check_refused(composition, answer, 400, "ZIP")

    def test_cut_off(self):
        """An archive without its directory is a 400."""
        composition = Composition()
        answer = composition.upload(zipped({"a": test_file(MR)})[:-30])
        self._check_refused(composition, answer, 400, "ZIP")

    def test_other_compression(self):
        """Other compressions (of which some take any memory) are refused."""
        composition = Composition()
        answer = composition.upload(zipped({"a": b"x"}, zipfile.ZIP_LZMA))
        self._check_refused(composition, answer, 400, "compression method 14")

    def test_encrypted(self):
        """An encrypted archive is refused."""
        body = bytearray(zipped({"a": b"x"}, zipfile.ZIP_STORED))
        central = bytes(body).index(b"PK\x01\x02")
        body[6] |= 1
        body[central + 8] |= 1
        composition = Composition()
        self._check_refused(composition, composition.upload(bytes(body)), 400, "encrypted")

    def test_hostile_names(self):
        """Names of entries lead nowhere."""
        composition = Composition()
        answer = composition.upload(zipped({"../../../etc/passwd": test_file(MR), "/a//": b""}))
        self.assertEqual([one["Status"] for one in answer.json()], ["Success"])

    def test_many(self):
        """The results of a large archive are in the order of its entries."""
        names = [
            "77654033/CT2/17106",
            "77654033/CT2/17136",
            "77654033/CT2/17166",
            "98892003/MR1/4919",
        ]
        names = [f"test_files/dicomdirtests/{name}" for name in names] * 6
        composition = Composition()
        answer = composition.upload(
            zipped({f"{number}/x": test_file(name) for number, name in enumerate(names)})
        )
        identifiers = [one["ID"] for one in answer.json()]
        self.assertEqual(identifiers, identifiers[:4] * 6)
        statuses = [one["Status"] for one in answer.json()]
        self.assertEqual(statuses, ["Success"] * 4 + ["AlreadyStored"] * 20)

    def test_zip_in_gzip(self):
        """A gzip body may be an archive."""
        body = gzip.compress(zipped({"a": test_file(MR)}))
        answer = Composition().upload(body, {"Content-Encoding": "gzip"})
        self.assertEqual(len(answer.json()), 1)

    def test_gzip_members(self):
        """A gzip body may have several members, and may not be cut off."""
        data = test_file(MR)
        body = gzip.compress(data[:1000]) + gzip.compress(data[1000:])
        composition = Composition()
        self.assertEqual(composition.upload(body, {"Content-Encoding": "gzip"}).status, 200)
        answer = composition.upload(body[:-10], {"Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 400)
        self.assertEqual(composition.storage.spools, set())

    def test_form_up_to_the_first_that_is_none(self):
        """The parts of a form are stored up to the first that is no instance."""
        composition = Composition()
        answer = composition.upload(multipart([test_file(MR), b"no", test_file(CT)]), FORM)
        self.assertEqual(answer.status, 400)
        self.assertEqual(len(composition.storage.files), 1)
        self.assertEqual(composition.storage.spools, set())

    def test_malformed_form(self):
        """A form that is cut off, or has no boundary, is a 400 that says so."""
        composition = Composition()
        body = multipart([test_file(MR)])
        self._check_refused(composition, composition.upload(body[:-20], FORM), 400, "multipart")
        answer = composition.upload(body, {"Content-Type": "multipart/form-data"})
        self._check_refused(composition, answer, 400, "boundary")
        self.assertEqual(composition.storage.files, {})

    def test_large_part(self):
        """A part larger than what is read at once is put together again."""
        data = test_file("test_files/JPEG2000.dcm") + test_file("test_files/693_J2KI.dcm") * 20
        composition = Composition()
        stored = []
        composition.store.store = lambda spool, origin: (
            stored.append(spool.reader().read()) or in_thread(lambda: None)
        )
        composition.upload(multipart([data, b"\r\n--x", b""]), FORM)
        self.assertEqual(stored, [data, b"\r\n--x", b""])

    def test_store_fails_amid_archive(self):
        """A full disk amid an archive is the answer, and nothing is left behind."""
        composition = Composition()
        composition.storage.fail_commit = OrthancError(ErrorCode.FULL_STORAGE)
        answer = composition.upload(zipped({"a": test_file(MR), "b": test_file(CT)}))
        self.assertEqual(answer.status, 507)
        self.assertEqual(composition.storage.spools, set())


class UploadTests(SynchronousTestCase):
    def test_chunked_empty(self):
        """An empty chunked body is an empty file."""
        connection = Composition().site.connect()
        connection.send(
            b"POST /instances HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        self.assertEqual(connection.answer().json()["Details"], "Received an empty DICOM file")

    def test_hang_up(self):
        """A client that hangs up after its body has arrived changes nothing."""
        waiting = []

        def later(function, *args, **kwargs):
            running = Deferred()
            waiting.append((running, function, args, kwargs))
            return running

        composition = Composition(threads=later)
        connection = composition.site.connect()
        connection.request("POST", "/instances", test_file(MR))
        connection.hang_up()
        drained = composition.store.drain()
        self.assertNoResult(drained)
        running, function, args, kwargs = waiting.pop()
        running.callback(function(*args, **kwargs))
        self.successResultOf(drained)
        self.assertEqual(len(composition.storage.files), 1)
        self.assertEqual(composition.index.read_now(lambda tx: tx.statistics()).count_instances, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_two_at_once(self):
        """Of two uploads of the same instance at once, one wins and the other leaves no file."""
        waiting = []

        def later(function, *args, **kwargs):
            running = Deferred()
            waiting.append((running, function, args, kwargs))
            return running

        composition = Composition(threads=later)
        connections = [composition.site.connect() for _ in range(2)]
        for connection in connections:
            connection.request("POST", "/instances", test_file(MR))
        while waiting:
            running, function, args, kwargs = waiting.pop(0)
            running.callback(function(*args, **kwargs))
        statuses = [connection.answer().json()["Status"] for connection in connections]
        self.assertEqual(statuses, ["Success", "AlreadyStored"])
        self.assertEqual(len(composition.storage.files), 1)

    def test_index_fails(self):
        """If the row cannot be written its file is removed, and the client is told."""
        composition = Composition()
        composition.index.close()
        composition.index.read_one = lambda fn: False
        answer = composition.upload(test_file(MR))
        self.assertGreaterEqual(answer.status, 500)
        self.assertEqual(composition.storage.files, {})

    def test_written_as_json_body_would(self):
        """The answer to an instance is spelt as every other JSON answer."""
        answer = Composition().upload(test_file(MR))
        spelt = json.dumps(answer.json(), indent=2, sort_keys=True).encode() + b"\n"
        self.assertEqual(answer.body, spelt)

    def test_not_described(self):
        """Topic 02: without HttpDescribeErrors the error has no body."""
        composition = Composition(site={"errors": ErrorSettings(describe_errors=False)})
        answer = composition.upload(b"nope")
        self.assertEqual((answer.status, answer.body), (400, b""))

    def test_compression(self):
        """StorageCompression stores Orthanc's format."""
        composition = Composition(compress=True)
        composition.upload(test_file(CT))
        _header, stored = sorted(composition.storage.files.values(), key=len)
        self.assertEqual(int.from_bytes(stored[:8], "little"), len(test_file(CT)))

    def test_origin(self):
        """Who sent an instance is kept with it."""
        composition = Composition()
        answer = composition.site.ask(
            "POST",
            "/instances",
            test_file(MR),
            {"Authorization": "Basic YWxpY2U6d29uZGVy"},
            client_ip="10.1.2.3",
        )
        metadata = composition.metadata(answer.json()["ID"])
        self.assertEqual(metadata["HttpUsername"], "alice")
        self.assertEqual(metadata["RemoteIP"], "10.1.2.3")
        self.assertEqual(metadata["ReceptionDate"], "20231114T221320")
