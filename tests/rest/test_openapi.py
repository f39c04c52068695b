"""The description of the API."""

import re

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.rest.http import Route
from orthanc_tw.rest.openapi import document
from tests.rest.browsing import Server


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
