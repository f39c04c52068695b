from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import OrthancError
from orthanc_tw.net.modalities import RemoteModality

RECORDING = Path(__file__).parent.parent / "reference" / "recordings" / "40-modalities-crud.json"


class ModalityTests(SynchronousTestCase):
    def test_recorded(self) -> None:
        """Every modality that was put in the recording: the same configuration, or error."""
        put: dict[str, RemoteModality] = {}
        good = bad = 0
        for exchange in json.loads(RECORDING.read_text())["exchanges"]:
            parts = exchange["path"].split("/")
            if parts[1] != "modalities" or len(parts) < 3:
                continue
            answer = exchange["response"]
            if exchange["method"] == "PUT" and parts[2].isalnum():
                try:
                    put[parts[2]] = RemoteModality.from_json(exchange.get("body"))
                except OrthancError as error:
                    body = answer["json"]
                    self.assertEqual(body["OrthancStatus"], int(error.code), exchange)
                    self.assertEqual(body.get("Details"), error.details, exchange)
                    self.assertEqual(body["HttpStatus"], error.http_status, exchange)
                    bad += 1
                else:
                    self.assertEqual(200, answer["status"], exchange)
            elif parts[3:] == ["configuration"] and answer["status"] == 200:
                self.assertEqual(answer["json"], put[parts[2]].to_json())
                good += 1
        self.assertGreater(good, 15)
        self.assertGreater(bad, 10)

    def test_timeout(self) -> None:
        """A timeout is an unsigned 32-bit number of seconds."""
        value = {"AET": "A", "Host": "h", "Port": 1}
        most = RemoteModality.from_json({**value, "Timeout": 2**32 - 1})
        self.assertEqual(most.timeout_s, 2**32 - 1)
        for timeout in (-1, 2**32, 10**30, 1.5, "1", None, True):
            with self.assertRaises(OrthancError):
                RemoteModality.from_json({**value, "Timeout": timeout})

    def test_round_trip(self) -> None:
        """What is written is read back."""
        value = {"AET": "A", "Host": "h", "Port": 1, "AllowNEventReport": False, "Timeout": 3}
        modality = RemoteModality.from_json(value)
        self.assertFalse(modality.allow_n_event_report)
        self.assertEqual(modality, RemoteModality.from_json(modality.to_json()))
