"""Paths, methods and errors of the resource tree (topic 51 of the corpus)."""

import json
from pathlib import Path
from xml.etree import ElementTree

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.rest import xml_body
from orthanc_tw.rest.errors import BareError, ErrorSettings
from orthanc_tw.rest.http import Route, json_body, text_body
from orthanc_tw.testing.requests import InMemorySite, Routes

RECORDING = Path(__file__).parents[1] / "reference" / "recordings" / "51-http.json"


def echo(request, **arguments):
    return json_body(request, {"method": request.method.decode(), **arguments})


def arguments_only(request, **arguments):
    return json_body(request, arguments)


def raising(error):
    def handler(request, **arguments):
        raise error

    return handler


def site(echo=echo, **options):
    return InMemorySite(
        Routes(
            Route("GET", "/", echo),
            Route("GET", "/system", echo),
            Route("GET", "/studies", echo),
            Route("GET", "/studies/<public_id>", echo, hot=True),
            Route("DELETE", "/studies/<public_id>", echo),
            Route("GET", "/studies/<public_id>/metadata/<name>", echo),
            Route("PUT", "/studies/<public_id>/metadata/<name>", echo),
            Route("DELETE", "/studies/<public_id>/metadata/<name>", echo),
            Route("GET", "/content/<path:rest>", echo),
            Route("POST", "/tools/find", echo, hot=True),
            Route("GET", "/tools", echo),
            Route("GET", "/fails", raising(OrthancError(ErrorCode.BAD_RANGE, "why"))),
            Route("GET", "/bare", raising(BareError(403))),
            Route("GET", "/bug", raising(ZeroDivisionError("secret"))),
        ),
        **options,
    )


