"""Pieces of `Spec`s that several files of routes share: arguments and fields of the REST API."""

from __future__ import annotations

from collections.abc import Mapping

from orthanc_tw.dicom.codecs.encoding import ENCODINGS
from orthanc_tw.dicom.modification.encoding import NATIVE_SYNTAXES
from orthanc_tw.rest.spec import (
    BOOLEAN,
    FLAG,
    INTEGER,
    NATURAL,
    OBJECT,
    STRING,
    Schema,
    answer,
    array,
    described,
    nullable,
    one_of,
)

#: What instances can be transcoded to.
TRANSFER_SYNTAX = one_of(*sorted((*NATIVE_SYNTAXES, *ENCODINGS)))
LEVEL = one_of("Patient", "Study", "Series", "Instance")

#: Formats of tags.
FORMAT: Mapping[str, Schema] = {
    "full": described(FLAG, "Tags with name, type and value"),
    "short": described(FLAG, "Tags by number"),
    "simplify": described(FLAG, "Tags by name"),
}
REQUESTED_TAGS: Mapping[str, Schema] = {
    "requested-tags": described(STRING, "More tags to show, names or numbers, by semicolons")
}
VIEW: Mapping[str, Schema] = {**FORMAT, **REQUESTED_TAGS}
EXPAND: Mapping[str, Schema] = {"expand": described(FLAG, "Resources, not only identifiers")}
PAGE: Mapping[str, Schema] = {
    "since": described(NATURAL, "How many to leave out; with limit only"),
    "limit": described(NATURAL, "How many at most; with since only"),
}
IGNORE_LENGTH: Mapping[str, Schema] = {
    "ignore-length": described(array(), "Tags that are shown however long they are")
}
FILENAME: Mapping[str, Schema] = {"filename": described(STRING, "Name of the file of the answer")}
TRANSCODE: Mapping[str, Schema] = {
    "transcode": described(TRANSFER_SYNTAX, "Transfer syntax to transcode to"),
    "lossy-quality": described(
        {"type": "integer", "minimum": 1, "maximum": 100}, "Quality of lossy compression"
    ),
}
IF_MATCH: Mapping[str, Schema] = {"If-Match": described(STRING, "ETag of the last revision")}
IF_NONE_MATCH: Mapping[str, Schema] = {
    "If-None-Match": described(STRING, "ETag of the revision that the client has")
}
RANGE: Mapping[str, Schema] = {"Range": described(STRING, "Range of bytes, RFC 9110 section 14")}

REFERENCE = answer({"ID": STRING, "Path": STRING, "Type": LEVEL})
DELETED = answer({"RemainingAncestor": nullable(REFERENCE)})

#: Fields of every body that submits a job.
SUBMISSION: Mapping[str, Schema] = {
    "Synchronous": described(BOOLEAN, "Answer when the job has ended"),
    "Asynchronous": described(BOOLEAN, "Answer at once, with the job; Synchronous wins"),
    "Priority": described(
        {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}, "The highest is run first"
    ),
    "UserData": described({}, "Anything; shown with the job"),
    "Permissive": described(BOOLEAN, "Go on after an instance that fails"),
}
JOB = answer({"ID": STRING, "Path": STRING})
RESOURCES: Mapping[str, Schema] = {
    "Resources": described(array(), "Identifiers of patients, studies, series or instances")
}
SIZES: Mapping[str, Schema] = {
    "DiskSize": STRING,
    "DiskSizeMB": INTEGER,
    "UncompressedSize": STRING,
    "UncompressedSizeMB": INTEGER,
}
TAGS = OBJECT
