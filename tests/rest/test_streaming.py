"""Bodies that are not in memory: ranges, back-pressure, sendfile on a real connection."""

import contextlib
import gc
import gzip
import os
import socket

from twisted.internet import reactor  # noqa: TID251  (loopback tests)
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest import sendfile
from orthanc_tw.rest.auth import Authenticator, AuthSettings
from orthanc_tw.rest.body import take_spool
from orthanc_tw.rest.channel import OrthancChannel
from orthanc_tw.rest.errors import ErrorSettings
from orthanc_tw.rest.executor import Executor
from orthanc_tw.rest.http import Route, text_body
from orthanc_tw.rest.router import RestRoot
from orthanc_tw.rest.site import OrthancSite, SiteSettings
from orthanc_tw.rest.streaming import CHUNK_BYTES, Streamer, set_filename
from orthanc_tw.storage.filesystem import FilesystemStorage
from orthanc_tw.testing.requests import InMemorySite, Routes, parse_answer, request_bytes
from tests.rest.composition import in_thread

CONTENT = bytes(range(256)) * 4096  # 1 MiB


class FileTests(SynchronousTestCase):
    """Files in memory transports: read in threads, in chunks."""

    def setUp(self):
        """A file."""
        self.path = self.mktemp()
        with open(self.path, "wb") as file:
            file.write(CONTENT)

    def _site(self, threads=in_thread, **options):
        streamer = Streamer(threads)

        def handler(request):
            return streamer.send_path(
                request, self.path, content_type=b"application/dicom", **options
            )

        return InMemorySite(Routes(Route("GET", "/file", handler)))

    def test_whole(self):
        """A file is sent with its type, length and name."""
        answer = self._site(filename='a"b\r\n.dcm').ask("GET", "/file")
        self.assertEqual(answer.body, CONTENT)
        self.assertEqual(answer.headers["content-type"], "application/dicom")
        self.assertEqual(answer.headers["content-disposition"], 'filename="a_b__.dcm"')

    def test_ranges_as_recorded(self):
        """Ranges are answered as by Orthanc, oddities included."""
        with open(self.path, "wb") as file:
            file.write(b"hello attachment")
        for wanted, status, expected, shown in (
            ("bytes=0-4", 206, b"hello", "bytes 0-4/16"),
            ("bytes=6-", 206, b"attachment", "bytes 6-15/16"),
            ("bytes=-4", 206, b"hello", "bytes 0-4/16"),
            ("bytes=10-100", 206, b"chment", "bytes 10-15/16"),
            ("bytes=100-200", 416, None, None),
            ("bytes=4-2", 500, None, None),
            ("bytes=-", 416, None, None),
            ("nonsense", 416, None, None),
            ("bytes=0-1,3-4", 416, None, None),
        ):
            answer = self._site(ranges=True).ask("GET", "/file", headers={"Range": wanted})
            self.assertEqual(answer.status, status, wanted)
            self.assertEqual(answer.headers.get("content-range"), shown)
            if expected is not None:
                self.assertEqual(answer.body, expected)
                self.assertEqual(answer.headers["content-type"], "application/octet-stream")

    def test_range_of_a_large_file(self):
        """A range within a file that is sent in chunks."""
        first, last = 1000, 1000 + 3 * CHUNK_BYTES
        headers = {"Range": f"bytes={first}-{last}"}
        answer = self._site(ranges=True).ask("GET", "/file", headers=headers)
        self.assertEqual(answer.body, CONTENT[first : last + 1])

    def test_range_ignored(self):
        """Where ranges are not honoured the whole file comes."""
        answer = self._site().ask("GET", "/file", headers={"Range": "bytes=0-4"})
        self.assertEqual((answer.status, len(answer.body)), (200, len(CONTENT)))

    def test_missing(self):
        """A file that is not there is a 404."""
        os.unlink(self.path)
        self.assertEqual(self._site().ask("GET", "/file").status, 404)

    def test_empty(self):
        """An empty file is an empty body."""
        open(self.path, "wb").close()
        answer = self._site().ask("GET", "/file")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_back_pressure(self):
        """Nothing is read for a client that does not take what was sent."""
        reads = []

        def threads(function, *args):
            reads.append(args)
            return in_thread(function, *args)

        running = []

        def slow(function, *args):
            running.append((Deferred(), function, args))
            reads.append(args)
            return running[-1][0]

        connection = self._site(slow).connect()
        connection.request("GET", "/file")
        self.assertEqual(len(reads), 1)
        connection.transport.producer.pauseProducing()
        deferred, function, args = running.pop()
        deferred.callback(function(*args))
        self.assertEqual(len(reads), 1)
        connection.transport.producer.resumeProducing()
        self.assertEqual(len(reads), 2)

    def test_hang_up(self):
        """The file is closed when the client hangs up, and a late chunk is dropped."""
        running = []

        def slow(function, *args):
            running.append((Deferred(), function, args))
            return running[-1][0]

        connection = self._site(slow).connect()
        connection.request("GET", "/file")
        deferred, function, args = running.pop()
        data = function(*args)
        connection.hang_up()
        self.assertRaises(ValueError, function, *args)
        deferred.callback(data)
        self.assertEqual(running, [])
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_shrunk(self):
        """A file shorter than its length was said to be cuts the connection."""

        def threads(function, *args):
            os.truncate(self.path, 1000)
            return in_thread(function, *args)

        connection = self._site(threads).connect()
        connection.request("GET", "/file")
        connection.produce()
        self.assertRaises(AssertionError, connection.answer)
        self.assertEqual(len(self.flushLoggedErrors(OrthancError)), 1)


