"""What a route takes and answers, for its description: values, no behaviour.

A routes file says it beside each `Route`; ``rest.openapi`` makes the document of it. Source:
OpenAPI Specification 3.0.3, sections 4.7.10 (operation), 4.7.12 (parameter), 4.7.24 (schema).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orthanc_tw.model.json_types import JsonObject, JsonValue

JSON = "application/json"
TEXT = "text/plain"
BYTES = "application/octet-stream"
DICOM = "application/dicom"
ZIP = "application/zip"

#: A JSON schema; `{}` is anything.
Schema = JsonObject
#: Schemas by content type; empty: a body without a type, or none.
Content = Mapping[str, Schema]

ANY: Schema = {}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
STRING: Schema = {"type": "string"}
NATURAL: Schema = {"type": "integer", "minimum": 0}
OBJECT: Schema = {"type": "object"}
# An argument that may stand alone (``?expand``).
FLAG: Schema = {"type": "string"}
BINARY: Schema = {"type": "string", "format": "binary"}
#: How `text/plain` says yes or no.
ZERO_OR_ONE: Schema = {"type": "string", "enum": ["0", "1"]}


def array(items: Schema = STRING) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": items}


def one_of(*values: str) -> Schema:
    """One of these strings."""
    return {"type": "string", "enum": list(values)}


def described(schema: Schema, text: str) -> Schema:
    """A schema with a description."""
    return {**schema, "description": text}


def fields(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """An object with these fields, and maybe others."""
    schema: dict[str, JsonValue] = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    return schema


def answer(properties: Mapping[str, Schema]) -> Schema:
    """An object of an answer: all of the fields are always there."""
    return fields(properties, list(properties))


def map_of(values: Schema) -> Schema:
    """An object whose keys the caller does not know."""
    return {"type": "object", "additionalProperties": values}


def nullable(schema: Schema) -> Schema:
    """A value of that schema, or null."""
    return {**schema, "nullable": True}


@dataclass(frozen=True, slots=True)
class Spec:
    """What a route takes and answers.

    :ivar query: arguments of the URL
    :ivar required: names of those without which the request is refused
    :ivar headers: headers of the request
    :ivar body: what the body may be; empty: it has none
    :ivar body_required: whether a request without a body is refused
    :ivar content: what the body of an answer with status 200 is
    :ivar statuses: other statuses than those that every route of its kind may answer
    :ivar bare: statuses among them whose answer may have no body (404 never needs to be named)
    """

    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    body: Content = field(default_factory=dict)
    body_required: bool = False
    content: Content = field(default_factory=dict)
    statuses: tuple[int, ...] = ()
    bare: tuple[int, ...] = ()
    required: tuple[str, ...] = ()


def json_spec(
    schema: Schema = ANY,
    *,
    query: Mapping[str, Schema] | None = None,
    headers: Mapping[str, Schema] | None = None,
    body: Schema | None = None,
    body_required: bool = True,
    statuses: tuple[int, ...] = (),
    bare: tuple[int, ...] = (),
) -> Spec:
    """A route that answers JSON, and takes JSON if it takes anything."""
    return Spec(
        query or {},
        headers or {},
        {} if body is None else {JSON: body},
        body is not None and body_required,
        {JSON: schema},
        statuses,
        bare,
    )


def text_spec(
    schema: Schema = STRING,
    *,
    body: Schema | None = None,
    headers: Mapping[str, Schema] | None = None,
    query: Mapping[str, Schema] | None = None,
    body_required: bool = False,
    statuses: tuple[int, ...] = (),
    bare: tuple[int, ...] = (),
) -> Spec:
    """A route that answers plain text, and takes plain text if it takes anything."""
    return Spec(
        query or {},
        headers or {},
        {} if body is None else {TEXT: body},
        body is not None and body_required,
        {TEXT: schema},
        statuses,
        bare,
    )
