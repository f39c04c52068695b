"""How this implementation calls itself in files and associations (PS3.7 D.3.3.2)."""

from __future__ import annotations

from orthanc_tw import __version__

#: A UID made of a UUID (PS3.5 B.2): 00000000-0000-11f2-be4f-4bfa70632a57, chosen for being short.
IMPLEMENTATION_CLASS_UID = "2.25.84758055537551046027863"
#: At most 16 characters.
IMPLEMENTATION_VERSION_NAME = f"ORTHANC_TW_{__version__}"[:16]
