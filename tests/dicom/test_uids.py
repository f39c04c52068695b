from __future__ import annotations

from pydicom.uid import UID
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.dicom import sniff
from orthanc_tw.dicom.uids import (
    TRANSFER_SYNTAXES,
    accepted_sop_classes,
    accepted_transfer_syntaxes,
    is_known_transfer_syntax,
    transfer_syntax,
)
from tests.dicom.corpus import DATA, exchanges

SYNTAXES = "/tools/accepted-transfer-syntaxes"


class TransferSyntaxes(SynchronousTestCase):
    def test_patterns_as_recorded(self) -> None:
        """PUT of patterns answers what they match, in the recorded order."""
        count = 0
        for exchange in exchanges("01-system"):
            if exchange["path"] != SYNTAXES or exchange["method"] != "PUT":
                continue
            if exchange["response"]["status"] != 200:
                continue
            body = exchange.get("body", exchange.get("body_text"))
            patterns = [body] if isinstance(body, str) else body
            self.assertEqual(accepted_transfer_syntaxes(patterns), exchange["response"]["json"])
            count += 1
        self.assertGreaterEqual(count, 6)

    def test_pattern_characters(self) -> None:
        """Only ``*`` and ``?`` are special, and a pattern matches the whole UID."""
        self.assertEqual(
            accepted_transfer_syntaxes(["1.2.840.10008.1.2.?"]),
            ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"],
        )
        self.assertEqual(accepted_transfer_syntaxes(["1.2.840.10008.1.2.[12]", "1.2", ".", ""]), [])

    def test_table_agrees_with_pydicom(self) -> None:
        """Layouts are those of pydicom, where it knows better than "encapsulated"."""
        for uid, syntax in TRANSFER_SYNTAXES.items():
            known = UID(uid)
            if not known.is_transfer_syntax or "JPIP" in known.name or ".6." in uid:
                continue
            self.assertEqual(syntax.is_explicit, not known.is_implicit_VR, uid)
            self.assertEqual(syntax.is_little_endian, known.is_little_endian, uid)
            self.assertEqual(syntax.is_encapsulated, known.is_encapsulated, uid)
            self.assertEqual(syntax.is_deflated, known.is_deflated, uid)
            self.assertEqual(syntax.name, known.name)

    def test_known(self) -> None:
        """Unknown UIDs are not in the table."""
        self.assertTrue(is_known_transfer_syntax("1.2.840.10008.1.2"))
        self.assertFalse(is_known_transfer_syntax("1.2.840.10008.1.20"))
        self.assertIsNone(transfer_syntax("1.2.3"))


class SopClasses(SynchronousTestCase):
    def recorded(self) -> list[str]:
        """The recorded list."""
        for exchange in exchanges("01-system"):
            if exchange["path"] == "/tools/accepted-sop-classes":
                answer: list[str] = exchange["response"]["json"]
                return answer
        self.fail("not recorded")

    def test_default_as_recorded(self) -> None:
        """Without options the list is the recorded one."""
        self.assertEqual(accepted_sop_classes(), self.recorded())

    def test_accepted_and_rejected(self) -> None:
        """Accepted patterns choose, rejected ones take away."""
        ct, mr = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
        self.assertEqual(accepted_sop_classes([ct, mr], [mr]), [ct])
        rejected = accepted_sop_classes(rejected=[mr])
        self.assertEqual([uid for uid in self.recorded() if uid != mr], rejected)
        self.assertEqual(accepted_sop_classes(["1.2.3"]), [])


class Sniffing(SynchronousTestCase):
    def test_kinds(self) -> None:
        """ZIP and DICOM are told by their first bytes."""
        gzip = (DATA / "test_files" / "zipMR.gz").read_bytes()
        dicom = (DATA / "test_files" / "CT_small.dcm").read_bytes()
        for head in (b"PK\x03\x04rest", b"PK\x05\x06", b"PK\x07\x08PK\x03\x04"):
            self.assertTrue(sniff.looks_like_zip(head))
        for head in (b"", b"PK", b"PKxx", gzip, dicom):
            self.assertFalse(sniff.looks_like_zip(head))
        self.assertTrue(sniff.has_dicom_prefix(dicom[:132]))
        self.assertFalse(sniff.has_dicom_prefix(dicom[:131]))