class RouterTests(SynchronousTestCase):
    def test_arguments(self):
        """Klein's and hot routes get the path's variables decoded."""
        for path, expected in (
            ("/studies/a%20b", {"public_id": "a b"}),
            ("/studies/%C3%A9/metadata/x", {"public_id": "é", "name": "x"}),
            ("/content/a/b/c", {"rest": "a/b/c"}),
        ):
            answer = site().ask("GET", path)
            self.assertEqual((answer.status, answer.json()), (200, {"method": "GET", **expected}))

    def test_normalization(self):
        """Empty segments, trailing slashes, dots and encoded letters do not matter."""
        for path in (
            "/system/",
            "//system",
            "/system//",
            "/%73ystem",
            "/app/../system",
            "/./system",
        ):
            self.assertEqual(site().ask("GET", path).status, 200, path)
        for path in ("/", "/?x", "//", "/..", "/studies/../"):
            self.assertEqual(site().ask("GET", path).status, 200, path)

    def test_leaving_the_root(self):
        """More ``..`` than there are segments end at the root."""
        self.assertEqual(site().ask("GET", "/../../system").status, 200)

    def test_unknown(self):
        """An unknown path is a 404 with Orthanc's body, whose Uri is the decoded path."""
        for path in ("/nope", "/studies/1/nope", "/tools/nope", "/System", "/a/b/c", "/a%20b/"):
            answer = site().ask("GET", path + "?query=1")
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.headers["content-type"], "text/plain")
            self.assertEqual(
                answer.json(),
                {
                    "HttpError": "Not Found",
                    "HttpStatus": 404,
                    "Message": "Unknown resource",
                    "Method": "GET",
                    "OrthancError": "Unknown resource",
                    "OrthancStatus": 17,
                    "Uri": path.replace("%20", " "),
                },
            )

    def test_wrong_method(self):
        """405 has no body, and names the methods in Orthanc's order; hot routes too."""
        for method, path, allow in (
            ("POST", "/system", "GET"),
            ("PUT", "/studies/1", "GET,DELETE"),
            ("POST", "/studies/1/metadata/2", "GET,PUT,DELETE"),
            ("GET", "/tools/find", "POST"),
            ("POST", "/", "GET"),
        ):
            answer = site().ask(method, path)
            self.assertEqual((answer.status, answer.headers.get("allow")), (405, allow), path)
            self.assertEqual(answer.body, b"")
            self.assertNotIn("content-type", answer.headers)

    def test_overrides(self):
        """``_method`` works on GET, the header on POST, and both know PUT and DELETE only."""
        path = "/studies/1/metadata/2"
        override = "X-HTTP-Method-Override"
        for method, query, headers, expected in (
            ("GET", "?_method=DELETE", {}, "DELETE"),
            ("GET", "?_method=put", {}, "PUT"),
            ("GET", "?_method=GET", {}, 400),
            ("GET", "?_method=nope", {}, 400),
            ("POST", "?_method=DELETE", {}, 405),
            ("POST", "", {override: "DELETE"}, "DELETE"),
            ("POST", "", {override: "nope"}, 400),
            ("GET", "", {override: "DELETE"}, "GET"),
        ):
            answer = site().ask(method, path + query, b"x" if method == "POST" else None, headers)
            if isinstance(expected, int):
                self.assertEqual((answer.status, answer.body), (expected, b""))
            else:
                self.assertEqual(answer.json()["method"], expected)

    def test_odd_methods_as_recorded(self):
        """PATCH, TRACE, PROPFIND and unknown methods answer as Orthanc does."""
        compared = 0
        for exchange in json.loads(RECORDING.read_text())["exchanges"]:
            if exchange["method"] in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
                continue
            recorded = exchange["response"]
            answer = site().ask(exchange["method"], exchange["path"])
            self.assertEqual(answer.status, recorded["status"])
            for name in ("content-type", "cache-control"):
                self.assertEqual(answer.headers.get(name), recorded["headers"].get(name))
            self.assertEqual(answer.body.decode(), recorded.get("text", ""))
            compared += 1
        self.assertGreater(compared, 20)

    def test_head(self):
        """HEAD answers as GET does, without the body; errors and odd paths too."""
        for path in (
            "/",
            "//system/",
            "/studies/1",
            "/studies/1/metadata/2",
            "/nope",
            "/fails",
            "/bare",
            "/tools/find",
            "/content/a/b",
        ):
            get, head = (site(arguments_only).ask(method, path) for method in ("GET", "HEAD"))
            self.assertEqual(head.body, b"", path)
            self.assertEqual((head.status, head.headers), (get.status, get.headers), path)

    def test_head_is_safe(self):
        """HEAD is no other method, whatever ``_method`` and the header of POST say."""
        answer = site(arguments_only).ask(
            "HEAD", "/studies/1?_method=DELETE", headers={"X-HTTP-Method-Override": "DELETE"}
        )
        get = site(arguments_only).ask("GET", "/studies/1")
        self.assertEqual((answer.status, answer.headers), (200, get.headers))

    def test_options(self):
        """OPTIONS names the methods of a path; 204, or 404 where there is none."""
        for path, allow in (
            ("/", "GET,HEAD,OPTIONS"),
            ("/studies", "GET,HEAD,OPTIONS"),
            ("/studies/1/", "GET,HEAD,DELETE,OPTIONS"),
            ("/studies/1/metadata/2?_method=PUT", "GET,HEAD,PUT,DELETE,OPTIONS"),
            ("/tools/find", "POST,OPTIONS"),
            ("*", "GET,HEAD,POST,PUT,DELETE,OPTIONS"),
        ):
            answer = site().ask("OPTIONS", path)
            self.assertEqual((answer.status, answer.headers["allow"]), (204, allow), path)
            self.assertEqual(answer.body, b"")
            self.assertNotIn("content-length", answer.headers)
            self.assertNotIn("transfer-encoding", answer.headers)
        for path in ("/nope", "/studies/1/nope"):
            answer = site().ask("OPTIONS", path)
            self.assertEqual((answer.status, answer.json()["Method"]), (404, "OPTIONS"))

    def test_errors(self):
        """An OrthancError has its status, its description and its details."""
        answer = site().ask("GET", "/fails")
        self.assertEqual(answer.status, 416)
        self.assertEqual(answer.json()["HttpError"], "Requested Range Not Satisfiable")
        self.assertEqual(answer.json()["Details"], "why")
        self.assertEqual(answer.json()["OrthancStatus"], 41)

    def test_errors_not_described(self):
        """Without HttpDescribeErrors there is a status and nothing else."""
        answer = site(errors=ErrorSettings(describe_errors=False)).ask("GET", "/fails")
        self.assertEqual((answer.status, answer.body), (416, b""))
        self.assertNotIn("content-type", answer.headers)

    def test_bare_error(self):
        """A BareError is a status without a body."""
        answer = site().ask("GET", "/bare")
        self.assertEqual((answer.status, answer.body), (403, b""))

    def test_bug(self):
        """An unexpected exception is logged, and is an internal error without any details."""
        answer = site().ask("GET", "/bug")
        self.assertEqual((answer.status, answer.json()["OrthancStatus"]), (500, -1))
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_xml(self):
        """A client that accepts XML gets it."""
        answer = site().ask("GET", "/studies/1", headers={"Accept": "application/xml"})
        self.assertEqual(answer.headers["content-type"], "application/xml; charset=utf-8")
        self.assertEqual(
            answer.body,
            b'<?xml version="1.0" encoding="utf-8"?>\n<root>\n  <method>GET</method>\n'
            b"  <public_id>1</public_id>\n</root>\n",
        )

    def test_liked_best(self):
        """XML is for those that like nothing better: not for browsers, and by quality."""
        site_ = site()
        browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        for accept, xml in (
            ("application/xml", True),
            ("Application/XML; q=0.3", True),
            ("application/json;q=0.5, application/xml", True),
            ("*/*, application/xml", True),
            ("application/xml, application/json", True),
            ("application/json, application/xml", False),
            ("application/xml;q=0.1, application/json;q=0.9", False),
            ("*/*;q=0.1, application/xml;q=0", False),
            ("application/xml;q=0", False),
            (browser, False),
            ("application/xml;q=nonsense", None),
            ("application/xml;q=-1, ;;,", None),
        ):
            found = site_.ask("GET", "/studies/1", headers={"Accept": accept})
            self.assertEqual(found.status, 200)
            if xml is not None:
                self.assertEqual("xml" in found.headers["content-type"], xml, accept)

    def test_xml_as_recorded(self):
        """Recorded JSON answers become the recorded XML ones."""
        by_path = {}
        compared = 0
        for exchange in json.loads(RECORDING.read_text())["exchanges"]:
            recorded = exchange["response"]
            if exchange["method"] != "GET" or recorded["status"] != 200:
                continue
            if exchange.get("headers", {}).get("Accept") == "application/xml":
                body = json.dumps(by_path[exchange["path"]], sort_keys=True).encode()
                self.assertEqual(xml_body.from_json(body).decode(), recorded["text"])
                compared += 1
            elif "json" in recorded:
                by_path[exchange["path"]] = recorded["json"]
        self.assertEqual(compared, 2)

    def test_xml_of_any_json(self):
        """Keys that are no names of elements, and characters XML cannot carry, do no harm."""
        body = json.dumps({"0010,0010": 'a<&>"\x00\x0b', "e": {}, "l": [None, True, 1.5]}).encode()
        root = ElementTree.fromstring(xml_body.from_json(body))
        self.assertEqual(root.find("item[@name='0010,0010']").text, 'a<&>"')
        self.assertEqual([item.text for item in root.find("l")], [None, "true", "1.5"])

    def test_rivals(self):
        """Two routes for the same method and path are a mistake that is told at start."""
        routes = Routes(Route("GET", "/a", echo))
        self.assertRaises(ValueError, InMemorySite, routes, routes)

    def test_hot_route_hides_another(self):
        """A hot route that would hide a more specific one is told at start."""
        routes = Routes(Route("GET", "/a/<name>", echo, hot=True), Route("GET", "/a/b", echo))
        self.assertRaises(ValueError, InMemorySite, routes)


