"""The description of the API."""

import json
import re

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.app.describe import openapi_document
from orthanc_tw.rest.http import Route
from orthanc_tw.rest.openapi import document
from orthanc_tw.rest.spec import FLAG, INTEGER, Spec, fields, json_spec
from tests.rest.browsing import REFERENCE, Server


def route(method, path):
    """A route that is described only."""
    return Route(method, path, lambda request: b"", "A summary")


class DocumentTests(SynchronousTestCase):
    def test_paths(self):
        """Variables become parameters, converters go, methods share their path."""
        paths = document(
            [route("GET", "/a/<public_id>/c/<path:rest>"), route("PUT", "/a/<x>/c/<y>")]
        )
        (template,) = paths["paths"]
        self.assertEqual(template, "/a/{public_id}/c/{rest}")
        item = paths["paths"][template]
        self.assertEqual({"get", "put", "parameters"}, set(item))
        self.assertEqual([one["name"] for one in item["parameters"]], ["public_id", "rest"])
        self.assertNotIn("requestBody", item["get"])
        self.assertIn("requestBody", item["put"])

    def test_served(self):
        """The server describes every route it has, each with an identifier of its own."""
        answer = Server().ask("GET", "/openapi.json")
        self.assertEqual(answer.status, 200)
        paths = answer.json()["paths"]
        operations = [
            operation
            for item in paths.values()
            for method, operation in item.items()
            if method != "parameters"
        ]
        self.assertGreater(len(operations), 150)
        identifiers = [operation["operationId"] for operation in operations]
        self.assertEqual(len(set(identifiers)), len(identifiers))
        for path, item in paths.items():
            declared = [one["name"] for one in item.get("parameters", ())]
            self.assertEqual(re.findall(r"{(\w+)}", path), declared)
        for path in ("/openapi.json", "/", "/system", "/instances/{public_id}/file"):
            self.assertIn(path, paths)

    def test_spec(self):
        """What a route says of itself becomes parameters, body and responses."""
        spec = json_spec(
            query={"expand": FLAG},
            headers={"If-Match": FLAG},
            body=fields({"Limit": INTEGER}, ["Limit"]),
            statuses=(409,),
        )
        described = Route("POST", "/a/<x>", lambda request: b"", spec=spec)
        operation = document([described])["paths"]["/a/{x}"]["post"]
        places = [(one["name"], one["in"]) for one in operation["parameters"]]
        self.assertEqual(places, [("expand", "query"), ("If-Match", "header")])
        self.assertTrue(operation["requestBody"]["required"])
        self.assertEqual(
            operation["requestBody"]["content"]["application/json"]["schema"]["required"], ["Limit"]
        )
        self.assertEqual(
            set(operation["responses"]), {"200", "400", "401", "403", "404", "409", "413"}
        )

    def test_refused(self):
        """What would be refused without it is required, and labels say what they look like."""
        spec = Spec(query={"a": FLAG, "b": FLAG}, required=("b",))
        paths = document([Route("GET", "/x/<label>", lambda request: b"", spec=spec)])["paths"]
        parameters = paths["/x/{label}"]["get"]["parameters"]
        self.assertEqual([one.get("required", False) for one in parameters], [False, True])
        self.assertIn("pattern", paths["/x/{label}"]["parameters"][0]["schema"])
        described = self.paths()
        self.assertTrue(described["/tools/log-level"]["put"]["requestBody"]["required"])
        archive = described["/tools/create-archive"]["get"]["parameters"]
        self.assertEqual([one["name"] for one in archive if one.get("required")], ["resources"])

    def test_no_body(self):
        """A GET has no body, and what is not described may answer anything."""
        paths = document([Route("GET", "/a", lambda request: b"", spec=Spec()), route("PUT", "/b")])
        self.assertNotIn("requestBody", paths["paths"]["/a"]["get"])
        self.assertNotIn("content", paths["paths"]["/a"]["get"]["responses"]["200"])
        self.assertIn("default", paths["paths"]["/b"]["put"]["responses"])

    def test_described(self):
        """Every route says what it takes and answers."""
        undescribed = [
            f"{method} {path}"
            for path, item in self.paths().items()
            for method, operation in item.items()
            if method != "parameters" and "default" in operation["responses"]
        ]
        self.assertEqual(undescribed, [])

    def test_reference(self):
        """Arguments, headers and fields that Orthanc describes are described here too."""
        ours = {re.sub(r"{\w+}", "{}", path): item for path, item in self.paths().items()}
        reference = json.loads((REFERENCE / "api.json").read_text())["paths"]
        missing = []
        compared = 0
        for path, item in reference.items():
            for method, known in item.items():
                operation = ours.get(re.sub(r"{\w+}", "{}", path), {}).get(method.lower())
                if operation is None:
                    continue
                compared += 1
                there = {one["name"] for one in operation.get("parameters", ())}
                bodies = operation.get("requestBody", {}).get("content", {})
                there.update(bodies)
                for body in bodies.values():
                    for schema in (body["schema"], *body["schema"].get("anyOf", ())):
                        there.update(schema.get("properties", ()))
                wanted = {*known.get("query", ()), *known.get("header", ())}
                for kind, names in known.get("request", {}).items():
                    wanted.update([kind, *(names or ())])
                missing += [f"{method} {path}: {name}" for name in sorted(wanted - there)]
        self.assertGreater(compared, 200)
        self.assertEqual(missing, [])

    def paths(self):
        """The paths of the whole server."""
        return openapi_document()["paths"]
