"""Options of the HTTP server: ports, TLS, who may use it."""

from __future__ import annotations

from orthanc_tw.config import rules
from orthanc_tw.config.option import BOOLEAN, INTEGER, OBJECT, STRING, STRINGS, Option, Topic

HTTP = Topic(
    "HTTP server",
    (
        Option(
            "HttpServerEnabled",
            BOOLEAN,
            True,
            "Whether the REST API is served at all",
            honoured=True,
        ),
        Option(
            "HttpPort",
            INTEGER,
            8042,
            "TCP port of the REST API",
            honoured=True,
            minimum=0,
            maximum=65535,
        ),
        Option(
            "HttpBindAddresses",
            STRINGS,
            None,
            "Addresses to listen on; unset: all",
            honoured=True,
            example=["127.0.0.1"],
        ),
        Option(
            "HttpDescribeErrors",
            BOOLEAN,
            True,
            "Whether an error is answered with a JSON body that describes it",
            honoured=True,
        ),
        Option(
            "HttpCompressionEnabled",
            BOOLEAN,
            False,
            "Whether answers are compressed for clients that accept it",
            honoured=True,
        ),
        Option(
            "HttpThreadsCount",
            INTEGER,
            50,
            "Threads that serve HTTP requests; this server needs none",
            minimum=1,
            inapplicable="Requests are served by one reactor, whatever their number",
        ),
        Option(
            "HttpRequestTimeout",
            INTEGER,
            30,
            "How long a client may be silent in the middle of a request",
            honoured=True,
            unit="s",
            minimum=1,
        ),
        Option(
            "KeepAlive",
            BOOLEAN,
            True,
            "Whether a connection serves more than one request",
            honoured=True,
        ),
        Option(
            "KeepAliveTimeout",
            INTEGER,
            1,
            "How long an idle connection is kept open",
            honoured=True,
            unit="s",
            minimum=0,
        ),
        Option(
            "TcpNoDelay",
            BOOLEAN,
            True,
            "Whether small packets leave at once (no Nagle's algorithm)",
            honoured=True,
        ),
        Option(
            "MaximumRequestBodySizeMB",
            INTEGER,
            8192,
            "Largest request body; a larger one is answered 413",
            honoured=True,
            unit="MB",
            minimum=0,
        ),
        Option(
            "MaximumFileSizeInArchiveMB",
            INTEGER,
            4096,
            "Largest file taken out of an uploaded ZIP archive",
            honoured=True,
            unit="MB",
            minimum=0,
        ),
        Option(
            "RestApiWriteToFileSystemEnabled",
            BOOLEAN,
            False,
            "Whether REST calls that write to the server's own file system are allowed",
            honoured=True,
        ),
        Option(
            "RestApiExportDirectory",
            STRING,
            None,
            "Folder that /instances/ID/export writes into, and nowhere else; unset: 403. "
            "An option of orthanc-tw",
            honoured=True,
            minimum=1,
            is_path=True,
            example="/var/lib/orthanc/export",
        ),
        Option("WebDavEnabled", BOOLEAN, True, "Whether WebDAV is served at /webdav"),
        Option("WebDavDeleteAllowed", BOOLEAN, False, "Whether WebDAV may delete resources"),
        Option("WebDavUploadAllowed", BOOLEAN, True, "Whether WebDAV may add instances"),
    ),
)

SECURITY = Topic(
    "Security of the HTTP server",
    (
        Option(
            "RemoteAccessAllowed",
            BOOLEAN,
            False,
            "Whether other machines than this one may use the REST API",
            honoured=True,
        ),
        Option(
            "AuthenticationEnabled",
            BOOLEAN,
            None,
            "Whether a login is asked for; unset: if RemoteAccessAllowed is true",
            honoured=True,
            example=True,
        ),
        Option(
            "RegisteredUsers",
            OBJECT,
            None,
            "Users of the REST API: login and password",
            honoured=True,
            is_secret=True,
            rule=rules.users,
            example={"alice": "a-long-password"},
        ),
        Option("SslEnabled", BOOLEAN, False, "Whether the REST API is HTTPS", honoured=True),
        Option(
            "SslCertificate",
            STRING,
            "certificate.pem",
            "PEM file with the certificate of the server, its chain and its private key",
            honoured=True,
            is_path=True,
        ),
        Option(
            "SslMinimumProtocolVersion",
            INTEGER,
            4,
            "Oldest protocol: 0 SSL2, 1 SSL3, 2 TLS 1.0, 3 TLS 1.1, 4 TLS 1.2, 5 TLS 1.3",
            honoured=True,
            minimum=0,
            maximum=5,
        ),
        Option(
            "SslCiphersAccepted",
            STRINGS,
            None,
            "Ciphers that may be used, by their OpenSSL names; unset: OpenSSL's choice",
            honoured=True,
            example=["ECDHE-RSA-AES256-GCM-SHA384"],
        ),
        Option(
            "SslVerifyPeers",
            BOOLEAN,
            False,
            "Whether a client must show a certificate that is trusted",
            honoured=True,
        ),
        Option(
            "SslTrustedClientCertificates",
            STRING,
            "trustedClientCertificates.pem",
            "PEM file of the certificates that SslVerifyPeers trusts",
            honoured=True,
            is_path=True,
        ),
        Option(
            "ExecuteLuaEnabled",
            BOOLEAN,
            False,
            "Whether /tools/execute-script runs Lua sent to it",
            inapplicable="This server runs no Lua: /tools/execute-script answers 403",
        ),
    ),
)

CLIENT = Topic(
    "HTTP client and Orthanc peers",
    (
        Option(
            "OrthancPeers",
            OBJECT,
            {},
            "Other Orthanc servers, by a name of your own",
            is_secret=True,
            rule=rules.peers,
            example={"peer": ["http://192.0.2.7:8042/", "alice", "password"]},
        ),
        Option(
            "OrthancPeersInDatabase", BOOLEAN, False, "Whether peers live in the database, not here"
        ),
        Option("HttpProxy", STRING, "", "Proxy for requests made by the server", is_secret=True),
        Option("HttpVerbose", BOOLEAN, False, "Whether requests made by the server are logged"),
        Option(
            "HttpTimeout",
            INTEGER,
            60,
            "How long a request made by the server may take; 0: no limit",
            unit="s",
            minimum=0,
        ),
        Option(
            "HttpsVerifyPeers", BOOLEAN, True, "Whether certificates of other servers are verified"
        ),
        Option(
            "HttpsCACertificates",
            STRING,
            "",
            "PEM file of the authorities that vouch for other servers; empty: the system's",
            is_path=True,
        ),
        Option(
            "Pkcs11",
            OBJECT,
            None,
            "Client certificate on a PKCS#11 token",
            is_secret=True,
            example={"Module": "/usr/lib/opensc-pkcs11.so"},
        ),
    ),
)
