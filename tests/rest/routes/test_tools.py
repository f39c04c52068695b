"""Operations on the server as a whole, and its page."""

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.rest.browsing import Server


class ToolsTests(SynchronousTestCase):
    def test_after_the_answer(self):
        """The server stops or restarts once its answer is sent, not before."""
        server = Server()
        for name in ("reset", "shutdown"):
            connection = server.site.connect()
            connection.request("POST", f"/tools/{name}", b"")
            self.assertEqual(connection.answer().body, b"{}")
        self.assertEqual(server.events, ["reset", "shutdown"])

    def test_identifiers(self):
        """Generated UIDs are made of UUIDs (PS3.5 B.2)."""
        server = Server()
        uid = server.ask("GET", "/tools/generate-uid?level=series").body.decode()
        self.assertTrue(uid.startswith("2.25."))
        self.assertLessEqual(len(uid), 64)
        patient = server.ask("GET", "/tools/generate-uid?level=patient").body.decode()
        self.assertEqual(len(patient), 36)

    def test_default_encoding(self):
        """The default encoding has effect on tags at once."""
        server = Server({"DefaultEncoding": "Latin1"})
        instance = server.upload("test_files/MR_small.dcm")["ID"]
        self.assertEqual(server.documents.tag_options().default_encoding.value, "Latin1")
        server.ask("PUT", "/tools/default-encoding", "Cyrillic")
        self.assertEqual(server.documents.tag_options().default_encoding.value, "Cyrillic")
        self.assertEqual(server.ask("GET", f"/instances/{instance}/tags").status, 200)

    def test_metrics(self):
        """The metrics say what was read."""
        server = Server()
        instance = server.upload("test_files/MR_small.dcm")["ID"]
        server.ask("GET", f"/instances/{instance}/file")
        text = server.ask("GET", "/tools/metrics-prometheus").body.decode()
        self.assertIn("orthanc_storage_read_bytes 9830 ", text)


class ExplorerTests(SynchronousTestCase):
    def test_self_contained(self):
        """The page loads nothing from elsewhere."""
        server = Server()
        page = server.ask("GET", "/app/explorer.html")
        self.assertEqual(page.headers["content-type"], "text/html")
        text = page.body.decode() + server.ask("GET", "/app/explorer.js").body.decode()
        self.assertEqual(re.findall(r"https?://|//[a-z]|@import|url\(", text), [])
        for name in re.findall(r'(?:src|href)="([^"]+)"', text):
            self.assertEqual(server.ask("GET", f"/app/{name}").status, 200, name)

    def test_icon(self):
        """Browsers find the icon where they look for it."""
        server = Server()
        location = server.ask("GET", "/favicon.ico").headers["location"]
        self.assertEqual(server.ask("GET", f"/{location}").headers["content-type"], "image/x-icon")

    def test_calls(self):
        """Every path that the page calls is one of this server's."""
        text = Server().ask("GET", "/app/explorer.js").body.decode()
        called = set(re.findall(r'call\("([a-z/]+)', text))
        self.assertEqual(
            called,
            {"tools/find", "studies/", "jobs", "jobs/", "statistics", "system", "instances"},
        )

    def test_disabled(self):
        """Without the page there is nothing to be redirected to."""
        server = Server({"OrthancExplorerEnabled": False})
        for path in ("/", "/app/explorer.html"):
            self.assertEqual(server.ask("GET", path).status, 404)
