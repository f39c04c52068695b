"""Reads certificates and makes what Twisted's contexts need of them; errors name the option.

Shared by HTTPS and DICOM TLS, whose options differ by their names alone.
"""

from __future__ import annotations

from typing import Any

#: By the number of the options: 0 and 1 were SSL, which no library speaks any more.
_VERSIONS = {2: "TLSv1_0", 3: "TLSv1_1", 4: "TLSv1_2", 5: "TLSv1_3"}


def identity(option: str, path: str, pem: bytes) -> tuple[Any, Any, list[Any]]:
    """Private key, certificate and the rest of its chain, of one PEM text.

    :raises ValueError: with one line that names option and file
    """
    from OpenSSL import SSL, crypto
    from twisted.internet import ssl
    from twisted.internet.error import VerifyError

    try:
        own = ssl.PrivateCertificate.loadPEM(pem)
        chain = _certificates(pem)[1:]
    except (crypto.Error, SSL.Error, ValueError, VerifyError) as error:
        raise ValueError(
            f"{option}: {path}: a PEM file with a private key and its "
            f"certificate was expected ({type(error).__name__})"
        ) from None
    return own.privateKey.original, own.original, [item.original for item in chain]


def read(option: str, path: str) -> bytes:
    """Content of a file.

    :raises ValueError: with one line that names option and file
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"{option}: {path}: {error.strerror}") from None


def versions(option: str, minimum: int, default: int) -> dict[str, Any]:
    """Arguments of `CertificateOptions` for the oldest protocol that is allowed.

    :param default: up to this number nothing is lowered
    :raises ValueError: with one line
    """
    from twisted.internet import ssl

    name = _VERSIONS.get(max(minimum, min(_VERSIONS)))
    if name is None:
        raise ValueError(f"{option}: 0 to 5 expected: {minimum}")
    version = getattr(ssl.TLSVersion, name)
    if minimum < default:
        return {"insecurelyLowerMinimumTo": version}
    return {"raiseMinimumTo": version}


def certificate_options(
    own: tuple[Any, Any, list[Any]], ciphers_option: str, ciphers: tuple[str, ...], **options: Any
) -> Any:
    """The contexts of an end that has a certificate.

    :param own: as `identity` returns it
    :param ciphers: empty: the library's choice
    :param options: of `CertificateOptions`, see `versions` and `trust_root`
    :raises ValueError: with one line that names the option of the ciphers
    """
    from twisted.internet import ssl

    if ciphers:
        text = ":".join(ciphers)
        options["acceptableCiphers"] = ssl.AcceptableCiphers.fromOpenSSLCipherString(text)
    key, certificate, chain = own
    try:
        return ssl.CertificateOptions(
            privateKey=key, certificate=certificate, extraCertChain=chain, **options
        )
    except ValueError as error:
        raise ValueError(
            f"{ciphers_option}: OpenSSL knows none of them: {', '.join(ciphers)}"
        ) from error


def trust_root(option: str, path: str) -> Any:
    """The certificates that are trusted.

    :raises ValueError: with one line that names option and file
    """
    from twisted.internet import ssl

    try:
        found = _certificates(read(option, path))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"{option}: {path}: PEM certificates were expected ({type(error).__name__})"
        ) from None
    if not found:
        raise ValueError(f"{option}: {path}: there is no certificate in it")
    return ssl.trustRootFromCertificates(found)


def _certificates(pem: bytes) -> list[Any]:
    from twisted.internet import ssl

    mark = b"-----BEGIN CERTIFICATE-----"
    return [ssl.Certificate.loadPEM(mark + part) for part in pem.split(mark)[1:]]
