"""An OpenAPI 3.0 document made of the route tables: what is in it can be called.

Source: OpenAPI Specification 3.0.3, sections 4.7.8 to 4.7.17.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from orthanc_tw import __version__
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.rest.errors import phrase
from orthanc_tw.rest.http import Route
from orthanc_tw.rest.spec import BYTES, JSON, Schema, Spec

OPENAPI_VERSION = "3.0.3"
XML = "application/xml"
_VARIABLE = re.compile(r"<(?:[a-z]+(?:\([^)]*\))?:)?([a-z_]+)>")
_WITH_BODY = ("POST", "PUT")
# Of a route that is not described: anything, as JSON or as bytes.
_UNDESCRIBED = Spec(body={JSON: {}, BYTES: {}}, content={JSON: {}})
_ERROR_FIELDS: JsonObject = {
    "Details": {"type": "string", "description": "What exactly is wrong, and in which field"},
    "HttpError": {"type": "string"},
    "HttpStatus": {"type": "integer"},
    "Message": {"type": "string"},
    "Method": {"type": "string"},
    "OrthancError": {"type": "string"},
    "OrthancStatus": {"type": "integer"},
    "Uri": {"type": "string"},
}
_ERROR: JsonObject = {
    "type": "object",
    "properties": _ERROR_FIELDS,
    "required": [name for name in _ERROR_FIELDS if name != "Details"],
}
# Variables of paths that are not just any text.
_SEGMENTS: Mapping[str, Schema] = {
    "index": {"type": "integer", "minimum": 0},
    "label": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
_RESPONSES: JsonObject = {
    "Error": {
        "description": "The request was refused, or has failed. The text is JSON: see Error",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    "BareError": {"description": "The request was refused, or has failed. There may be no body"},
}


def document(routes: Iterable[Route], title: str = "orthanc-tw") -> JsonObject:
    """The document of these routes."""
    paths: dict[str, JsonObject] = {}
    # Paths that differ in the names of their variables only are one path.
    templates: dict[str, str] = {}
    for route in sorted(routes, key=lambda route: (route.path, route.method)):
        shape = _VARIABLE.sub("{}", route.path)
        template = templates.setdefault(shape, _VARIABLE.sub(r"{\1}", route.path))
        item = paths.setdefault(template, _path_item(template))
        item[route.method.lower()] = _operation(route, template)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": title,
            "version": __version__,
            "description": "DICOM server with the REST API of Orthanc 1.13.0",
            "license": {"name": "MIT"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Error": _ERROR},
            "responses": _RESPONSES,
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
        "security": [{}, {"basic": []}],
    }


def _path_item(template: str) -> JsonObject:
    names = re.findall(r"{([a-z_]+)}", template)
    if not names:
        return {}
    return {
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": _SEGMENTS.get(name, {"type": "string"}),
            }
            for name in names
        ]
    }


def _operation(route: Route, template: str) -> JsonObject:
    words = re.findall(r"[A-Za-z0-9]+", template)
    spec = route.spec or _UNDESCRIBED
    operation: JsonObject = {
        "operationId": "_".join((route.method.lower(), *words)) or route.method.lower(),
        "responses": _responses(route, spec),
        "tags": [words[0] if words else "root"],
    }
    if route.summary:
        operation["summary"] = route.summary
    parameters = [
        *_parameters("query", spec.query, spec.required),
        *_parameters("header", spec.headers),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.method in _WITH_BODY and spec.body:
        operation["requestBody"] = {
            "required": spec.body_required,
            "content": {kind: {"schema": schema} for kind, schema in spec.body.items()},
        }
    return operation


def _parameters(
    place: str, schemas: Mapping[str, Schema], required: Collection[str] = ()
) -> Iterable[JsonObject]:
    for name, schema in schemas.items():
        parameter: JsonObject = {"name": name, "in": place, "schema": schema}
        if name in required:
            parameter["required"] = True
        if "description" in schema:
            parameter["description"] = schema["description"]
            parameter["schema"] = {k: v for k, v in schema.items() if k != "description"}
        if schema.get("type") == "array":
            parameter["explode"] = True  # ?name=a&name=b
        yield parameter


def _responses(route: Route, spec: Spec) -> JsonObject:
    responses: JsonObject = {"200": _done(spec)}
    statuses = {400, 401, *spec.statuses}
    if "<" in route.path:
        statuses.add(404)
    if route.method in _WITH_BODY:
        statuses.add(413)
    if route.method != "GET" and route.changes_state is not False:
        # ReadOnly, user attachments and metadata, and what the configuration forbids.
        statuses.add(403)
    for status in sorted(statuses):
        if status < 400:
            responses[str(status)] = {"description": phrase(status).decode("ascii")}
        elif status in (401, 403, 404) or status in spec.bare:
            responses[str(status)] = {"$ref": "#/components/responses/BareError"}
        else:
            responses[str(status)] = {"$ref": "#/components/responses/Error"}
    if route.spec is None:
        responses["default"] = {"$ref": "#/components/responses/BareError"}
    return responses


def _done(spec: Spec) -> JsonObject:
    content = {kind: {"schema": schema} for kind, schema in spec.content.items()}
    if JSON in content:
        content[XML] = {"schema": {"type": "string"}}  # if the client accepts XML only
    done: JsonObject = {"description": "Done"}
    if content:
        done["content"] = content
    return done
