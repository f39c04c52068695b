"""What C-GETs offer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.uids import accepted_sop_classes, accepted_transfer_syntaxes
from orthanc_tw.net.storage_contexts import MAXIMUM_CONTEXTS, MAXIMUM_ROUNDS, storage_rounds
from tests.net.support import CT, EXPLICIT, IMPLICIT

JPEG_2000 = "1.2.840.10008.1.2.4.90"


class RoundsTests(SynchronousTestCase):
    """`storage_rounds`."""

    def test_all(self) -> None:
        """Each accepted class is offered in all syntaxes first; no association has too much."""
        classes = accepted_sop_classes()
        syntaxes = accepted_transfer_syntaxes(["1.2.840.10008.1.*"])
        rounds = list(
            storage_rounds(
                RuntimeOptions(accepted_sop_classes=classes, accepted_transfer_syntaxes=syntaxes)
            )
        )
        self.assertLessEqual(max(map(len, rounds)), MAXIMUM_CONTEXTS)
        self.assertEqual(MAXIMUM_ROUNDS, len(rounds))
        offered = [proposal for proposals in rounds for proposal in proposals]
        self.assertTrue(all(proposal.scp_role for proposal in offered))
        first = [proposal for proposal in offered if len(proposal.transfer_syntaxes) > 1]
        self.assertEqual(set(classes), {proposal.abstract_syntax for proposal in first})
        self.assertEqual((CT, EXPLICIT), (first[0].abstract_syntax, first[0].transfer_syntaxes[0]))

    def test_known(self) -> None:
        """Of known classes each syntax is offered by itself; what is not accepted is not."""
        runtime = RuntimeOptions(
            accepted_sop_classes=[CT, "1.2.3"],
            accepted_transfer_syntaxes=[IMPLICIT, EXPLICIT, JPEG_2000],
        )
        rounds = list(storage_rounds(runtime, ["1.2.3", "9.9.9"]))
        self.assertEqual(
            [
                [("1.2.3", (EXPLICIT, IMPLICIT, JPEG_2000))],
                [("1.2.3", (JPEG_2000,))],
            ],
            [[(one.abstract_syntax, one.transfer_syntaxes) for one in found] for found in rounds],
        )