class GeneratedTests(SynchronousTestCase):
    def _site(self, chunks, closed, compress=False, content_type=b"application/json"):
        streamer = Streamer(in_thread, compress=compress)

        def handler(request):
            request.setHeader(b"content-type", content_type)
            return streamer.send_chunks(request, chunks, lambda: closed.append(True))

        return InMemorySite(Routes(Route("GET", "/chunks", handler)))

    def test_chunked(self):
        """Generated data is sent in chunks, thousands of them, and closed once."""
        pieces = iter([b"x"] * 5000)
        closed = []
        site = self._site(lambda: next(pieces, b""), closed)
        answer = site.ask("GET", "/chunks")
        self.assertEqual(answer.body, b"x" * 5000)
        self.assertEqual(closed, [True])

    def test_compressed(self):
        """With HttpCompressionEnabled text in chunks is compressed, if the client accepts it."""
        for content_type, encoding in (
            (b"application/json", "gzip"),
            (b"image/png", None),
            (b"text/event-stream", None),
        ):
            pieces = iter([b"one", succeed(b"two"), b"x" * 100_000])
            site = self._site(lambda found=pieces: next(found, b""), [], True, content_type)
            answer = site.ask("GET", "/chunks", headers={"Accept-Encoding": "gzip"})
            self.assertEqual(answer.headers.get("content-encoding"), encoding)
            body = gzip.decompress(answer.body) if encoding else answer.body
            self.assertEqual(body, b"onetwo" + b"x" * 100_000)

    def test_compressed_failure(self):
        """An error before the first byte is an error in plain text."""

        def chunk():
            raise OrthancError(ErrorCode.CORRUPTED_FILE)

        site = self._site(chunk, [], compress=True)
        answer = site.ask("GET", "/chunks", headers={"Accept-Encoding": "gzip"})
        self.assertNotIn("content-encoding", answer.headers)
        self.assertEqual(answer.json()["OrthancStatus"], int(ErrorCode.CORRUPTED_FILE))

    def test_failure(self):
        """A failure amid the data cuts the connection: the client must not take it for whole."""
        pieces = iter([b"x"])

        def chunk():
            try:
                return next(pieces)
            except StopIteration:
                raise OrthancError(ErrorCode.CORRUPTED_FILE) from None

        closed = []
        connection = self._site(chunk, closed).connect()
        connection.request("GET", "/chunks")
        self.assertRaises(AssertionError, connection.answer)
        self.assertEqual(closed, [True])
        self.assertEqual(len(self.flushLoggedErrors(OrthancError)), 1)

    def test_failure_before_the_first_byte(self):
        """A failure before the first chunk is an ordinary error."""

        def chunk():
            raise OrthancError(ErrorCode.INEXISTENT_FILE)

        streamer = Streamer(in_thread)

        def handler(request):
            set_filename(request, "x.zip")
            return streamer.send_chunks(request, chunk)

        answer = InMemorySite(Routes(Route("GET", "/chunks", handler))).ask("GET", "/chunks")
        self.assertEqual(answer.status, 404)
        self.assertNotIn("content-disposition", answer.headers)


class Channel(OrthancChannel):
    """Tells when it is closed."""

    def connectionMade(self):
        """Remember it."""
        super().connectionMade()
        self.closed = Deferred()
        self.site.channels.append(self)

    def connectionLost(self, reason=None):
        """Tell it."""
        super().connectionLost(reason)
        self.site.channels.remove(self)
        self.closed.callback(None)


