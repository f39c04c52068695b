"""Bytes of metadata as text of the index."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.metadata_text import bytes_of, shown, text_of
from tests.rest.browsing import Server

VALUE = b"\x00\xff\xe9t\xc3\xa9 \xed\xa0\x80 \xf4\x8f\xbf\xbf"


class MetadataTextTests(SynchronousTestCase):
    @given(st.one_of(st.binary(), st.text().map(str.encode)))
    def test_there_and_back(self, value: bytes) -> None:
        """Whatever bytes come back as they were, over text that UTF-8 can carry."""
        text = text_of(value)
        text.encode()
        self.assertEqual(bytes_of(text), value)
        shown(text).encode()

    def test_text(self) -> None:
        """Text is kept as it is."""
        for text in ("", "abc", "\x00", "\xe9\U0001f600"):
            self.assertEqual(text_of(text.encode()), text)
            self.assertEqual(shown(text), text)

    def test_private_use(self) -> None:
        """Code points that stand for bytes come back, too."""
        value = "\U0010ff80\U0010ffff\U0010ff7f".encode()
        self.assertEqual(bytes_of(text_of(value)), value)

    def test_routes(self) -> None:
        """The body of a PUT comes back byte for byte; JSON shows what it can."""
        server = Server()
        study = server.upload("test_files/CT_small.dcm")["ParentStudy"]
        path = f"/studies/{study}/metadata/1030"
        put = server.ask("PUT", path, VALUE)
        self.assertEqual(put.status, 200)
        found = server.ask("GET", path)
        self.assertEqual((found.status, found.body), (200, VALUE))
        self.assertEqual(found.headers["etag"], put.headers["etag"])
        etag = {"If-Match": put.headers["etag"]}
        self.assertEqual(server.ask("PUT", path, b"\xfe", headers=etag).status, 200)
        for expanded in (
            server.ask("GET", f"/studies/{study}/metadata?expand&numeric").json(),
            server.ask(
                "POST", "/tools/bulk-content", {"Resources": [study], "Metadata": True}
            ).json()[0]["Metadata"],
        ):
            self.assertIn("\ufffd", expanded.values())
