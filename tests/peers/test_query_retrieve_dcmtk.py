"""C-FIND, C-MOVE, C-GET and worklists, asked by DCMTK."""

from __future__ import annotations

import subprocess
import tempfile
import unittest
from pathlib import Path

from pydicom import dcmread

from tests.peers.dicom_peers import (
    dataset_of,
    dcmtk,
)
from tests.peers.query_retrieve import PETER, Case


@unittest.skipUnless(dcmtk("findscu"), "peer missing: DCMTK")
class DcmtkTests(Case):
    """DCMTK's tools."""

    def run_tool(self, name: str, *arguments: str) -> str:
        """What a tool prints."""
        path = dcmtk(name)
        assert path is not None
        done = subprocess.run(
            [path, *arguments[:-1], "127.0.0.1", str(self.port), *arguments[-1].split("|")],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
            cwd=self.folder,
        )
        return done.stdout + done.stderr

    def test_find(self) -> None:
        """Findscu finds, at every level and in both models."""
        for option, level, count in (
            ("-P", "PATIENT", 1),
            ("-S", "STUDY", 4),
            ("-P", "SERIES", 9),
            ("-S", "IMAGE", 24),
        ):
            keys = f"-k|QueryRetrieveLevel={level}|-k|PatientID={PETER}|-k|PatientName"
            output = self.run_tool("findscu", "-v", option, keys)
            self.assertEqual(output.count("Find Response: "), count, output)
            self.assertIn("Received Final Find Response (Success)", output)

    def test_find_implicit(self) -> None:
        """A peer that knows implicit VR only is answered in it."""
        keys = f"-k|QueryRetrieveLevel=STUDY|-k|PatientID={PETER}|-k|PatientName"
        output = self.run_tool("findscu", "-v", "-xi", "-S", keys)
        self.assertEqual(output.count("(0010,0010) PN [Doe^Peter ]"), 4, output)

    def test_worklist(self) -> None:
        """Findscu finds worklist items by an attribute of a sequence."""
        keys = "-k|PatientName|-k|(0040,0100)[0].Modality=MR"
        output = self.run_tool("findscu", "-v", "-W", keys)
        self.assertEqual(output.count("Find Response: "), 1, output)
        self.assertIn("[Roe^Jane]", output)

    def test_cancel(self) -> None:
        """Findscu that cancels after two answers is told so."""
        keys = "-k|QueryRetrieveLevel=IMAGE|-k|SOPInstanceUID"
        output = self.run_tool("findscu", "-v", "-S", "--cancel", "2", keys)
        self.assertIn("Final Find Response", output)

    @unittest.skipUnless(dcmtk("movescu"), "peer missing: movescu")
    def test_move(self) -> None:
        """Movescu receives every instance of a patient, as it is stored."""
        with tempfile.TemporaryDirectory() as folder:
            keys = f"-k|QueryRetrieveLevel=PATIENT|-k|PatientID={PETER}"
            port = str(self.sink_port)
            output = self.run_tool(
                "movescu", "-v", "-P", "-aet", "SINK", "-aem", "SINK", "+xa", "+P", port,
                "-od", folder, keys,
            )  # fmt: skip
            self.assertIn("Received Final Move Response (Success)", output)
            received = [dataset_of(path.read_bytes()) for path in Path(folder).iterdir()]
        self.assertEqual(len(received), 24)

    @unittest.skipUnless(dcmtk("movescu"), "peer missing: movescu")
    def test_move_to_nobody(self) -> None:
        """A destination that is not known, and one where nobody is."""
        keys = f"-k|QueryRetrieveLevel=PATIENT|-k|PatientID={PETER}"
        output = self.run_tool("movescu", "-v", "-P", "-aem", "UNKNOWN", keys)
        self.assertIn("UnableToProcess", output)
        output = self.run_tool("movescu", "-v", "-P", "-aem", "NOBODY", keys)
        self.assertIn("OutOfResourcesSubOperations", output.replace(" ", ""))

    @unittest.skipUnless(dcmtk("getscu"), "peer missing: getscu")
    def test_get(self) -> None:
        """Getscu receives every instance of a patient."""
        with tempfile.TemporaryDirectory() as folder:
            keys = f"-k|QueryRetrieveLevel=PATIENT|-k|PatientID={PETER}"
            output = self.run_tool("getscu", "-v", "-P", "-od", folder, keys)
            received = {str(dcmread(path).SOPInstanceUID) for path in Path(folder).iterdir()}
        self.assertIn("Number of Completed Suboperations : 24", output)
        self.assertEqual(len(received), 24)
