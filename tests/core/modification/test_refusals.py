from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.core.modification.refusals import refuse_in_place, refuse_transcoding
from orthanc_tw.dicom.modification.plan import Modification, ModificationSettings
from orthanc_tw.dicom.modification.request import parse_anonymize, parse_modify
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.levels import ResourceType

PATIENT, STUDY, SERIES, INSTANCE = ResourceType
SETTINGS = ModificationSettings()
UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


def modification(level: ResourceType, **body: Any) -> Modification:
    return parse_modify({"Force": True, **body}, level, SETTINGS, seed="00" * 32)


class RefusalsTests(SynchronousTestCase):
    def refused(self, level: ResourceType, **body: Any) -> bool:
        try:
            refuse_in_place(modification(level, **body), level)
        except OrthancError as error:
            self.assertEqual(error.code, ErrorCode.BAD_REQUEST)
            return True
        return False

    def test_in_place(self) -> None:
        """What keeps all identifiers that its level would renew is refused."""
        for level, kept in (
            (PATIENT, UIDS),
            (STUDY, UIDS),
            (SERIES, UIDS[1:]),
            (INSTANCE, UIDS[2:]),
        ):
            self.assertTrue(self.refused(level, Keep=kept), level)
        for level, kept in ((PATIENT, UIDS[1:]), (STUDY, UIDS[:2]), (SERIES, UIDS[1:2])):
            self.assertFalse(self.refused(level, Keep=kept), level)

    def test_moved(self) -> None:
        """A series that goes to another study may keep its identifiers."""
        replaced = {"StudyInstanceUID": "1.2.3"}
        self.assertFalse(self.refused(SERIES, Keep=UIDS[1:], Replace=replaced))

    def test_anonymized_series(self) -> None:
        """An anonymized series is in another study, of another patient."""
        body = {"Force": True, "Keep": UIDS[1:]}
        refuse_in_place(parse_anonymize(body, SERIES, SETTINGS, seed="00" * 32), SERIES)

    def test_transcoding(self) -> None:
        """A transfer syntax without an encoder is 501 naming the field, others pass."""
        refuse_transcoding(modification(STUDY))
        refuse_transcoding(modification(STUDY, Transcode="1.2.840.10008.1.2"))
        refuse_transcoding(modification(STUDY, Transcode="1.2.840.10008.1.2.4.50"))
        with self.assertRaises(OrthancError) as raised:
            refuse_transcoding(modification(STUDY, Transcode="1.2.840.10008.1.2.4.100"))
        self.assertEqual(raised.exception.http_status, 501)
        self.assertIn("Transcode", raised.exception.details or "")
