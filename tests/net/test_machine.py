from __future__ import annotations

from pynetdicom.fsm import ACTIONS, TRANSITION_TABLE
from twisted.trial.unittest import SynchronousTestCase

from orthanc_tw.net.machine import TRANSITIONS, Action, Event, State


class MachineTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Every event in every state: the same action as in pynetdicom's copy of table 9-10."""
        for event in Event:
            for state in State:
                theirs = TRANSITION_TABLE.get((f"Evt{int(event)}", f"Sta{int(state)}"))
                ours = TRANSITIONS.get((event, state))
                self.assertEqual(theirs, ours and ours[0].value, (event, state))

    def test_next_states(self) -> None:
        """Every action leads to the state that pynetdicom's actions lead to."""
        for action, after in TRANSITIONS.values():
            theirs = ACTIONS[action.value][2]
            if action in (Action.AE_6, Action.AR_8):
                self.assertIsNone(after)
            else:
                self.assertIsNotNone(after)
                self.assertEqual(theirs, f"Sta{int(after or 0)}", action)
