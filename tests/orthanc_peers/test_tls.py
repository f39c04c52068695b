"""`PeerClient` over HTTPS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor, ssl  # noqa: TID251

from orthanc_tw.peers.client import PeerClient
from orthanc_tw.peers.errors import (
    PeerTlsError,
)
from orthanc_tw.peers.peer import OrthancPeer
from orthanc_tw.peers.tls import TrustSettings
from tests.orthanc_peers.web_server import Case
from tests.rest.test_tls import certificate


class TlsTests(Case):
    """HTTPS: who is trusted, and what is shown."""

    def listen(self) -> Any:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        for name, *addresses in (
            ("server", "127.0.0.1"), ("other", "127.0.0.2"), ("nameless",), ("client",),
            ("stranger",),
        ):  # fmt: skip
            key, public = certificate(name, *addresses)
            (self.folder / f"{name}.pem").write_bytes(key + public)
            (self.folder / f"{name}.crt").write_bytes(public)
            (self.folder / f"{name}.key").write_bytes(key)
        own = ssl.PrivateCertificate.loadPEM((self.folder / f"{self.shown}.pem").read_bytes())
        trusted = ssl.Certificate.loadPEM((self.folder / "client.crt").read_bytes())
        options = ssl.CertificateOptions(
            privateKey=own.privateKey.original,
            certificate=own.original,
            trustRoot=ssl.trustRootFromCertificates([trusted]) if self.asks_client else None,
        )
        return reactor.listenSSL(0, self.site, options, interface="127.0.0.1")  # type: ignore[attr-defined]

    asks_client = False
    shown = "server"

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def new_peer(self, **more: Any) -> OrthancPeer:
        return OrthancPeer.from_json("b", {"Url": f"https://127.0.0.1:{self.port}/", **more})

    def trusting(self, verify: bool = True, authorities: str = "") -> PeerClient:
        path = self.path(authorities) if authorities else ""
        return self.new_client(trust=TrustSettings(verify, path))

    async def test_unknown_authority(self) -> None:
        """A certificate that nobody vouches for is refused, and no request made."""
        for authorities in ("", "stranger.crt"):
            client = self.trusting(authorities=authorities)
            error = await self.failure(PeerTlsError, client.request(self.peer, "GET", "a"))
            self.assertIn("certificate", error.reason)
            self.assertFalse(error.is_transient)
        self.assertEqual([], self.resource.asked)

    async def test_trusted(self) -> None:
        """One that an authority of ``HttpsCACertificates`` vouches for is taken."""
        client = self.trusting(authorities="server.crt")
        self.assertEqual(200, (await client.request(self.peer, "GET", "a")).status)

    async def test_unverified(self) -> None:
        """``HttpsVerifyPeers: false`` takes any."""
        answer = await self.trusting(verify=False).request(self.peer, "GET", "a")
        self.assertEqual(200, answer.status)

    async def test_unreadable(self) -> None:
        """A file that is not there is named."""
        client = self.trusting(authorities="nope.crt")
        error = await self.failure(PeerTlsError, client.request(self.peer, "GET", "a"))
        self.assertIn("HttpsCACertificates", error.reason)
        peer = self.new_peer(CertificateFile=self.path("nope.pem"))
        error = await self.failure(PeerTlsError, self.client.request(peer, "GET", "a"))
        self.assertIn("CertificateFile", error.reason)


class OtherHostTests(TlsTests):
    """A certificate that is trusted, but is not that of the host that was asked."""

    shown = "other"

    async def test_trusted(self) -> None:
        """It is refused."""
        client = self.trusting(authorities=f"{self.shown}.crt")
        error = await self.failure(PeerTlsError, client.request(self.peer, "GET", "a"))
        self.assertIn("not that of the host", error.reason)
        self.assertEqual([], self.resource.asked)


class NamelessTests(OtherHostTests):
    """One that names no host at all."""

    shown = "nameless"


class ClientCertificateTests(TlsTests):
    """A peer that asks for a certificate of ours."""

    asks_client = True

    def new_peer(self, **more: Any) -> OrthancPeer:
        files = {
            "CertificateFile": self.path("client.crt"),
            "CertificateKeyFile": self.path("client.key"),
        }
        return super().new_peer(**{**files, **more})

    async def test_none(self) -> None:
        """Without one there is no connection; one of a stranger is refused too."""
        client = self.trusting(verify=False)
        for more in (
            {"CertificateFile": "", "CertificateKeyFile": ""},
            {"CertificateFile": self.path("stranger.pem"), "CertificateKeyFile": ""},
        ):
            await self.failure(PeerTlsError, client.request(self.new_peer(**more), "GET", "a"))

    async def test_key_of_another(self) -> None:
        """A key that does not belong to the certificate."""
        peer = self.new_peer(CertificateKeyFile=self.path("stranger.key"))
        client = self.trusting(verify=False)
        await self.failure(PeerTlsError, client.request(peer, "GET", "a"))
