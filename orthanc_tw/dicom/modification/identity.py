"""New identifiers: a function of the old one and a secret, so that they need no memory.

A job that is paused, killed and resumed gives the same identifiers as an undisturbed one, each
worker gives the same ones as the others, and references follow what they refer to. Knows
nothing of data sets.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    """The identifiers of one job. Picklable; safe in any thread.

    :ivar seed: random, of at least 128 bits, for this job alone
    :ivar pseudonym_key: secret of the configuration: pseudonyms of a patient are then the same
        in all jobs and on all nodes that have the same key. None: they are those of the job
    """

    seed: bytes = field(repr=False)
    pseudonym_key: bytes | None = field(default=None, repr=False)

    def uid(self, old: str) -> str:
        """New UID for an old one: ``2.25.`` and a UUID (PS3.5 annex B.2).

        The same old UID gives the same new one, whatever it identifies: study, series,
        instance or frame of reference.
        """
        return f"2.25.{_uuid(self.seed, 'uid', old).int}"

    def patient_id(self, old: str) -> str:
        """Pseudonymous PatientID, a UUID (RFC 4122); with a key, HMAC-SHA256 of the old one.

        :param old: as text, without padding
        """
        return str(_uuid(self.pseudonym_key or self.seed, "patient", old))

    def text(self, kind: str, old: str) -> str:
        """Pseudonym for another identifying value: a UUID."""
        return str(_uuid(self.pseudonym_key or self.seed, kind, old))

    def patient_name(self, patient_id: str) -> str | None:
        """Pseudonymous PatientName of the patient with that PatientID, None without a key."""
        if self.pseudonym_key is None:
            return None
        return f"Anonymized-{_digest(self.pseudonym_key, 'name', patient_id).hex()[:16]}"


def _digest(key: bytes, kind: str, old: str) -> bytes:
    message = f"{kind}\0{old}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, message, "sha256")


def _uuid(key: bytes, kind: str, old: str) -> uuid.UUID:
    # Version 4 is what the random ones of a server without a key are
    return uuid.UUID(bytes=_digest(key, kind, old)[:16], version=4)
