"""What the log tells of messages."""

from __future__ import annotations

from pydicom.dataset import Dataset
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.net.associations import Proposal
from orthanc_tw.net.datasets import encoder
from orthanc_tw.net.service import Service
from orthanc_tw.net.tracing import Trace, shown
from orthanc_tw.net.values import Command, Reply
from tests.net.messages import FIND, Handler
from tests.net.support import IMPLICIT, Rig
from tests.net.test_association import MODALITY, Net


class TracingTests(SynchronousTestCase):
    """A C-FIND, told at each level."""

    def told(self, trace: Trace) -> str:
        """What the log says of a query for a patient, and of its answer."""
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        handler = Handler()
        service = Service("c-find", Command.C_FIND, (FIND,), handler, lambda info: True)
        rig = Rig(services=(service,))
        rig.trace = trace
        net = Net(rig)
        acquiring = net.pool.acquire(MODALITY, (Proposal(FIND, (IMPLICIT,)),))
        net.pump()
        association = self.successResultOf(acquiring)
        query = Dataset()
        query.PatientName = "Doe^John"
        finding: Deferred[Reply] = association.find(FIND, encoder(query), lambda dataset: None)
        net.pump()
        handler.calls[-1][2].callback(Reply(0))
        net.pump()
        self.successResultOf(finding)
        return "\n".join(formatEvent(event) for event in events)

    def test_commands(self) -> None:
        """Commands and statuses are told, nothing of patients."""
        text = self.told(Trace.COMMANDS)
        self.assertIn("C-FIND-RQ", text)
        self.assertNotIn("Doe", text)

    def test_identifiers(self) -> None:
        """If it is asked for, what queries say is told too."""
        self.assertIn('received {"PatientName": "Doe^John"}', self.told(Trace.IDENTIFIERS))

    def test_off(self) -> None:
        """Otherwise the acceptor tells nothing of them."""
        self.assertNotIn("received C-FIND-RQ", self.told(Trace.OFF))

    def test_unreadable(self) -> None:
        """What cannot be read is said to be so, and what is large is not shown."""
        nested = b"\x08\0\x15\x11\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 2000
        self.assertIn("cannot be read", shown(nested, IMPLICIT))
        self.assertIn("70000 bytes", shown(bytes(70000), IMPLICIT))