class WaitingTests(SynchronousTestCase):
    """Handlers that answer later."""

    def _waiting(self, method):
        cancelled = []
        running = Deferred(cancelled.append)

        def handler(request):
            return running.addCallback(lambda text: text_body(request, text))

        memory = InMemorySite(Routes(Route(method, "/slow", handler)))
        connection = memory.connect()
        connection.request(method, "/slow")
        return connection, running, cancelled

    def test_later(self):
        """The answer is sent when the handler's Deferred fires."""
        connection, running, _ = self._waiting("GET")
        self.assertEqual(connection.received(), b"")
        running.callback("done")
        self.assertEqual(connection.answer().body, b"done")

    def test_coroutine(self):
        """A handler may be a coroutine."""
        running = Deferred()

        async def handler(request):
            return text_body(request, await running)

        connection = InMemorySite(Routes(Route("GET", "/slow", handler))).connect()
        connection.request("GET", "/slow")
        running.callback("done")
        self.assertEqual(connection.answer().body, b"done")

    def test_failure(self):
        """A Deferred that fails is an error answer."""
        connection, running, _ = self._waiting("GET")
        running.errback(OrthancError(ErrorCode.TIMEOUT))
        self.assertEqual(connection.answer().status, 500)

    def test_hang_up_cancels_reads(self):
        """A client that hangs up cancels a GET."""
        connection, _running, cancelled = self._waiting("GET")
        connection.hang_up()
        self.assertEqual(len(cancelled), 1)

    def test_hang_up_leaves_writes_alone(self):
        """A client that hangs up does not stop what changes the state; its end is no error."""
        connection, running, cancelled = self._waiting("POST")
        connection.hang_up()
        self.assertEqual(cancelled, [])
        running.callback("done")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bug_after_hang_up(self):
        """What fails unexpectedly after its client hung up is logged."""
        connection, running, _ = self._waiting("PUT")
        connection.hang_up()
        running.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class CompressionTests(SynchronousTestCase):
    """HttpCompressionEnabled (topic 52)."""

    def _ask(self, accepted, compress=True):
        text = "x" * 2000
        memory = InMemorySite(
            Routes(
                Route("GET", "/text", lambda request: text_body(request, text)),
                Route("GET", "/png", lambda request: text_body(request, text, b"image/png")),
            ),
            compress=compress,
        )
        headers = {"Accept-Encoding": accepted}
        self.assertNotIn("content-encoding", memory.ask("GET", "/png", headers=headers).headers)
        return memory.ask("GET", "/text", headers=headers)

    def test_encodings(self):
        """Gzip is preferred to deflate; q=0, ``*`` and others are no consent."""
        for accepted, expected in (
            ("gzip", "gzip"),
            ("deflate", "deflate"),
            ("deflate, gzip", "gzip"),
            ("gzip;q=0", None),
            ("gzip;q=0, deflate;q=0.5", "deflate"),
            ("br", None),
            ("*", None),
            ("", None),
        ):
            answer = self._ask(accepted)
            self.assertEqual(answer.headers.get("content-encoding"), expected, accepted)
            self.assertEqual(len(answer.body) < 2000, expected is not None)

    def test_disabled(self):
        """Nothing is compressed without the option."""
        self.assertEqual(self._ask("gzip", compress=False).body, b"x" * 2000)
