from __future__ import annotations

from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.net import dimse
from orthanc_tw.net.responses import reply_of, response
from orthanc_tw.net.user_items import Malformed
from orthanc_tw.net.values import Command, Reply

COMMAND: dict[int, int | str] = {
    dimse.AFFECTED_SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.2",
    dimse.COMMAND_FIELD: Command.C_STORE,
    dimse.MESSAGE_ID: 7,
    dimse.PRIORITY: 0,
    dimse.DATA_SET_TYPE: 1,
    dimse.AFFECTED_SOP_INSTANCE_UID: "1.2.3",
    dimse.MOVE_ORIGINATOR_AET: "MOVER",
    dimse.MOVE_ORIGINATOR_MESSAGE_ID: 3,
}


class CommandSetTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """What is encoded is decoded to the same; odd lengths are padded."""
        encoded = dimse.encode_command(COMMAND)
        self.assertEqual(0, len(encoded) % 2)
        self.assertEqual(COMMAND, dimse.decode_command(encoded))

    def test_same_as_pynetdicom(self) -> None:
        """Pynetdicom encodes the same command set to the same bytes."""
        primitive = C_STORE()
        primitive.MessageID = 7
        primitive.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        primitive.AffectedSOPInstanceUID = "1.2.3"
        primitive.Priority = 0
        primitive.MoveOriginatorApplicationEntityTitle = "MOVER"
        primitive.MoveOriginatorMessageID = 3
        message = C_STORE_RQ()
        message.primitive_to_message(primitive)
        message.command_set.CommandDataSetType = 1
        ((_, theirs),) = next(iter(message.encode_msg(1, 10000))).presentation_data_value_list
        self.assertEqual(theirs[1:], dimse.encode_command(COMMAND))

    def test_malformed(self) -> None:
        """What is cut off or without Command Field is malformed."""
        encoded = dimse.encode_command(COMMAND)
        for bad in (b"", encoded[:-1], encoded[:5], encoded[:12]):
            self.assertRaises(Malformed, dimse.decode_command, bad)

    def test_private_elements(self) -> None:
        """Elements that are not known are skipped, and what DCMTK puts behind group 0000."""
        extra = b"\0\0\x55\x55\x04\0\0\0what" + b"\x08\0\x58\0\x04\0\0\x001.2."
        found = dimse.decode_command(dimse.encode_command(COMMAND) + extra)
        self.assertEqual(COMMAND, found)

    def test_descriptions(self) -> None:
        """A line for the log names command, message and status."""
        self.assertEqual("C-STORE-RQ message 7 1.2.840.10008.5.1.4.1.1.2", dimse.describe(COMMAND))
        answer = response(COMMAND, Reply(0xA700, "no\\space" + "x" * 100))
        self.assertEqual("C-STORE-RSP message 7 status 0xA700", dimse.describe(answer))
        self.assertEqual("no space" + "x" * 56, answer[dimse.ERROR_COMMENT])

    def test_replies(self) -> None:
        """A response is read back to the reply it was made of."""
        reply = Reply(0xFF00, "why", None, 1, 2, 3, 4)
        read = reply_of(dimse.decode_command(dimse.encode_command(response(COMMAND, reply))), None)
        self.assertEqual(reply, read)
        self.assertTrue(read.is_pending)
        kinds = [Reply(status).is_success for status in (0, 0xB000, 0xFF00, 0xA700, 0xC000, 0x0107)]
        self.assertEqual([True, True, False, False, False, True], kinds)
