"""What is known of an Orthanc peer, and its JSON forms.

Source: option ``OrthancPeers``, ``/peers`` (topics 40 and 42 of the corpus). Secrets are shown by
none of the forms but `OrthancPeer.saved`, which is for the database alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject, JsonValue

_SCHEMES = ("http", "https")
#: A day; more is no timeout.
_MAXIMUM_TIMEOUT_S = 86400
_STRINGS = {
    "Username": "username",
    "Password": "password",
    "CertificateFile": "certificate_file",
    "CertificateKeyFile": "certificate_key_file",
    "CertificateKeyPassword": "certificate_key_password",
}
_SECRETS = ("Password", "CertificateKeyPassword")
_KNOWN = frozenset((*_STRINGS, "Url", "URL", "HttpHeaders", "Timeout", "Pkcs11"))


@dataclass(frozen=True, slots=True)
class OrthancPeer:
    """A peer.

    :ivar name: its symbolic name, for messages
    :ivar url: of its REST API, ends with a slash, without user or password
    :ivar headers: HTTP headers of every request
    :ivar certificate_file: path of a PEM file that this server shows it, '' for none
    :ivar certificate_key_file: path of the private key, '' if it is in the same file
    :ivar timeout_s: how long it may be silent, 0: option ``HttpTimeout``
    :ivar properties: what other parts (or the user) keep with it, such as ``RemoteSelf``
    """

    name: str
    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate_file: str = ""
    certificate_key_file: str = ""
    certificate_key_password: str = field(default="", repr=False)
    timeout_s: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def from_json(name: str, value: Any) -> OrthancPeer:
        """Of ``[URL]``, ``[URL, user, password]`` or of an object.

        :raises OrthancError: BAD_FILE_FORMAT, NOT_IMPLEMENTED (``Pkcs11``); never with a secret
        """
        if isinstance(value, list):
            if len(value) not in (1, 3) or not all(isinstance(text, str) for text in value):
                raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
            value = dict(zip(("Url", "Username", "Password"), value, strict=False))
        if not isinstance(value, dict):
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
        return _of_object(name, value)

    def require_files(self) -> None:
        """Look whether the files of the client certificate are there.

        :raises OrthancError: INEXISTENT_FILE
        """
        for what, path in (
            ("certificate", self.certificate_file),
            ("key", self.certificate_key_file if self.certificate_file else ""),
        ):
            if path and not os.access(path, os.R_OK):
                raise OrthancError(ErrorCode.INEXISTENT_FILE, f"Cannot open {what} file: {path}")

    def with_path(self, path: str) -> str:
        """The URL of a path of its REST API, with or without a leading slash."""
        return self.url + path.lstrip("/")

    def configuration(self) -> JsonObject:
        """What ``/peers/{id}/configuration`` answers: a secret is null, a header its name."""
        shown: JsonObject = {"HttpHeaders": list[JsonValue](sorted(self.headers))}
        return {**self._object(), **shown}

    def content(self) -> JsonValue:
        """What a job says of it: as short as it can be told."""
        simple = not (self.headers or self.timeout_s or self.properties or self.certificate_file)
        if simple:
            return [self.url, self.username] if self.username else [self.url]
        return {**self._object(), "HttpHeaders": dict.fromkeys(sorted(self.headers))}

    def saved(self) -> JsonObject:
        """All of it, secrets too: for the database, and for nobody's eyes."""
        values = {name: getattr(self, attribute) for name, attribute in _STRINGS.items()}
        return {
            **self.properties,
            "Url": self.url,
            **{name: value for name, value in values.items() if value},
            "Timeout": self.timeout_s,
            "HttpHeaders": dict(self.headers),
        }

    def _object(self) -> JsonObject:
        shown: JsonObject = {
            **self.properties,
            "Url": self.url,
            "Pkcs11": False,
            "Timeout": self.timeout_s,
        }
        for name, attribute in _STRINGS.items():
            if value := getattr(self, attribute):
                shown[name] = None if name in _SECRETS else value
        return shown


def _of_object(name: str, value: Mapping[str, Any]) -> OrthancPeer:
    # The OpenAPI of Orthanc has the second name.
    url, username, password = _url(value.get("Url", value.get("URL", "")))
    texts = {attribute: _text(value, key) for key, attribute in _STRINGS.items()}
    if username and not texts["username"]:
        texts["username"], texts["password"] = username, password
    if texts["password"] and not texts["username"]:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Field Password without field: Username")
    if _boolean(value, "Pkcs11"):
        raise OrthancError(
            ErrorCode.NOT_IMPLEMENTED,
            "Field Pkcs11: this server uses no PKCS#11 token; give the client certificate as "
            "files (CertificateFile, CertificateKeyFile)",
            http_status=501,
        )
    return OrthancPeer(
        name,
        url,
        headers=_headers(value.get("HttpHeaders", {})),
        timeout_s=_timeout(value.get("Timeout", 0)),
        properties={
            key: found if isinstance(found, str) else json.dumps(found)
            for key, found in value.items()
            if key not in _KNOWN
        },
        **texts,
    )


def _url(value: Any) -> tuple[str, str, str]:
    """URL, user and password: those of the URL are taken out of it, since URLs are shown."""
    if not isinstance(value, str):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    if not value:
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Empty URL")
    scheme, _, rest = value.partition("://")
    if scheme.lower() not in _SCHEMES:
        if "@" in value:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Bad URL in field: Url")
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Bad URL: {value}")
    try:
        parts = urlsplit(value)
        is_good = bool(parts.hostname) and parts.port != 0 and rest.isprintable()
    except ValueError:
        is_good = False
    if not is_good or " " in value or parts.query or parts.fragment:
        shown = rest.rpartition("@")[2]
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Bad URL: {scheme}://{shown}")
    netloc = parts.netloc.rpartition("@")[2]
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    url = urlunsplit((parts.scheme, netloc, path, "", ""))
    return url, unquote(parts.username or ""), unquote(parts.password or "")


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name, "")
    if found is None and name in _SECRETS:  # as `configuration` shows it
        return ""
    if not isinstance(found, str):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"String value expected in field: {name}")
    return found


def _boolean(value: Mapping[str, Any], name: str) -> bool:
    found = value.get(name, False)
    if not isinstance(found, bool):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, f"Boolean value expected in field: {name}")
    return found


def _timeout(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Integer value expected in field: Timeout")
    if not 0 <= value <= _MAXIMUM_TIMEOUT_S:
        raise OrthancError(
            ErrorCode.PARAMETER_OUT_OF_RANGE,
            f"Seconds from 0 to {_MAXIMUM_TIMEOUT_S} expected in field: Timeout",
        )
    return value


def _headers(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise OrthancError(ErrorCode.BAD_FILE_FORMAT)
    for name, text in value.items():
        if not isinstance(text, str) or not (name.isascii() and name) or ":" in name:
            raise OrthancError(ErrorCode.BAD_FILE_FORMAT, "Strings expected in field: HttpHeaders")
        if not (name + text).isprintable() or " " in name:
            raise OrthancError(
                ErrorCode.BAD_FILE_FORMAT, f"Control characters in field: HttpHeaders.{name!a}"
            )
    return dict(value)
