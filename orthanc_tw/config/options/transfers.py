"""Options of the transfers accelerator: the section that Orthanc's plugin reads."""

from __future__ import annotations

from orthanc_tw.config import rules
from orthanc_tw.config.option import OBJECT, Option, Topic

TRANSFERS = Topic(
    "Transfers accelerator",
    (
        Option(
            "Transfers",
            OBJECT,
            {
                "Threads": 4,
                "BucketSize": 4096,
                "CacheSize": 512,
                "MaxPushTransactions": 4,
                "PushTransactionTimeout": 86400,
                "MaxHttpRetries": 7,
                "PeerConnectivityTimeout": 2,
                "PeerCommitTimeout": 600,
                "CommitThreadsCount": 8,
            },
            "Threads: requests at a time; BucketSize (KB) of one; CacheSize (MB) of inflated files;"
            " MaxPushTransactions that are open; PushTransactionTimeout (s, 0: none) of one that"
            " nobody asks for; MaxHttpRetries of a request;"
            " PeerConnectivityTimeout and PeerCommitTimeout (s); CommitThreadsCount: instances"
            " stored at a time",
            honoured=True,
            rule=rules.transfers,
        ),
    ),
)
