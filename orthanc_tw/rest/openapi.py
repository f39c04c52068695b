"""An OpenAPI 3.0 document made of the route tables: what is in it can be called.

Source: OpenAPI Specification 3.0.3, sections 4.7.8 to 4.7.17.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orthanc_tw import __version__
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.rest.http import Route

OPENAPI_VERSION = "3.0.3"
_VARIABLE = re.compile(r"<(?:[a-z]+(?:\([^)]*\))?:)?([a-z_]+)>")
_WITH_BODY = ("POST", "PUT")
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
            "responses": {
                "Error": {
                    "description": "The request was refused, or has failed",
                    "content": {"text/plain": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
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
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    }


def _operation(route: Route, template: str) -> JsonObject:
    words = re.findall(r"[A-Za-z0-9]+", template)
    operation: JsonObject = {
        "operationId": "_".join((route.method.lower(), *words)) or route.method.lower(),
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": {}}}},
            "default": {"$ref": "#/components/responses/Error"},
        },
        "tags": [words[0] if words else "root"],
    }
    if route.summary:
        operation["summary"] = route.summary
    if route.method in _WITH_BODY:
        operation["requestBody"] = {
            "required": False,
            "content": {"application/json": {"schema": {}}, "application/octet-stream": {}},
        }
    return operation
