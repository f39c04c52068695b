"""UIDs of an instance, old and new: which ones change, and to what.

Knows nothing of bytes. Source: PS3.15 table E.1-1 action U; PS3.3 for the sequences in which
ReferencedSOPInstanceUID names a study instead of an instance.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from orthanc_tw.dicom.modification.identity import Identity

STUDY, SERIES, INSTANCE = 0x0020000D, 0x0020000E, 0x00080018
REFERENCED_INSTANCE = 0x00081155
REFERENCES = frozenset((STUDY, SERIES, INSTANCE, REFERENCED_INSTANCE))
# SOPInstanceUIDOfConcatenationSource (PS3.3 C.7.6.16) is in the data set itself
TOP_REFERENCES = frozenset((0x00200242,))
# UIDs that DICOM itself defines (PS3.6 annex A) identify nobody
_WELL_KNOWN = "1.2.840.10008."
# Detached Study Management, retired, is what RT structure sets still refer to a study by
_STUDY_CLASSES = frozenset(("1.2.840.10008.3.1.2.3.1",))


class UidMap:
    """New UIDs for the old ones of one instance and of what it refers to.

    :param overrides: old to new, for those that the request replaces or keeps
    :param kept: `STUDY`, `SERIES`, `INSTANCE`, as far as the job leaves them alone
    :param members: UIDs of all that the job modifies, each with `STUDY`, `SERIES` or
        `INSTANCE`: no others change; None: all do
    :param replaced: the value that the request gives to members of a level, by tag
    """

    def __init__(
        self,
        identity: Identity,
        overrides: Mapping[str, str],
        kept: Container[int],
        members: Mapping[str, int] | None = None,
        replaced: Mapping[int, str] | None = None,
    ) -> None:
        self._identity = identity
        self._overrides = overrides
        self._kept = kept
        self._members = members
        self._replaced = replaced or {}

    def new(self, tag: int, old: str, referenced_class: str = "") -> str:
        r"""The new value of an element.

        :param old: one UID, or several separated by backslashes
        :param referenced_class: ReferencedSOPClassUID beside a ReferencedSOPInstanceUID
        """
        if tag == REFERENCED_INSTANCE:
            tag = STUDY if referenced_class in _STUDY_CLASSES else INSTANCE
        return "\\".join([self._one(tag, uid.strip(" \0")) for uid in old.split("\\")])

    def _one(self, tag: int, old: str) -> str:
        new = self._overrides.get(old)
        if new is not None:
            return new
        if not old or old.startswith(_WELL_KNOWN):
            return old
        if self._members is not None:
            level = self._members.get(old)
            if level is None or level in self._kept:
                return old
            return self._replaced.get(level) or self._identity.uid(old)
        return old if tag in self._kept else self._identity.uid(old)

    def is_changed(self, uid: str) -> bool:
        """Whether this is an identifier of the instance itself, or of a member, that changes."""
        if self._members and uid in self._members:
            return self._one(0, uid) != uid
        return self._overrides.get(uid, uid) != uid
