"""The Orthanc peers by symbolic name, as ``/peers`` changes them.

Source: options ``OrthancPeers``, ``OrthancPeersInDatabase``; topic 40 of the corpus. All of it
is called in the reactor thread.
"""

from __future__ import annotations

from typing import Any

from orthanc_tw.core.named_registry import NamedRegistry
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.peers.peer import OrthancPeer


class PeerRegistry(NamedRegistry[OrthancPeer]):
    """The peers that are known now. See `NamedRegistry`."""

    noun = "Peer"
    property_name = "Peers"

    def parsed(self, name: str, value: Any) -> OrthancPeer:
        """See `OrthancPeer.from_json`."""
        return OrthancPeer.from_json(name, value)

    def saved(self, value: OrthancPeer) -> JsonObject:
        """See `OrthancPeer.saved`."""
        return value.saved()

    def missing(self, name: str) -> OrthancError:
        """404."""
        return OrthancError(ErrorCode.UNKNOWN_RESOURCE, f"No peer with symbolic name: {name}")

    def missing_to_remove(self, name: str) -> OrthancError:
        """404."""
        return OrthancError(ErrorCode.INEXISTENT_ITEM, f"Unknown Orthanc peer: {name}")

    def of_job(self, name: str, saved: JsonObject) -> OrthancPeer:
        """The peer of a job: as it was when the job was submitted.

        With one exception: while there is a peer of that name and URL, it is that one, so that
        a job whose password was wrong succeeds after it was put right.

        :raises OrthancError: BAD_FILE_FORMAT
        """
        peer = OrthancPeer.from_json(name, saved)
        known = self.get(name)
        return known if known is not None and known.url == peer.url else peer
