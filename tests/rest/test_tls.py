"""HTTPS by the ``Ssl*`` options: handshakes with real certificates, in memory."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.tls import TlsSettings, context_factory


def certificate(name: str, *addresses: str) -> tuple[bytes, bytes]:
    """A key and a certificate signed with it, PEM; for these IP addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if addresses:
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return private, made.public_bytes(pem)


class TlsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A certificate of the server, one of a client, one of a stranger."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        for name in ("server", "client", "stranger"):
            key, public = certificate(name)
            (self.folder / f"{name}.pem").write_bytes(key + public)
            (self.folder / f"{name}.crt").write_bytes(public)

    def path(self, name: str) -> str:
        """A file of this test."""
        return str(self.folder / name)

    def handshake(self, client: str | None = None, maximum: Any = None, **settings: Any) -> str:
        """Shake hands; the protocol that was agreed on.

        :raises SSL.Error, ssl.SSLError: if one side refused
        """
        factory = context_factory(TlsSettings(self.path("server.pem"), **settings))
        server = SSL.Connection(factory.getContext(), None)
        server.set_accept_state()
        context = ssl.create_default_context(cafile=self.path("server.crt"))
        context.check_hostname = False
        if maximum is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.maximum_version = maximum
        if client is not None:
            context.load_cert_chain(self.path(f"{client}.pem"))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = context.wrap_bio(incoming, outgoing)
        for _ in range(6):
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
                peer.read(1)
            if outgoing.pending:
                server.bio_write(outgoing.read())
            with contextlib.suppress(SSL.WantReadError):
                server.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                incoming.write(server.bio_read(65536))
        version = peer.version()
        assert version is not None
        return version

    def test_plain(self) -> None:
        """A client without a certificate is served, by the newest protocol."""
        self.assertEqual(self.handshake(), "TLSv1.3")

    def test_minimum_version(self) -> None:
        """An older protocol than the minimum is refused."""
        old = ssl.TLSVersion.TLSv1_2
        self.assertEqual(self.handshake(maximum=old, minimum_version=4), "TLSv1.2")
        error = (SSL.Error, ssl.SSLError)
        self.assertRaises(error, self.handshake, maximum=old, minimum_version=5)

    def test_client_certificate(self) -> None:
        """With trusted certificates a client has to have one of them."""
        trusted = self.path("client.crt")
        error = (SSL.Error, ssl.SSLError)
        self.assertEqual(self.handshake("client", trusted_clients=trusted), "TLSv1.3")
        self.assertRaises(error, self.handshake, "stranger", trusted_clients=trusted)
        self.assertRaises(error, self.handshake, trusted_clients=trusted)

    def test_ciphers(self) -> None:
        """Only the named ciphers are offered (TLS 1.3 has its own)."""
        self.assertEqual(
            self.handshake(
                maximum=ssl.TLSVersion.TLSv1_2, ciphers=("ECDHE-ECDSA-AES256-GCM-SHA384",)
            ),
            "TLSv1.2",
        )

    def test_refused(self) -> None:
        """What cannot be used is told in one line that names the option."""
        for option, settings in (
            ("SslCertificate: ", {"certificate": self.path("missing.pem")}),
            ("SslCertificate: ", {"certificate": self.path("server.crt")}),
            ("SslTrustedClientCertificates: ", {"trusted_clients": self.path("missing.pem")}),
            ("SslCiphersAccepted: ", {"ciphers": ("NO-SUCH-CIPHER",)}),
        ):
            given = TlsSettings(**{"certificate": self.path("server.pem"), **settings})
            error = self.assertRaises(ValueError, context_factory, given)
            self.assertTrue(str(error).startswith(option), error)
            self.assertNotIn("\n", str(error))