class LoopbackTests(TestCase):
    """Real sockets: what a memory transport cannot show."""

    def setUp(self):
        """A site on a loopback port."""
        self.folder = self.mktemp()
        self.storage = FilesystemStorage(
            self.folder, sync=False, with_md5=True, uuid_source=lambda: os.urandom(8).hex()
        )
        self.path = os.path.join(self.folder, "file")
        self.content = os.urandom(4096) * 2000  # 8 MB: more than any socket buffer
        with open(self.path, "wb") as file:
            file.write(self.content)
        self.streamer = Streamer(deferToThread)
        routes = Routes(
            Route("GET", "/file", self._file),
            Route("GET", "/small", lambda request: text_body(request, "small")),
            Route("POST", "/size", self._size),
        )
        self.site = OrthancSite(
            RestRoot([routes], Executor(ErrorSettings())),
            SiteSettings(maximum_body_bytes=50_000_000),
            Authenticator(AuthSettings()),
            self.storage.new_spool,
            reactor,
        )
        self.site.protocol = Channel
        self.site.channels = self.channels = []
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    def _file(self, request):
        return self.streamer.send_path(request, self.path, content_type=b"application/dicom")

    def _size(self, request):
        spool = take_spool(request)
        size = spool.size_bytes
        spool.discard()
        return text_body(request, str(size))

    def _connect(self):
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port), timeout=20)
        self.addCleanup(client.close)
        return client

    @inlineCallbacks
    def _ask(self, data, answers=1):
        """Send, and read so many answers, in a thread."""

        def talk():
            client = self._connect()
            client.sendall(data)
            received = b""
            found = []
            while len(found) < answers:
                with contextlib.suppress(AssertionError):
                    answer, received = parse_answer(received)
                    found.append(answer)
                    continue
                piece = client.recv(1 << 20)
                self.assertTrue(piece, f"{len(received)} bytes, then the end")
                received += piece
            client.close()
            return found

        found = yield deferToThread(talk)
        yield self._all_closed()
        return found

    @inlineCallbacks
    def _all_closed(self):
        """Wait until the server has seen that its clients are gone."""
        while self.channels:
            yield self.channels[-1].closed

    @inlineCallbacks
    def test_sendfile(self):
        """Files larger than the socket's buffer arrive, among pipelined requests."""
        made = []
        original = sendfile.SocketSender.run
        self.patch(
            sendfile.SocketSender, "run", lambda sender: (made.append(sender), original(sender))[1]
        )
        requests = [request_bytes("GET", path) for path in ("/file", "/small", "/file")]
        answers = yield self._ask(b"".join(requests), 3)
        self.assertTrue(answers[0].body == self.content)
        self.assertEqual(answers[1].body, b"small")
        self.assertTrue(answers[2].body == self.content)
        self.assertEqual(len(made), 2)

    @inlineCallbacks
    def test_hang_up(self):
        """A client that goes away amid a file leaves no descriptor open."""
        made = []
        original = sendfile.SocketSender.run
        self.patch(
            sendfile.SocketSender, "run", lambda sender: (made.append(sender), original(sender))[1]
        )

        def vanish():
            client = self._connect()
            client.sendall(request_bytes("GET", "/file"))
            client.recv(1000)
            client.close()

        finished = Deferred()

        def handler(request):
            return self._file(request).addBoth(lambda _: finished.callback(None))

        route = Route("GET", "/file", handler)
        self.site.resource = self.site.root = RestRoot([Routes(route)], Executor(ErrorSettings()))
        yield deferToThread(vanish)
        yield finished
        yield self._all_closed()
        gc.collect()
        folder = "/proc/self/fd"
        links = [os.path.realpath(os.path.join(folder, name)) for name in os.listdir(folder)]
        self.assertNotIn(os.path.realpath(self.path), links)
        self.assertEqual(made[0].fileno(), -1)

    @inlineCallbacks
    def test_large_body(self):
        """A large body arrives whole; its spool leaves nothing behind."""
        (answer,) = yield self._ask(request_bytes("POST", "/size", b"x" * 20_000_000))
        self.assertEqual(answer.body, b"20000000")
        self.assertEqual(os.listdir(os.path.join(self.folder, "spool")), [])

    @inlineCallbacks
    def test_too_large_body(self):
        """The answer to a body that is too large is not lost, though the client sends on."""
        (answer,) = yield self._ask(request_bytes("POST", "/size", b"x" * 60_000_000))
        self.assertEqual(answer.status, 413)
