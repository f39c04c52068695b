"""`Spec`s of the routes that modify and anonymize: values, no behaviour."""

from __future__ import annotations

from orthanc_tw.dicom.modification.profile import EDITIONS
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.spec import (
    BINARY,
    BOOLEAN,
    DICOM,
    FLAG,
    JSON,
    NATURAL,
    OBJECT,
    STRING,
    Schema,
    Spec,
    answer,
    array,
    described,
    fields,
    json_spec,
    one_of,
)
from orthanc_tw.rest.spec_parts import TRANSFER_SYNTAX

_QUALITY: Schema = {"type": "integer", "minimum": 1, "maximum": 100}
_SHARED: dict[str, Schema] = {
    "Replace": described(OBJECT, "New values by tag"),
    "Keep": described(array(), "Tags that stay as they are"),
    "Force": described(BOOLEAN, "DICOM identifiers may be replaced, removed or kept"),
    "KeepSource": described(BOOLEAN, "The source stays"),
    "KeepLabels": described(BOOLEAN, "The labels of the source are taken over"),
    "PrivateCreator": described(STRING, "Whose private tags Replace names"),
    "Remove": described(array(), "Tags that go"),
    "Transcode": described(TRANSFER_SYNTAX, "Transfer syntax of the results"),
    "LossyQuality": _QUALITY,
    "DropBurnedIn": described(BOOLEAN, "No results of images whose pixels may name the patient"),
    "Conformant": described(BOOLEAN, "What the IOD demands stays, empty"),
    "DryRun": described(BOOLEAN, "Tell what would be done, change nothing"),
}
_MODIFY: dict[str, Schema] = {**_SHARED, "RemovePrivateTags": BOOLEAN}
_ANONYMIZE: dict[str, Schema] = {
    **_SHARED,
    "KeepPrivateTags": BOOLEAN,
    "DicomVersion": described(one_of(*EDITIONS), "Edition of PS3.15 whose table E.1-1 is followed"),
}
_DRY_RUN = {"dry-run": described(FLAG, "As the field DryRun")}
_REPORTED = array(answer({"Tag": STRING, "Name": STRING, "Count": NATURAL}))
_REASONS = array(answer({"ID": STRING, "Reason": STRING}))
_REPORT = answer(
    {
        "DryRun": BOOLEAN,
        "InstancesCount": NATURAL,
        "Removed": _REPORTED,
        "Cleared": _REPORTED,
        "Replaced": _REPORTED,
        "Kept": _REPORTED,
        "Dropped": _REASONS,
        "Failed": _REASONS,
    }
)
# Of a job that was waited for: its Content.
_ANSWER: Schema = {"anyOf": [_REPORT, parts.JOB, OBJECT]}
_STATUSES = (500, 501, 503)


def instance_spec(*, anonymize: bool) -> Spec:
    """A route whose answer is the modified file."""
    return Spec(
        query=_DRY_RUN,
        body={JSON: fields(_ANONYMIZE if anonymize else _MODIFY)},
        body_required=True,
        content={DICOM: BINARY, JSON: _REPORT},
        statuses=(406, 501, 503),
    )


def resource_spec(*, anonymize: bool, bulk: bool) -> Spec:
    """A route whose job modifies a resource, or those that its body names."""
    members = {**(_ANONYMIZE if anonymize else _MODIFY), **parts.SUBMISSION}
    required = []
    if bulk:
        members |= parts.RESOURCES
        required = ["Resources"]
        if not anonymize:
            members["Level"] = parts.LEVEL
    statuses = (404, *_STATUSES) if bulk else _STATUSES
    return json_spec(_ANSWER, query=_DRY_RUN, body=fields(members, required), statuses=statuses)


SPLIT = json_spec(
    _ANSWER,
    body=fields(
        {
            **parts.SUBMISSION,
            **{name: _SHARED[name] for name in ("Replace", "Keep", "Remove")},
            **{name: _SHARED[name] for name in ("KeepLabels", "KeepSource", "PrivateCreator")},
            "Series": described(array(), "Series of the study that go"),
            "Instances": described(array(), "Instances of the study that go"),
        }
    ),
    statuses=_STATUSES,
)
MERGE = json_spec(
    _ANSWER,
    body=fields(
        {
            **parts.SUBMISSION,
            **parts.RESOURCES,
            **{name: _SHARED[name] for name in ("Keep", "KeepLabels", "KeepSource")},
        },
        ["Resources"],
    ),
    statuses=_STATUSES,
)
