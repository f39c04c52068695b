"""The state machine of the upper layer, as PS3.8 table 9-10 has it: events, actions, states.

Only the table. What the actions do is in `orthanc_tw.net.upper_layer`.
"""

from __future__ import annotations

import enum
from typing import Final


class State(enum.IntEnum):
    """States of an association (PS3.8 tables 9-1 to 9-5)."""

    IDLE = 1
    AWAITING_REQUEST = 2
    AWAITING_LOCAL_RESPONSE = 3
    AWAITING_CONNECTION = 4
    AWAITING_RESPONSE = 5
    ESTABLISHED = 6
    AWAITING_RELEASE_RESPONSE = 7
    AWAITING_LOCAL_RELEASE = 8
    COLLISION_REQUESTOR_LOCAL = 9
    COLLISION_ACCEPTOR_REMOTE = 10
    COLLISION_REQUESTOR_REMOTE = 11
    COLLISION_ACCEPTOR_LOCAL = 12
    AWAITING_CLOSE = 13


class Event(enum.IntEnum):
    """Events (PS3.8 table 9-10); a local primitive, a PDU, or of the transport."""

    ASSOCIATE_REQUEST = 1
    CONNECTED = 2
    PDU_ACCEPT = 3
    PDU_REJECT = 4
    CONNECTION_INDICATION = 5
    PDU_REQUEST = 6
    ACCEPT_RESPONSE = 7
    REJECT_RESPONSE = 8
    DATA_REQUEST = 9
    PDU_DATA = 10
    RELEASE_REQUEST = 11
    PDU_RELEASE_REQUEST = 12
    PDU_RELEASE_RESPONSE = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    PDU_ABORT = 16
    CLOSED = 17
    ARTIM_EXPIRED = 18
    PDU_INVALID = 19


class Action(enum.Enum):
    """Actions (PS3.8 tables 9-6 to 9-9)."""

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


# State after an action; AE-6 and AR-8 choose by themselves.
_NEXT: Final = {
    Action.AE_1: 4, Action.AE_2: 5, Action.AE_3: 6, Action.AE_4: 1, Action.AE_5: 2,
    Action.AE_7: 6, Action.AE_8: 13, Action.DT_1: 6, Action.DT_2: 6, Action.AR_1: 7,
    Action.AR_2: 8, Action.AR_3: 1, Action.AR_4: 13, Action.AR_5: 1, Action.AR_6: 7,
    Action.AR_7: 8, Action.AR_9: 11, Action.AR_10: 12, Action.AA_1: 13, Action.AA_2: 1,
    Action.AA_3: 1, Action.AA_4: 1, Action.AA_5: 1, Action.AA_6: 13, Action.AA_7: 13,
    Action.AA_8: 13,
}  # fmt: skip

# A row an event; a column a state, Sta1 to Sta13; "." is impossible.
_TABLE: Final = """
 1 AE-1 .    .    .    .    .    .    .    .    .     .    .    .
 2 .    .    .    AE-2 .    .    .    .    .    .     .    .    .
 3 .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
 4 .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
 5 AE-5 .    .    .    .    .    .    .    .    .     .    .    .
 6 .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
 7 .    .    AE-7 .    .    .    .    .    .    .     .    .    .
 8 .    .    AE-8 .    .    .    .    .    .    .     .    .    .
 9 .    .    .    .    .    DT-1 .    AR-7 .    .     .    .    .
10 .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
11 .    .    .    .    .    AR-1 .    .    .    .     .    .    .
12 .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
13 .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
14 .    .    .    .    .    .    .    AR-4 AR-9 .     .    AR-4 .
15 .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 .
16 .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-2
17 .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AR-5
18 .    AA-2 .    .    .    .    .    .    .    .     .    .    AA-2
19 .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
"""


def _transitions() -> dict[tuple[Event, State], tuple[Action, State | None]]:
    found: dict[tuple[Event, State], tuple[Action, State | None]] = {}
    for line in _TABLE.split("\n"):
        number, *cells = line.split() or [""]
        for state, cell in zip(State, cells, strict=False):
            if cell != ".":
                action = Action(cell)
                after = _NEXT.get(action)
                found[Event(int(number)), state] = (
                    action,
                    None if after is None else State(after),
                )
    return found


#: What to do at an event in a state, and the state after it (None: the action says which).
TRANSITIONS: Final = _transitions()
