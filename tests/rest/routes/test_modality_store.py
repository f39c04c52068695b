"""Fields of ``/modalities/{id}/store``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.values import MoveOriginator
from orthanc_tw.rest.routes.modality_store import move_originator


class MoveOriginatorTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """The number goes with the title, alone it means nothing; 0 by default."""
        both = {"MoveOriginatorAet": "A", "MoveOriginatorID": 7}
        self.assertEqual(move_originator(both), MoveOriginator("A", 7))
        self.assertEqual(move_originator({"MoveOriginatorAet": "A"}), MoveOriginator("A", 0))
        self.assertIsNone(move_originator({"MoveOriginatorID": 7}))
        self.assertIsNone(move_originator(["an-identifier"]))

    def test_bad_number(self) -> None:
        """A bad number is refused, with a title or not."""
        for number in (-1, 65536, 1.5, "1", None, True, [], 10**30):
            for body in ({}, {"MoveOriginatorAet": "A"}):
                with self.assertRaises(OrthancError) as caught:
                    move_originator({**body, "MoveOriginatorID": number})
                self.assertIn("MoveOriginatorID", str(caught.exception.details))
