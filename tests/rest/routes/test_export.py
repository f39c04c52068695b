"""``POST /instances/{id}/export``."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.rest.browsing import DATA, Server

NAME = "test_files/CT_small.dcm"


class ExportRoutesTests(SynchronousTestCase):
    def test_disabled(self) -> None:
        """Without a folder it is forbidden, whatever is asked."""
        server = Server()
        for path in (f"/instances/{server.upload(NAME)['ID']}/export", "/instances/nope/export"):
            self.assertEqual(server.ask("POST", path, b"x.dcm").status, 403)

    def test_written(self) -> None:
        """The body is the path below the folder."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        server = Server({"RestApiExportDirectory": str(folder)})
        path = f"/instances/{server.upload(NAME)['ID']}/export"
        answer = server.ask("POST", path, b"a/x.dcm")
        self.assertEqual((answer.status, answer.json()), (200, {}))
        self.assertEqual((folder / "a/x.dcm").read_bytes(), (DATA / NAME).read_bytes())
        refused = server.ask("POST", path, b"../x.dcm")
        self.assertEqual(refused.status, 400)
        self.assertIn("RestApiExportDirectory", refused.json()["Details"])
        self.assertEqual(server.ask("POST", "/instances/nope/export", b"x").status, 404)
