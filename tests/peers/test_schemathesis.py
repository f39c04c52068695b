"""The server is what its OpenAPI document says: requests made of the document, by schemathesis.

Seeded and bounded, so that a failure can be seen again. Half of the requests name resources
that are there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pydicom
import requests
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from twisted.trial.unittest import TestCase

from tests.peers.process import OrthancProcess

NEEDED = (3, 11)  # of Python, by schemathesis
if sys.version_info >= NEEDED:
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    CHECKS = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]

    @schemathesis.serializer("application/dicom", "application/zip")
    def _bytes(context: Any, value: Any) -> bytes:
        """Files are sent as they are."""
        return bytes(getattr(value, "data", b"") or b"")


DATA = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "dicomdirtests/77654033/CR1/6154"]
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "6"))
# It ends the server, or never ends itself.
LEFT_OUT = {"/tools/shutdown", "/tools/reset", "/jobs/events"}
LEVELS = ("patients", "studies", "series", "instances")
# What is built later is refused with a status that says so, and what a modality refuses is 500:
# they are documented where they may occur.
DOCUMENTED = {500, 501}
# Nobody listens there, and no name has to be looked up.
NOWHERE = {"Host": "127.0.0.1", "Port": 1}
LATER = {"DELETE": 2, "PUT": 1}


class SchemathesisTests(TestCase):
    timeout = 300
    skip = None if sys.version_info >= NEEDED else "schemathesis needs Python 3.11"

    def setUp(self) -> None:
        self.server = OrthancProcess(
            StableAge=3600,
            JobsHistorySize=10000,
            RestApiWriteToFileSystemEnabled=True,
            DicomModalities={"dead": {"AET": "DEAD", **NOWHERE}},
        )
        self.addCleanup(self.server.destroy)
        for name in FILES:
            self.server.request("POST", "/instances", (DATA / name).read_bytes())
        self.known = {level: self.server.json("GET", f"/{level}") for level in LEVELS}
        self.known["modalities"] = ["dead"]

    def test_conformance(self) -> None:
        """Whatever is asked, no answer is a 500, or has a status, type or body not documented."""
        document = self.server.json("GET", "/openapi.json")
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=self.server.url)
        session = requests.Session()
        failures: dict[str, str] = {}
        operations = [found.ok() for found in schema.get_all_operations()]
        operations.sort(key=lambda operation: LATER.get(operation.method.upper(), 0))
        for operation in operations:
            if operation.path not in LEFT_OUT:
                problem = self._problem(operation, session)
                if problem:
                    failures[operation.label] = problem
        self.assertGreater(len(operations), 200)
        self.assertEqual(failures, {}, json.dumps(failures, indent=1))
        self.assertNotIn("Traceback", self.server.log())

    def _problem(self, operation: Any, session: requests.Session) -> str:
        known = self.known.get(operation.path.split("/")[1], [])
        resources = st.sampled_from([*known, None]) if known else st.none()
        lasting = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )

        responses = operation.definition.raw["responses"]
        documented = {status for status in DOCUMENTED if str(status) in responses}
        names_it = "name" if operation.path.startswith("/modalities/") else "public_id"

        def call(case: Any, resource: str | None) -> None:
            if resource is not None and names_it in (case.path_parameters or {}):
                case.path_parameters[names_it] = resource
            if isinstance(case.body, dict):
                case.body.update({name: NOWHERE[name] for name in NOWHERE if name in case.body})
            response = case.call(session=session, timeout=60)
            if response.status_code not in documented:
                case.validate_response(response, checks=CHECKS)

        body = operation.definition.raw.get("requestBody", {})
        takes_json = "application/json" in body.get("content", {})
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not takes_json:
                continue
            cases = operation.as_strategy(generation_mode=mode)
            try:
                seed(20260101)(lasting(given(case=cases, resource=resources)(call)))()
            except Unsatisfiable:  # everything is allowed
                continue
            except (FailureGroup, AssertionError, requests.RequestException) as error:
                failures = getattr(error, "exceptions", (error,))
                return " | ".join(str(one)[:600] for one in failures)
        return ""
