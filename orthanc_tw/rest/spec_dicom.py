"""`Spec`s of the routes that talk to modalities: values, no behaviour.

What the modality, or the way to it, refuses is answered with 500 and the code of the error, as by
Orthanc (topics 40, 41 and 43 of the corpus).
"""

from __future__ import annotations

from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.net.modalities import Manufacturer, RetrieveMethod
from orthanc_tw.rest import spec_parts as parts
from orthanc_tw.rest.spec import (
    ANY,
    BINARY,
    BOOLEAN,
    DICOM,
    FLAG,
    INTEGER,
    JSON,
    NATURAL,
    OBJECT,
    STRING,
    TEXT,
    Content,
    Schema,
    Spec,
    answer,
    array,
    described,
    fields,
    json_spec,
    map_of,
    one_of,
    text_spec,
)

FAILS = (500,)
_SUBMITS = (500, 503)
_AET: Schema = {"type": "string", "minLength": 1, "maxLength": 16}
_METHOD = one_of(*(method.value for method in RetrieveMethod))
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65534}
_ALLOWED = (
    *("AllowEcho", "AllowEventReport", "AllowFind", "AllowFindWorklist", "AllowGet", "AllowMove"),
    *("AllowNAction", "AllowStore", "AllowTranscoding", "UseDicomTls"),
)
_MODALITY: dict[str, Schema] = {
    "AET": STRING,
    "Host": STRING,
    "Port": _PORT,
    "Manufacturer": one_of(*(one.value for one in Manufacturer)),
    **dict.fromkeys(_ALLOWED, BOOLEAN),
    "LocalAet": STRING,
    "Timeout": NATURAL,
    "RetrieveMethod": _METHOD,
}
_CONFIGURATION = answer(_MODALITY)
_AS_LIST: Schema = {"type": "array", "minItems": 3, "maxItems": 4, "items": {}}
_NEW_MODALITY: JsonObject = {
    "anyOf": [
        fields({**_MODALITY, "AllowStorageCommitment": BOOLEAN}, ["AET", "Host", "Port"]),
        described(_AS_LIST, "AET, host, port, manufacturer"),
    ]
}
_CALL: dict[str, Schema] = {
    "Timeout": described(NATURAL, "Seconds; 0: DicomScuTimeout"),
    "LocalAet": described(_AET, "How this server calls itself"),
}
_FORMATS: dict[str, Schema] = {"Full": BOOLEAN, "Short": BOOLEAN, "Simplify": BOOLEAN}
_QUERY = described(map_of(STRING), "Values by tag")
_TAGS_OF_BODY = described(OBJECT, "Values by tag")
_FOUND = array(OBJECT)
_STORED = answer({"ID": STRING, "Path": STRING})
_CHECK: dict[str, Schema] = {"CheckFind": described(BOOLEAN, "Send a C-FIND too")}

MODALITIES = json_spec(
    {"anyOf": [array(), map_of(_CONFIGURATION)]},
    query={"expand": described(FLAG, "Configurations by name")},
)
MODALITY = json_spec(array())
MODALITY_CONFIGURATION = json_spec(_CONFIGURATION)
# An empty name leads to another resource, and 405 or 404 without a body.
PUT_MODALITY = Spec(
    body={JSON: _NEW_MODALITY},
    body_required=True,
    content={TEXT: STRING},
    statuses=(403,),
)
DELETE_MODALITY = text_spec(statuses=(403,))

ECHO = json_spec(OBJECT, body=fields({**_CALL, **_CHECK}), body_required=False, statuses=FAILS)
TOOL_ECHO = json_spec(
    OBJECT, body=fields({**_MODALITY, **_CHECK}, ["AET", "Host", "Port"]), statuses=FAILS
)
QUERY = json_spec(
    _STORED,
    body=fields(
        {
            "Level": parts.LEVEL,
            "Query": _QUERY,
            "Normalize": described(BOOLEAN, "Make the query fit its level"),
            **_CALL,
        },
        ["Level"],
    ),
    statuses=FAILS,
)
WORKLIST = json_spec(
    _FOUND,
    body=fields({"Query": _TAGS_OF_BODY, "Full": BOOLEAN, "Short": BOOLEAN, **_CALL}),
    statuses=FAILS,
)
FIND = json_spec(_FOUND, body=_TAGS_OF_BODY, statuses=FAILS, bare=(400,))

