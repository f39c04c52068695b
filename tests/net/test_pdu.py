from __future__ import annotations

import contextlib
import struct

from pynetdicom import pdu as theirs
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.net import pdu
from orthanc_tw.net.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ProposedContext,
)
from orthanc_tw.net.sender import fragments
from orthanc_tw.net.user_items import Malformed, Role, UserIdentity, UserInformation, item

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

REQUEST = AssociateRequest(
    "ORTHANC",
    "STORESCU",
    (ProposedContext(1, CT, (EXPLICIT, IMPLICIT)), ProposedContext(3, "1.2.840.10008.1.1", ())),
    UserInformation(
        16384,
        asynchronous=(3, 5),
        roles=(Role(CT, scu=False, scp=True),),
        extended=((CT, b"\1\0"),),
        identity=UserIdentity(2, True, b"user", b"secret"),
    ),
)
ACCEPT = AssociateAccept(
    "ORTHANC",
    "STORESCU",
    (ContextResult(1, 0, EXPLICIT), ContextResult(3, 3, IMPLICIT)),
    UserInformation(32768, asynchronous=(1, 1), roles=(Role(CT, scu=False, scp=True),)),
)


class PduTests(SynchronousTestCase):
    def test_round_trips(self) -> None:
        """What is encoded is decoded to the same value."""
        self.assertEqual(REQUEST, pdu.decode_request(pdu.encode_request(REQUEST)[6:]))
        self.assertEqual(ACCEPT, pdu.decode_accept(pdu.encode_accept(ACCEPT)[6:]))
        reject = AssociateReject(2, 3, 1)
        self.assertEqual(reject, pdu.decode_reject(pdu.encode_reject(reject)[6:]))
        abort = pdu.Abort(2, 6)
        self.assertEqual(abort, pdu.decode_abort(pdu.encode_abort(abort)[6:]))

    def test_pynetdicom_reads_ours(self) -> None:
        """Pynetdicom reads what is encoded here, byte for byte."""
        for encoded, kind in (
            (pdu.encode_request(REQUEST), theirs.A_ASSOCIATE_RQ),
            (pdu.encode_accept(ACCEPT), theirs.A_ASSOCIATE_AC),
            (pdu.encode_reject(AssociateReject(1, 1, 7)), theirs.A_ASSOCIATE_RJ),
            (pdu.encode_abort(pdu.Abort(2, 2)), theirs.A_ABORT_RQ),
            (pdu.encode_release(pdu.RELEASE_RQ), theirs.A_RELEASE_RQ),
            (pdu.encode_release(pdu.RELEASE_RP), theirs.A_RELEASE_RP),
            (
                b"".join(fragments(1, b"abcdefgh", 100, is_command=True, is_last=True)),
                theirs.P_DATA_TF,
            ),
        ):
            read = kind()
            read.decode(encoded)
            self.assertEqual(encoded, read.encode(), kind)

    def test_fields_as_pynetdicom_names_them(self) -> None:
        """Pynetdicom finds titles, contexts and user information where they belong."""
        read = theirs.A_ASSOCIATE_RQ()
        read.decode(pdu.encode_request(REQUEST))
        primitive = read.to_primitive()
        self.assertEqual("ORTHANC", primitive.called_ae_title.strip())
        self.assertEqual("STORESCU", primitive.calling_ae_title.strip())
        self.assertEqual(16384, primitive.maximum_length_received)
        first = primitive.presentation_context_definition_list[0]
        self.assertEqual((CT, [EXPLICIT, IMPLICIT]), (first.abstract_syntax, first.transfer_syntax))

    def test_unknown_items(self) -> None:
        """Items that are not known are skipped, at every level (PS3.8 9.3.1)."""
        strange = item(0x77, b"what")
        user = item(0x51, struct.pack(">L", 16384)) + strange
        context = item(0x20, bytes((5, 0, 0, 0)) + strange + item(0x30, CT.encode()))
        body = struct.pack(">HH16s16s32x", 1, 0, b"A" * 16, b"B" * 16)
        body += strange + item(0x10, b"1.2.840.10008.3.1.1.1") + context + item(0x50, user)
        request = pdu.decode_request(body)
        self.assertEqual((ProposedContext(5, CT, ()),), request.contexts)
        self.assertEqual(16384, request.user.maximum_length)

    def test_truncation(self) -> None:
        """A PDU cut anywhere, lengths kept, is malformed or has less in it: nothing else."""
        for encoded, decode in (
            (pdu.encode_request(REQUEST)[6:], pdu.decode_request),
            (pdu.encode_accept(ACCEPT)[6:], pdu.decode_accept),
        ):
            for end in range(len(encoded)):
                with contextlib.suppress(Malformed):
                    decode(encoded[:end])

    def test_values(self) -> None:
        """Values of a P-DATA-TF whose lengths do not fit are malformed."""
        good = b"".join(fragments(1, b"ab", 100, is_command=False, is_last=True))[6:]
        self.assertEqual([(1, 2, b"ab")], list(pdu.values(good)))
        for bad in (
            b"",
            good[:-1],
            good + b"\0",
            struct.pack(">LBB", 1, 1, 0),
            struct.pack(">LBB", 0xFFFFFFFF, 1, 0) + b"ab",
        ):
            self.assertRaises(Malformed, list, pdu.values(bad))

    def test_fragments(self) -> None:
        """Data is cut to the size of the peer; the last fragment alone is marked so."""
        pieces = fragments(3, b"abcdefghij", 4, is_command=False, is_last=True)
        stream = b"".join(pieces)
        found = []
        while stream:
            kind, length = pdu.HEADER.unpack_from(stream)
            self.assertEqual(pdu.P_DATA, kind)
            found += list(pdu.values(stream[6 : 6 + length]))
            stream = stream[6 + length :]
        self.assertEqual([(3, 0, b"abcd"), (3, 0, b"efgh"), (3, 2, b"ij")], found)

    def test_same_number_twice(self) -> None:
        """Two presentation contexts of one number are malformed, and so is an even number."""
        for number, other in ((1, 1), (2, 3)):
            contexts = (ProposedContext(number, CT, ()), ProposedContext(other, CT, ()))
            request = AssociateRequest("A", "B", contexts, UserInformation())
            self.assertRaises(Malformed, pdu.decode_request, pdu.encode_request(request)[6:])
