"""`OrthancPeer`: its JSON forms, and what they keep to themselves."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.registry import PeerRegistry
from orthanc_tw.testing.memory_index import MemoryIndex

SECRETS = ("tops3cret", "k3ypass", "t0ken")
FULL = {
    "Url": "https://peer:8043/orthanc",
    "Username": "alice",
    "Password": "tops3cret",
    "HttpHeaders": {"X-Token": "t0ken"},
    "CertificateFile": "/c.pem",
    "CertificateKeyFile": "/k.pem",
    "CertificateKeyPassword": "k3ypass",
    "Timeout": 7,
    "RemoteSelf": "me",
}


class PeerTests(SynchronousTestCase):
    """One peer."""

    def refused(self, value: Any) -> OrthancError:
        """Why it is refused."""
        return self.assertRaises(OrthancError, OrthancPeer.from_json, "p", value)

    def test_saved(self) -> None:
        """What is saved is read back in all its fields."""
        peer = OrthancPeer.from_json("p", FULL)
        self.assertEqual(peer, OrthancPeer.from_json("p", json.loads(json.dumps(peer.saved()))))
        self.assertEqual("https://peer:8043/orthanc/system", peer.with_path("/system"))
        self.assertEqual({"RemoteSelf": "me"}, peer.properties)

    def test_secrets(self) -> None:
        """No form that is shown has a secret, nor has what is logged of a peer."""
        peer = OrthancPeer.from_json("p", FULL)
        shown = json.dumps([peer.configuration(), peer.content()]) + repr(peer)
        for secret in SECRETS:
            self.assertNotIn(secret, shown)
        self.assertEqual(["X-Token"], peer.configuration()["HttpHeaders"])

    def test_shown_is_taken(self) -> None:
        """The password of what is shown is null: put back, there is none."""
        shown = {**OrthancPeer.from_json("p", FULL).configuration(), "HttpHeaders": {}}
        self.assertEqual("", OrthancPeer.from_json("p", shown).password)

    def test_login_in_url(self) -> None:
        """User and password of a URL are taken out of it: URLs are shown."""
        peer = OrthancPeer.from_json("p", ["http://al%40ice:tops3cret@peer:8042"])
        self.assertEqual(("al@ice", "tops3cret"), (peer.username, peer.password))
        self.assertEqual("http://peer:8042/", peer.url)
        self.assertEqual(["http://peer:8042/", "al@ice"], peer.content())

    def test_old_name(self) -> None:
        """The field is ``URL`` in Orthanc's OpenAPI."""
        self.assertEqual("http://x/", OrthancPeer.from_json("p", {"URL": "http://x"}).url)

    def test_bad_urls(self) -> None:
        """A URL that cannot be used is refused, and shown without its password."""
        for url in (
            "ftp://x",
            "http://",
            "http://x:0/",
            "http://x:y/",
            "http://a b/",
            "http://x/?q",
        ):
            self.assertIn("Bad URL", self.refused({"Url": url}).details or "", url)
        for url in ("ftp://a:tops3cret@x/", "http://a:tops3cret@x:port/", "a:tops3cret@x"):
            self.assertNotIn("tops3cret", str(self.refused({"Url": url})))

    def test_bad_fields(self) -> None:
        """What is of another type is named."""
        for name, value in (
            ("Username", 1), ("Password", []), ("Timeout", "1"), ("Timeout", -1), ("Timeout", True),
            ("Pkcs11", 1), ("Pkcs11", True), ("CertificateFile", {}),
        ):  # fmt: skip
            error = self.refused({"Url": "http://x", name: value})
            self.assertIn(name, error.details or "")
        for headers in (["a"], {"a": 1}, {"": "x"}, {"a:b": "x"}, {"a": "x\r\nEvil: 1"}):
            self.assertIs(
                ErrorCode.BAD_FILE_FORMAT,
                self.refused({"Url": "http://x", "HttpHeaders": headers}).code,
            )

    def test_password_alone(self) -> None:
        """A password is somebody's."""
        self.assertIn("Username", self.refused({"Url": "http://x", "Password": "x"}).details or "")

    def test_files(self) -> None:
        """The files of a client certificate are looked for when they are named."""
        peer = {"Url": "http://x", "CertificateFile": __file__, "CertificateKeyFile": __file__}
        OrthancPeer.from_json("p", peer).require_files()
        for name in ("CertificateFile", "CertificateKeyFile"):
            wrong = OrthancPeer.from_json("p", {**peer, name: "/nope.pem"})
            error = self.assertRaises(OrthancError, wrong.require_files)
            self.assertIs(ErrorCode.INEXISTENT_FILE, error.code)
            self.assertIn("/nope.pem", error.details or "")


class RegistryTests(SynchronousTestCase):
    """What is specific to peers; `ModalityRegistry` is tested for the rest."""

    def test_database(self) -> None:
        """A peer comes back from the database with its secrets."""
        index = MemoryIndex()
        peer = OrthancPeer.from_json("p", FULL)
        self.successResultOf(PeerRegistry({}, index).put("p", peer))
        self.assertEqual({"p": peer}, dict(PeerRegistry({}, index)))

    def test_of_job(self) -> None:
        """A job has its peer as it was, or with the secrets it has now."""
        old = OrthancPeer.from_json("p", ["http://x", "a", "old"])
        new = OrthancPeer.from_json("p", ["http://x", "a", "new"])
        elsewhere = OrthancPeer.from_json("p", ["http://y", "a", "new"])
        for known, expected in (({}, old), ({"p": new}, new), ({"p": elsewhere}, old)):
            self.assertEqual(expected, PeerRegistry(known).of_job("p", old.saved()))

    def test_missing(self) -> None:
        """Both errors are 404, in the words of Orthanc."""
        registry = PeerRegistry({})
        error = self.assertRaises(OrthancError, registry.require, "x")
        self.assertEqual((404, "No peer with symbolic name: x"), (error.http_status, error.details))
        error = self.assertRaises(OrthancError, registry.remove, "x")
        self.assertEqual((404, "Unknown Orthanc peer: x"), (error.http_status, error.details))