_MEMBERS: dict[str, Schema] = {
    **parts.RESOURCES,
    **parts.SUBMISSION,
    **_CALL,
    "CalledAet": _AET,
    "Host": STRING,
    "Port": _PORT,
    "MoveOriginatorAet": _AET,
    "MoveOriginatorID": {"type": "integer", "minimum": 0, "maximum": 65535},
    "StorageCommitment": described(BOOLEAN, "Ask for storage commitment afterwards"),
}
_DETAILS: Schema = {"anyOf": [OBJECT, parts.JOB]}
STORE = Spec(
    body={JSON: {"anyOf": [fields(_MEMBERS, ["Resources"]), array(), STRING]}, TEXT: STRING},
    body_required=True,
    content={JSON: _DETAILS},
    statuses=_SUBMITS,
)
STORE_STRAIGHT = Spec(
    body={DICOM: BINARY},
    body_required=True,
    content={JSON: answer({"SOPClassUID": STRING, "SOPInstanceUID": STRING})},
    statuses=FAILS,
)
_RETRIEVAL: dict[str, Schema] = {
    **parts.SUBMISSION,
    **_CALL,
    "TargetAet": described(_AET, "Where the instances go; DicomAet if it is not given"),
    "Full": BOOLEAN,
    "Simplify": BOOLEAN,
}
RETRIEVE = json_spec(
    _DETAILS,
    body=fields(
        {**_RETRIEVAL, "Level": parts.LEVEL, "Resources": array(_QUERY)}, ["Level", "Resources"]
    ),
    statuses=_SUBMITS,
)
_ANSWERS_BODY: Content = {JSON: fields({**_RETRIEVAL, "RetrieveMethod": _METHOD}), TEXT: _AET}
RETRIEVE_ANSWERS = Spec(body=_ANSWERS_BODY, content={JSON: _DETAILS}, statuses=_SUBMITS)

QUERIES = json_spec(array())
QUERY_CHILDREN = json_spec(array())
DELETE_QUERY = text_spec()
QUERY_LEVEL = text_spec(parts.LEVEL)
QUERY_MODALITY = text_spec()
QUERY_TAGS = json_spec(OBJECT, query=parts.FORMAT)
ANSWERS = json_spec(
    {"anyOf": [array(), _FOUND]},
    query={**parts.FORMAT, "expand": described(FLAG, "Answers, not only their numbers")},
)
NESTED = json_spec(_STORED, body=fields({"Query": _QUERY, **_CALL}), statuses=FAILS)

_REFERENCE = answer({"SOPClassUID": STRING, "SOPInstanceUID": STRING})
_REASON = answer(
    {
        "SOPClassUID": STRING,
        "SOPInstanceUID": STRING,
        "FailureReason": INTEGER,
        "Description": STRING,
    }
)
COMMITMENT = json_spec(
    _STORED,
    body=fields(
        {
            **parts.RESOURCES,
            "DicomInstances": described(
                array({"anyOf": [array(), _REFERENCE]}), "SOP class and SOP instance of each"
            ),
            **_CALL,
        }
    ),
    statuses=FAILS,
)
REPORT = json_spec(
    fields(
        {
            "RemoteAET": STRING,
            "Status": one_of("Pending", "Success", "Failure"),
            "Success": array(_REFERENCE),
            "Failures": array(_REASON),
        },
        ["RemoteAET", "Status"],
    )
)
REMOVE = json_spec(ANY, statuses=FAILS)
