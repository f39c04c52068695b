"""`StoreSession`: what is proposed, when again, and what becomes of what is not accepted."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.net.associations import MOST_CONTEXTS
from orthanc_tw.net.errors import NoPresentationContext
from orthanc_tw.net.modalities import RemoteModality
from orthanc_tw.net.store_session import Content, StoreSession, StoreSettings
from orthanc_tw.net.values import InstanceFile, Reply
from tests.net.fakes import EXPLICIT, MODALITY, FakePool

IMPLICIT, JPEG, J2K = "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91"


class Recoder:
    """A `Transcoder` that can do everything, or nothing."""

    def __init__(self, able: bool) -> None:
        self.able = able

    async def transcode(
        self, instance: InstanceFile, syntaxes: Sequence[str]
    ) -> InstanceFile | None:
        if not self.able:
            return None
        return InstanceFile(instance.sop_class_uid, "transcoded", syntaxes[0], instance.open)


class SessionTests(SynchronousTestCase):
    """Over associations in memory."""

    def setUp(self) -> None:
        """A pool."""
        self.pool = FakePool()

    def session(
        self, *, able: bool = False, transcode: bool = True, modality: RemoteModality = MODALITY
    ) -> StoreSession:
        """A session to a modality."""
        settings = StoreSettings(transcode=transcode)
        return StoreSession(self.pool, modality, settings, Recoder(able))

    def send(
        self, session: StoreSession, content: Content, upcoming: Sequence[Content] = ()
    ) -> Deferred[Reply]:
        """Send an instance of that SOP class and transfer syntax."""
        instance = InstanceFile(content[0], "1.2.3", content[1], lambda: BytesIO())
        return Deferred.fromCoroutine(session.send(instance, upcoming))

    def test_one_association(self) -> None:
        """What is upcoming is proposed from the start, so that one association does."""
        session = self.session()
        contents = [("1.1", EXPLICIT), ("1.1", JPEG), ("1.2", J2K)]
        for number, content in enumerate(contents):
            self.successResultOf(self.send(session, content, contents[number + 1 :]))
        self.assertEqual(1, len(self.pool.opened))
        session.give_back()
        session.give_back()
        self.assertEqual(1, self.pool.given_back)

    def test_again(self) -> None:
        """What was not proposed takes another association, which keeps what was proposed before."""
        session = self.session()
        for content in (("1.1", EXPLICIT), ("1.2", JPEG), ("1.1", EXPLICIT)):
            self.successResultOf(self.send(session, content))
        self.assertEqual(2, len(self.pool.opened))
        self.assertEqual(1, self.pool.given_back)

    def test_room(self) -> None:
        """No association has more than 128 contexts; what is to be sent now comes first."""
        session = self.session()
        contents = [(f"1.{number}", JPEG) for number in range(200)]
        self.successResultOf(self.send(session, contents[0], contents[1:]))
        self.assertEqual(MOST_CONTEXTS, len(self.pool.opened[0][1]))
        self.successResultOf(self.send(session, contents[150], contents[151:]))
        proposals = self.pool.opened[1][1]
        self.assertLessEqual(len(proposals), MOST_CONTEXTS)
        self.assertEqual("1.150", proposals[0].abstract_syntax)

    def test_transcoding(self) -> None:
        """What is not accepted as it is stored is transcoded, unless it must or can not be."""
        self.pool.accepts = lambda uid, syntax: syntax == IMPLICIT
        self.successResultOf(self.send(self.session(able=True), ("1.1", JPEG)))
        self.assertEqual("transcoded", self.pool.log[-1][1].sop_instance_uid)
        forbidding = RemoteModality("REMOTE", "localhost", 104, allow_transcoding=False)
        for session in (
            self.session(able=False),
            self.session(able=True, transcode=False),
            self.session(able=True, modality=forbidding),
        ):
            error = self.failureResultOf(self.send(session, ("1.1", JPEG)), OrthancError).value
            self.assertEqual(
                (
                    ErrorCode.INTERNAL_ERROR,
                    f"Cannot transcode instance of SOPClassUID 1.1 from {JPEG} to one of "
                    f"[ {IMPLICIT} ]",
                ),
                (error.code, error.details),
            )

    def test_not_accepted(self) -> None:
        """A SOP class that is not accepted at all is an error of its own."""
        self.pool.accepts = lambda uid, syntax: False
        self.failureResultOf(self.send(self.session(), ("1.1", JPEG)), NoPresentationContext)

    def test_no_uid(self) -> None:
        """What is no UID is not proposed: its instance is refused, the others are sent."""
        session = self.session()
        wrong = [("nonsense", EXPLICIT), ("1.1", "\xe9"), ("", EXPLICIT), ("1." * 33, EXPLICIT)]
        self.successResultOf(self.send(session, ("1.1", EXPLICIT), wrong))
        for content in wrong:
            self.failureResultOf(self.send(session, content), NoPresentationContext)
        self.successResultOf(self.send(session, ("1.1", EXPLICIT)))
        self.assertEqual(1, len(self.pool.opened))
        ((_, proposals),) = self.pool.opened
        self.assertEqual({"1.1"}, {one.abstract_syntax for one in proposals})

    def test_status(self) -> None:
        """A warning is success (PS3.4 B.2.3); a failure names its status."""
        session = self.session()
        self.pool.replies = [Reply(0xB007), Reply(0xA700)]
        self.assertEqual(0xB007, self.successResultOf(self.send(session, ("1", JPEG))).status)
        error = self.failureResultOf(self.send(session, ("1", JPEG)), OrthancError).value
        self.assertIn("0xA700 (out of resources)", error.details)
