"""Options of what is accepted, how it is read, found and transcoded."""

from __future__ import annotations

from orthanc_tw.config import rules
from orthanc_tw.config.option import BOOLEAN, INTEGER, OBJECT, STRING, STRINGS, Option, Topic

ENCODINGS = (
    "Ascii",
    "Utf8",
    "Latin1",
    "Latin2",
    "Latin3",
    "Latin4",
    "Latin5",
    "Windows1251",
    "Cyrillic",
    "Arabic",
    "Greek",
    "Hebrew",
    "Thai",
    "Japanese",
    "JapaneseKanji",
    "Chinese",
    "SimplifiedChinese",
    "Korean",
)


def _syntax(name: str, what: str) -> Option:
    return Option(
        f"{name}TransferSyntaxAccepted",
        BOOLEAN,
        None,
        f"Whether {what} is accepted; superseded by AcceptedTransferSyntaxes",
        honoured=True,
        example=True,
    )


INGEST = Topic(
    "Instances received",
    (
        Option(
            "OverwriteInstances",
            STRING,
            "Never",
            "What happens to an instance that is there already",
            honoured=True,
            choices=("Always", "Never", "IfChanged"),
            synonyms={True: "Always", False: "Never"},
        ),
        Option(
            "StableAge",
            INTEGER,
            60,
            "How long nothing may change before a resource is stable; 0 means 60",
            honoured=True,
            unit="s",
            minimum=0,
        ),
        Option(
            "ExtraMainDicomTags",
            OBJECT,
            None,
            "Tags kept in the database beyond the usual ones, by resource level",
            honoured=True,
            rule=rules.tags_by_level,
            example={"Series": ["StationName"], "Instance": ["Rows", "Columns"]},
        ),
        Option(
            "AcceptedTransferSyntaxes",
            STRINGS,
            ["1.2.840.10008.1.*"],
            "Transfer syntaxes accepted; * and ? are wildcards",
            honoured=True,
        ),
        Option(
            "AcceptedSopClasses",
            STRINGS,
            None,
            "SOP classes accepted; unset: those known",
            honoured=True,
            example=["1.2.840.10008.5.1.4.1.1.2"],
        ),
        Option(
            "RejectedSopClasses",
            STRINGS,
            None,
            "SOP classes refused, even if they are accepted above",
            honoured=True,
            example=["1.2.840.10008.5.1.4.1.1.7"],
        ),
        Option(
            "UnknownSopClassAccepted",
            BOOLEAN,
            False,
            "Whether SOP classes that DICOM does not know are accepted",
            honoured=True,
        ),
        _syntax("Deflated", "deflated explicit VR"),
        _syntax("Jpeg", "JPEG"),
        _syntax("JpegLossless", "JPEG-LS"),
        _syntax("Jpeg2000", "JPEG 2000"),
        _syntax("Jpip", "JPIP"),
        _syntax("Mpeg2", "MPEG-2"),
        _syntax("Mpeg4", "MPEG-4"),
        _syntax("H265", "H.265"),
        _syntax("Rle", "RLE"),
    ),
)

FIND = Topic(
    "Searches",
    (
        Option(
            "CaseSensitivePN",
            BOOLEAN,
            False,
            "Whether case counts in person names of C-FIND; in all else it does",
            honoured=True,
        ),
        Option(
            "LimitFindResults",
            INTEGER,
            0,
            "Most patients, studies or series a search finds; 0: no limit",
            honoured=True,
            minimum=0,
        ),
        Option(
            "LimitFindInstances",
            INTEGER,
            0,
            "Most instances a search finds; 0: no limit",
            honoured=True,
            minimum=0,
        ),
        Option(
            "StorageAccessOnFind",
            STRING,
            "Always",
            "Whether a search may read files: to filter and answer, to answer, never",
            honoured=True,
            choices=("Always", "Answers", "Never"),
        ),
    ),
)

TRANSCODING = Topic(
    "Encodings, dictionaries, transcoding",
    (
        Option(
            "DefaultEncoding",
            STRING,
            "Latin1",
            "Character set of instances that do not name one",
            honoured=True,
            choices=ENCODINGS,
            any_case=True,
        ),
        Option(
            "Dictionary",
            OBJECT,
            {},
            'Private tags: "gggg,eeee" to [VR, name, least, most, private creator]',
            honoured=True,
            rule=rules.dictionary,
            example={"0014,1020": ["DA", "ValidationExpiryDate", 1, 1]},
        ),
        Option(
            "DefaultPrivateCreator",
            STRING,
            "",
            "Private creator of tags that do not name one",
            honoured=True,
        ),
        Option(
            "LoadPrivateDictionary",
            BOOLEAN,
            True,
            "Whether well-known private tags are loaded",
            honoured=True,
        ),
        Option(
            "ExternalDictionaries",
            STRINGS,
            None,
            "DCMTK dictionaries whose entries replace those of the built-in one",
            honoured=True,
            is_path=True,
            example=["/usr/share/libdcmtk17/dicom.dic"],
        ),
        Option(
            "IngestTranscoding",
            STRING,
            None,
            "Transfer syntax that received instances are transcoded to",
            example="1.2.840.10008.1.2.1",
            honoured=True,
        ),
        Option(
            "IngestTranscodingOfUncompressed",
            BOOLEAN,
            True,
            "Whether IngestTranscoding applies to uncompressed instances",
            honoured=True,
        ),
        Option(
            "IngestTranscodingOfCompressed",
            BOOLEAN,
            True,
            "Whether IngestTranscoding applies to compressed instances",
            honoured=True,
        ),
        Option(
            "DicomLossyTranscodingQuality",
            INTEGER,
            90,
            "Quality when transcoding loses information",
            honoured=True,
            unit="%",
            minimum=1,
            maximum=100,
        ),
        Option(
            "BuiltinDecoderTranscoderOrder",
            STRING,
            "After",
            "When the built-in decoder is tried, with regard to those of plugins",
            choices=("Before", "After", "Disabled"),
            inapplicable="There is no decoder of a plugin beside the built-in ones",
        ),
        Option(
            "MaximumConcurrentDcmtkTranscoders",
            INTEGER,
            0,
            "Most transcodings at a time; 0: no limit",
            minimum=0,
            inapplicable="DCMTK is not used",
        ),
    ),
)
