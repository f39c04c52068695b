"""Options of the DICOM network: server, clients, modalities, DICOM TLS."""

from __future__ import annotations

from orthanc_tw.config import rules
from orthanc_tw.config.option import BOOLEAN, INTEGER, OBJECT, STRING, STRINGS, Option, Topic

SERVER = Topic(
    "DICOM server",
    (
        Option(
            "DicomServerEnabled",
            BOOLEAN,
            True,
            "Whether the DICOM server runs; this version has none, and says so in its log",
            honoured=True,
        ),
        Option(
            "DicomAet",
            STRING,
            "ORTHANC",
            "Application entity title of this server",
            honoured=True,
            minimum=1,
            maximum=16,
        ),
        Option(
            "DicomPort",
            INTEGER,
            4242,
            "TCP port of the DICOM server",
            honoured=True,
            minimum=0,
            maximum=65535,
        ),
        Option(
            "DicomCheckCalledAet",
            BOOLEAN,
            False,
            "Whether a client must call this server by its application entity title",
        ),
        Option(
            "StrictAetComparison",
            BOOLEAN,
            False,
            "Whether application entity titles are compared with their case",
        ),
        Option(
            "DicomCheckModalityHost",
            BOOLEAN,
            False,
            "Whether a known modality must come from the host it is registered with",
        ),
        Option("DicomAlwaysAllowEcho", BOOLEAN, True, "Whether unknown modalities may C-ECHO"),
        Option("DicomAlwaysAllowStore", BOOLEAN, True, "Whether unknown modalities may C-STORE"),
        Option("DicomAlwaysAllowFind", BOOLEAN, False, "Whether unknown modalities may C-FIND"),
        Option(
            "DicomAlwaysAllowFindWorklist",
            BOOLEAN,
            False,
            "Whether unknown modalities may query worklists",
        ),
        Option("DicomAlwaysAllowGet", BOOLEAN, False, "Whether unknown modalities may C-GET"),
        Option("DicomAlwaysAllowMove", BOOLEAN, False, "Whether unknown modalities may C-MOVE"),
        Option(
            "DicomScpTimeout",
            INTEGER,
            30,
            "How long a client may be silent; 0: for ever",
            unit="s",
            minimum=0,
        ),
        Option("DicomThreadsCount", INTEGER, 4, "Most associations served at a time", minimum=1),
        Option(
            "MaximumPduLength",
            INTEGER,
            16384,
            "Largest PDU received",
            unit="bytes",
            minimum=4096,
            maximum=131072,
        ),
        Option(
            "TranscodeDicomProtocol",
            BOOLEAN,
            True,
            "Whether instances are transcoded for clients that do not take them as they are",
            honoured=True,
        ),
        Option(
            "SynchronousCMove",
            BOOLEAN,
            True,
            "Whether a C-MOVE is answered after the transfer (true) or before",
            honoured=True,
        ),
        Option(
            "StorageCommitmentReportsSize",
            INTEGER,
            100,
            "Number of storage commitment reports kept",
            honoured=True,
            minimum=1,
        ),
        Option(
            "Worklists",
            OBJECT,
            {"Enable": False, "Database": "", "FilterIssuerAet": False, "LimitAnswers": 0},
            "Modality worklists: a folder of .wl files (Database); FilterIssuerAet: each station "
            "sees its own; LimitAnswers: 0 for all",
            honoured=True,
            rule=rules.worklists,
        ),
    ),
)

CLIENT = Topic(
    "DICOM client",
    (
        Option(
            "DicomModalities",
            OBJECT,
            {},
            "Remote modalities, by a name of your own: title, host, port, manufacturer",
            rule=rules.modalities,
            example={"sample": ["STORESCP", "127.0.0.1", 2000]},
        ),
        Option(
            "DicomModalitiesInDatabase",
            BOOLEAN,
            False,
            "Whether modalities live in the database, not here",
        ),
        Option("DicomEchoChecksFind", BOOLEAN, False, "Whether an echo also tries a C-FIND"),
        Option(
            "DicomDefaultRetrieveMethod",
            STRING,
            "C-MOVE",
            "How resources are retrieved from a modality that does not say",
            choices=("C-MOVE", "C-GET"),
        ),
        Option(
            "DicomScuTimeout",
            INTEGER,
            10,
            "How long another server may be silent; 0: for ever",
            unit="s",
            minimum=0,
        ),
        Option(
            "DicomScuPreferredTransferSyntax",
            STRING,
            "1.2.840.10008.1.2.1",
            "Transfer syntax proposed first",
            honoured=True,
        ),
        Option(
            "DicomAssociationCloseDelay",
            INTEGER,
            5,
            "How long an idle association is kept for the next use",
            unit="s",
            minimum=0,
        ),
        Option(
            "QueryRetrieveSize",
            INTEGER,
            100,
            "Number of queries whose answers are kept",
            minimum=1,
        ),
    ),
)

TLS = Topic(
    "DICOM TLS",
    (
        Option("DicomTlsEnabled", BOOLEAN, False, "Whether the DICOM server uses TLS"),
        Option(
            "DicomTlsCertificate",
            STRING,
            None,
            "PEM file of the certificate for DICOM TLS",
            is_path=True,
            example="dicom-certificate.pem",
        ),
        Option(
            "DicomTlsPrivateKey",
            STRING,
            None,
            "PEM file of the private key for DICOM TLS",
            is_path=True,
            example="dicom-key.pem",
        ),
        Option(
            "DicomTlsTrustedCertificates",
            STRING,
            None,
            "PEM file of the certificates trusted in DICOM TLS",
            is_path=True,
            example="dicom-trusted.pem",
        ),
        Option(
            "DicomTlsRemoteCertificateRequired",
            BOOLEAN,
            True,
            "Whether DICOM clients must show a trusted certificate",
        ),
        Option(
            "DicomTlsMinimumProtocolVersion",
            INTEGER,
            0,
            "Oldest protocol: 0 BCP 195, 1 SSL3, 2 TLS 1.0, 3 TLS 1.1, 4 TLS 1.2, 5 TLS 1.3",
            minimum=0,
            maximum=5,
        ),
        Option(
            "DicomTlsCiphersAccepted",
            STRINGS,
            None,
            "Ciphers that may be used, by their OpenSSL names",
            example=["ECDHE-RSA-AES256-GCM-SHA384"],
        ),
    ),
)
