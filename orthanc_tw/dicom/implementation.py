"""How this implementation calls itself in files and associations (PS3.7 D.3.3.2)."""

from __future__ import annotations

#: A UID made of a UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.230479141511707643342686000008697698074"
#: At most 16 characters.
IMPLEMENTATION_VERSION_NAME = "ORTHANC_TW"
